"""Store transactions are shared among tenants in rotation."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from headwater.sync.delivery.fairness import TenantTurns

pytestmark = pytest.mark.anyio


async def test_tenants_take_turns_whatever_number_of_slots_they_have() -> None:
    """Ten waiting slots of one tenant let another tenant's one through after one turn."""
    turns, order = TenantTurns(1), list[str]()

    async def take(tenant: str) -> None:
        async with turns.of(tenant):
            order.append(tenant)

    async with anyio.create_task_group() as tasks, turns.of("first"):
        for tenant in ["large"] * 10 + ["small"]:
            tasks.start_soon(take, tenant)
            await anyio.wait_all_tasks_blocked()
    assert order[:3] == ["large", "small", "large"]
    assert len(order) == 11


async def test_a_cancelled_wait_takes_no_permit_with_it() -> None:
    """Neither one that never came, nor one that was handed over in the same moment."""
    turns = TenantTurns(1)
    for cancel_first in (True, False):
        async with anyio.create_task_group() as tasks:
            async with turns.of("a"):
                scope = anyio.CancelScope()

                async def wait(scope: anyio.CancelScope = scope) -> None:
                    with scope:
                        async with turns.of("b"):
                            await anyio.lowlevel.checkpoint()

                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                if cancel_first:
                    scope.cancel()
                    await anyio.wait_all_tasks_blocked()
            scope.cancel()
        with anyio.fail_after(1.0):
            async with turns.of("c"):
                pass
