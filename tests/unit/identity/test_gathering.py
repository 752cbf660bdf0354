"""Calls that wait for each other go together; one call's end is not another's."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from headwater.identity.usecases.gathering import Gathering
from headwater.kernel.ids import TenantId

pytestmark = pytest.mark.anyio

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


class Batches:
    """Doubles every record once a gate is open, fails on a negative one, and keeps what came together."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.seen: list[tuple[TenantId, tuple[int, ...]]] = []

    async def run(
        self, tenant_id: TenantId, records: Sequence[int], _timeout_s: float | None
    ) -> Sequence[int]:
        self.seen.append((tenant_id, tuple(records)))
        await self.gate.wait()
        if any(record < 0 for record in records):
            raise ValueError("a record that nobody can resolve")
        return [2 * record for record in records]


async def _settle() -> None:
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_calls_that_wait_are_resolved_together() -> None:
    """The first goes alone, all that came meanwhile in one batch, each with its own answers."""
    batches = Batches()
    gathering = Gathering(batches.run, 10)
    found: dict[int, Sequence[int]] = {}

    async def call(*records: int) -> None:
        found[records[0]] = await gathering.resolve(ACME, records, None)

    async with anyio.create_task_group() as tasks:
        for records in ((1,), (2, 3), (4,)):
            tasks.start_soon(call, *records)
        await _settle()
        batches.gate.set()
    assert found == {1: [2], 2: [4, 6], 4: [8]}
    assert batches.seen == [(ACME, (1,)), (ACME, (2, 3, 4))]


async def test_a_batch_is_bounded() -> None:
    """Beyond the bound the next call leads a batch of its own."""
    batches = Batches()
    gathering = Gathering(batches.run, 3)
    async with anyio.create_task_group() as tasks:
        for records in ((1,), (2, 3), (4, 5), (6,)):
            tasks.start_soon(gathering.resolve, ACME, records, None)
        await _settle()
        batches.gate.set()
    assert [len(records) for _, records in batches.seen] == [1, 2, 3]


async def test_tenants_do_not_wait_for_each_other() -> None:
    """A tenant's long batch holds nobody else up."""
    batches = Batches()
    gathering = Gathering(batches.run, 10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gathering.resolve, ACME, (1,), None)
        tasks.start_soon(gathering.resolve, GLOBEX, (2,), None)
        await _settle()
        assert len(batches.seen) == 2
        batches.gate.set()


async def test_others_go_on_when_the_one_who_leads_is_cancelled() -> None:
    """A caller's deadline ends its own call only."""
    batches = Batches()
    gathering = Gathering(batches.run, 10)
    found: list[Sequence[int]] = []

    async def call(record: int) -> None:
        found.append(await gathering.resolve(ACME, (record,), None))

    async with anyio.create_task_group() as tasks:
        first, leader = anyio.CancelScope(), anyio.CancelScope()

        async def scoped(scope: anyio.CancelScope, record: int) -> None:
            with scope:
                await call(record)

        tasks.start_soon(scoped, first, 1)
        tasks.start_soon(scoped, leader, 2)
        tasks.start_soon(call, 3)
        await _settle()
        first.cancel()
        await _settle()
        assert batches.seen[-1] == (ACME, (2, 3))
        leader.cancel()
        await _settle()
        batches.gate.set()
    assert found == [[6]]
    assert batches.seen[-1] == (ACME, (3,))


async def test_one_call_that_fails_does_not_fail_another() -> None:
    """Those that were gathered with it are resolved by themselves."""
    batches = Batches()
    gathering = Gathering(batches.run, 10)
    found: list[Sequence[int]] = []
    failed: list[int] = []

    async def call(record: int) -> None:
        try:
            found.append(await gathering.resolve(ACME, (record,), None))
        except ValueError:
            failed.append(record)

    async with anyio.create_task_group() as tasks:
        for record in (1, -2, 3, 4):
            tasks.start_soon(call, record)
        await _settle()
        batches.gate.set()
    assert failed == [-2]
    assert sorted(answer for answers in found for answer in answers) == [2, 6, 8]


async def test_others_go_on_when_the_queue_was_empty_for_a_moment() -> None:
    """One who waited gives up while a batch is under way: when its leader goes too, the rest goes on by itself."""
    batches = Batches()
    gathering = Gathering(batches.run, 10)
    found: list[Sequence[int]] = []
    scopes = {record: anyio.CancelScope() for record in (1, 2, 3, 4)}

    async def call(record: int) -> None:
        with scopes[record]:
            found.append(await gathering.resolve(ACME, (record,), None))

    async with anyio.create_task_group() as tasks:
        for record in (1, 2, 3):
            tasks.start_soon(call, record)
        await _settle()
        scopes[1].cancel()
        await _settle()
        assert batches.seen[-1] == (ACME, (2, 3))
        tasks.start_soon(call, 4)
        await _settle()
        scopes[4].cancel()
        await _settle()
        scopes[2].cancel()
        await _settle()
        batches.gate.set()
    assert found == [[6]]


class Callers:
    """Callers who come back with their next record as soon as they are answered."""

    def __init__(self, patience_s: float) -> None:
        self.sizes: list[int] = []
        self._gathering = Gathering(self._run, 100, patience_s)

    async def _run(
        self, _tenant_id: TenantId, records: Sequence[int], _timeout_s: float | None
    ) -> Sequence[int]:
        self.sizes.append(len(records))
        await _settle()
        return records

    async def call(self, number: int, rounds: int) -> None:
        for _ in range(rounds):
            await self._gathering.resolve(ACME, (number,), None)
            await _settle_for(number)


async def _settle_for(number: int) -> None:
    for _ in range(number):
        await anyio.lowlevel.checkpoint()


async def test_callers_who_were_just_answered_are_waited_for() -> None:
    """They do not fall into batches of one and of all the others by turns."""
    callers = Callers(patience_s=60.0)
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(callers.call, number, 4 if number else 5)
    assert callers.sizes == [1, 4, 4, 4, 4]


async def test_a_caller_who_does_not_come_back_is_not_waited_for_long() -> None:
    """The others go on when patience ends, and wait for it no more."""
    callers = Callers(patience_s=0.001)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(callers.call, number, 2 if number else 4)
    assert sum(callers.sizes) == 8
    assert callers.sizes[-1] == 1


async def test_a_caller_alone_waits_for_nobody() -> None:
    """However long patience is."""
    callers = Callers(patience_s=3_600.0)
    with anyio.fail_after(5):
        await callers.call(1, 5)
    assert callers.sizes == [1] * 5


async def test_a_call_that_is_cancelled_while_others_are_awaited_holds_nobody_up() -> None:
    """The next one leads in its place."""
    callers = Callers(patience_s=60.0)
    scope = anyio.CancelScope()

    async def waiting() -> None:
        with scope:
            await callers.call(0, 3)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting)
        tasks.start_soon(callers.call, 1, 1)
        for _ in range(10):
            await _settle()
        assert callers.sizes == [1, 2]
        scope.cancel()
        await _settle()
        with anyio.fail_after(5):
            await callers.call(1, 1)
    assert callers.sizes == [1, 2, 1]
