"""A process's standing follows a clock of its own, whatever the loop is busy with."""

from __future__ import annotations

import anyio
import pytest
from tests.unit.sync.cluster import Cluster, MemoryLeases

from headwater.sync.domain.leasing import Beat
from headwater.sync.membership import Membership

pytestmark = pytest.mark.anyio


async def test_standing_ends_in_the_middle_of_a_busy_turn_of_the_loop() -> None:
    """No beat, no timer and no other task runs in it: the clock alone says that the lease may be over."""
    now_s = [1000.0]
    leases = MemoryLeases(Cluster(ttl_s=60.0), "one")
    membership = Membership(leases, lambda: now_s[0])
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            await membership.wait_until_standing()
            now_s[0] += 59.9
            assert membership.may_work()
            now_s[0] += 0.2
            assert not membership.may_work()
            tasks.cancel_scope.cancel()


async def test_a_lease_lasts_from_the_sending_of_its_beat() -> None:
    """What the database needed to answer is not ours."""
    now_s = [0.0]

    class Slow(MemoryLeases):
        """Leases of a database that takes two seconds."""

        async def beat(self) -> Beat:
            """Prolong, late."""
            now_s[0] += 2.0
            return await super().beat()

    membership = Membership(Slow(Cluster(ttl_s=60.0), "one"), lambda: now_s[0])
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            await membership.wait_until_standing()
            now_s[0] = 59.9
            assert membership.may_work()
            now_s[0] = 60.1
            assert not membership.may_work()
            tasks.cancel_scope.cancel()
