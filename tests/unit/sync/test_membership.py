"""A process's standing follows a clock of its own, whatever the loop is busy with."""

from __future__ import annotations

import anyio
import pytest
from tests.unit.sync.cluster import Cluster, MemoryLeases
from tests.unit.sync.virtual_time import run_virtually

from headwater.sync.domain.leasing import Beat
from headwater.sync.membership import BEATS, Membership

TTL_S = 5.0


@pytest.mark.anyio
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


@pytest.mark.anyio
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


def test_a_heartbeat_that_came_too_late_costs_what_was_held_once() -> None:
    """The new heartbeat that the same beat begins is kept: what is taken under it stays."""
    cluster = Cluster(ttl_s=TTL_S)
    leases, lapses = MemoryLeases(cluster, "one"), list[float]()
    membership = Membership(leases, anyio.current_time)
    membership.on_lapse(lambda: lapses.append(anyio.current_time()))

    async def live() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            await membership.wait_until_standing()
            cluster.beats["one"] = float("-inf")  # the store counted it as lapsed before we did
            await anyio.sleep(membership.beat_s * 1.5)
            assert await leases.acquire(["account"], 1) == {"account": 1}
            await anyio.sleep(membership.beat_s * BEATS * 2)
            tasks.cancel_scope.cancel()

    run_virtually(live)
    assert len(lapses) == 1
    assert cluster.held["account"] == ("one", 1)


def test_what_is_taken_under_a_new_heartbeat_stays_although_everything_was_given_up_meanwhile() -> None:
    """The beat that begins it has let go of everything before it: letting go again would cost what is new."""
    cluster, left, away_s = Cluster(ttl_s=TTL_S), list[float](), [0.0]

    class Slow(MemoryLeases):
        """Leases of a database whose second answer comes after it was noticed that the heartbeat has lapsed."""

        beats = 0

        async def beat(self) -> Beat:
            """Prolong, or begin anew."""
            self.beats += 1
            await anyio.sleep(1.3 if self.beats == 2 else 0.1)
            return await super().beat()

        async def leave(self) -> None:
            """Note that everything is let go of."""
            left.append(anyio.current_time())
            await super().leave()

    leases = Slow(cluster, "one")
    membership = Membership(leases, lambda: anyio.current_time() + away_s[0])

    async def live() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            await membership.wait_until_standing()
            await anyio.sleep(membership.beat_s * 0.96)
            away_s[0] = TTL_S * 2  # the process stood still
            cluster.beats["one"] = float("-inf")
            await anyio.sleep(membership.beat_s)
            assert not membership.may_work()
            await membership.wait_until_standing()
            taken = anyio.current_time()
            assert await leases.acquire(["account"], 1) == {"account": 1}
            await anyio.sleep(membership.beat_s * BEATS * 2)
            assert [moment for moment in left if moment >= taken] == []
            tasks.cancel_scope.cancel()

    run_virtually(live)
