"""The heartbeat of one process: what it tells when everything held is lost."""

from __future__ import annotations

import anyio
from tests.unit.sync.cluster import Cluster, MemoryLeases
from tests.unit.sync.virtual_time import run_virtually

from headwater.sync.membership import BEATS, Membership

TTL_S = 5.0


def test_a_heartbeat_that_came_too_late_costs_what_was_held_once() -> None:
    """The new heartbeat that the same beat begins is kept: what is taken under it stays."""
    cluster = Cluster(ttl_s=TTL_S)
    leases, lapses = MemoryLeases(cluster, "one"), list[float]()
    membership = Membership(leases)
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
