"""A shard is read twice: live events overtake bulk events, and every event is projected exactly once whatever fails."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from functools import partial

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.sync.cluster import Cluster, MemoryLeases
from tests.unit.sync.tenant import event
from tests.unit.sync.virtual_time import run_virtually

from headwater.kernel.errors import Unavailable
from headwater.kernel.telemetry.old_news import BACKFILL_STATE, is_old_news, old_news
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.log import NOWHERE, START, LogEvent, Position, Stretch, bulk_side
from headwater.sync.domain.projecting import Effect
from headwater.sync.lulls import Lulls
from headwater.sync.membership import Membership
from headwater.sync.projector.asking import Told
from headwater.sync.projector.batch import BatchProjector, Prepared
from headwater.sync.projector.host import ProjectorHost, ProjectorSettings
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.wakeup import Wakeup

PATIENCE_S = 600.0
SHARDS = 2


def written(number: int, *, bulk: bool) -> LogEvent:
    """Return event *number* of the log."""
    told = structs.replace(event(number), shard=number % SHARDS)
    return structs.replace(told, trace=old_news()) if bulk else told


class Store:
    """Log, cursors and what was projected, in the order of the commits."""

    def __init__(self, events: Sequence[LogEvent]) -> None:
        self.events = list(events)
        self.cursors: dict[int, Position] = {}
        self.projected: list[int] = []
        self.former: set[int] = set()
        self.reads = 0

    async def shard_count(self) -> int:
        """Two."""
        return SHARDS

    async def current_policies(self) -> list[tuple[str, uuid.UUID, bytes]]:
        """None."""
        return []

    async def read_cursors(self, shards: Sequence[int]) -> dict[int, Position]:
        """As the last commit has left them."""
        return {shard: self.cursors.get(shard, START) for shard in shards}

    async def read_projected(self, events: Sequence[LogEvent]) -> set[tuple[str, uuid.UUID]]:
        """Those that a former release has; of ours none, which must not be needed."""
        keys = self.former
        return {(item.tenant_id, item.event_key) for item in events if item.event_key.int in keys}

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Nothing up to here may be unprojected."""
        for shard, place in held.items():
            before = [item for item in self.events if item.shard == shard and item.position <= place]
            assert {item.event_key.int for item in before} <= set(self.projected)

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> Stretch:
        """What is behind, of each shard so much."""
        self.reads += 1
        found: list[LogEvent] = []
        for shard, place in after.items():
            found += [one for one in self.events if one.shard == shard and one.position > place][:shard_limit]
        return Stretch(sorted(found, key=lambda item: item.position))


class Writes(BatchProjector):
    """A projector that writes into `Store` and fails by chance, before its commit or after it.

    Args:
        failures: how often, at most.
        batch_s: what a batch takes.
    """

    def __init__(self, store: Store, chance: random.Random, failures: int, batch_s: float = 0.01) -> None:
        self._store = store
        self._chance = chance
        self._failures = failures
        self._batch_s = batch_s

    async def prepare(self, events: Sequence[LogEvent]) -> Prepared:
        """Ask nobody."""
        return Prepared(tuple(events), {}, [], Told({}, {}))

    async def commit(
        self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
    ) -> tuple[Effect, ...]:
        """Write at once, in a while."""
        fails = self._failures > 0 and self._chance.random() < 0.3
        self._failures -= fails
        await anyio.sleep(self._chance.random() * self._batch_s)
        if fails and self._chance.random() < 0.5:
            raise Unavailable("before the commit")
        self._store.projected += [item.event_key.int for item in prepared.events]
        assert {lease.name for lease in leases} >= {
            f"shard/{max(item.shard, bulk_side(item.shard))}" for item in prepared.events
        }
        reached = {item.shard: item.position for item in prepared.events}
        for shard, place in {**reached, **moves}.items():
            self._store.cursors[shard] = max(self._store.cursors.get(shard, START), place)
        if fails:
            raise Unavailable("after the commit")
        return ()


def host_of(
    store: Store, projector: BatchProjector, pace: ProjectorSettings, lulls: Lulls | None = None
) -> tuple[ProjectorHost, Membership]:
    """Return a process."""
    leases = MemoryLeases(Cluster(), "one")
    membership = Membership(leases)
    policies = LogPolicies(store)
    host = ProjectorHost(store, leases, membership, policies, projector, Wakeup(), pace, lulls=lulls)
    return host, membership


async def run_until_whole(store: Store, projector: BatchProjector, pace: ProjectorSettings) -> None:
    """Run a process until every event is projected and every cursor is at the end."""
    host, membership = host_of(store, projector, pace)
    ends = {
        shard: max(item.position for item in store.events if item.shard == shard) for shard in range(SHARDS)
    }

    def done() -> bool:
        return len(store.projected) >= len(store.events) and all(
            store.cursors.get(shard, START) >= end for shard, end in ends.items()
        )

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            while not done():  # noqa: ASYNC110 - in virtual time
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=4, max_size=40), st.integers(0, 2**32), st.integers(0, 6))
def test_every_event_is_projected_exactly_once(bulk: list[bool], seed: int, failures: int) -> None:
    """Whatever is live or bulk, in whatever batches, and with transactions that fail before or after their commit."""
    store = Store([written(number, bulk=old) for number, old in enumerate(bulk, 1)])
    chance = random.Random(seed)
    pace = ProjectorSettings(chance.choice((1, 3, 100)), chance.choice((1, 2, 5)), report_s=0.01)
    run_virtually(partial(run_until_whole, store, Writes(store, chance, failures), pace))
    assert sorted(store.projected) == list(range(1, len(bulk) + 1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=4, max_size=40), st.integers(0, 2**32))
def test_a_successor_goes_on_where_both_sides_stood(bulk: list[bool], seed: int) -> None:
    """A process that dies anywhere leaves its cursors; what was set aside and not taken up is found again."""
    store = Store([written(number, bulk=old) for number, old in enumerate(bulk, 1)])
    chance = random.Random(seed)

    async def live() -> None:
        for _ in range(3):
            host, membership = host_of(store, Writes(store, chance, 2), ProjectorSettings(3, 1))
            with anyio.move_on_after(chance.random() * 0.2):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(membership.keep)
                    tasks.start_soon(host.run)
        await run_until_whole(store, Writes(store, chance, 0), ProjectorSettings())

    run_virtually(live)
    assert sorted(store.projected) == list(range(1, len(bulk) + 1))


def test_what_a_former_release_has_projected_is_passed_over() -> None:
    """It reads each shard once and moves the front alone."""
    store = Store([written(number, bulk=number % 3 == 0) for number in range(1, 61)])
    store.projected = list(range(1, 41))
    store.former = set(store.projected)
    store.cursors = {
        shard: max(item.position for item in store.events[:40] if item.shard == shard)
        for shard in range(SHARDS)
    }
    chance = random.Random(1)
    run_virtually(partial(run_until_whole, store, Writes(store, chance, 0), ProjectorSettings(7, 3)))
    assert sorted(store.projected) == list(range(1, 61))


def test_a_live_event_overtakes_bulk_events() -> None:
    """It waits for a batch of them at most, and they keep their order."""
    store = Store([written(number, bulk=number <= 400) for number in range(1, 403)])
    chance = random.Random(1)
    run_virtually(partial(run_until_whole, store, Writes(store, chance, 0), ProjectorSettings(500, 10)))
    live = [store.projected.index(number) for number in (401, 402)]
    assert max(live) <= 2 * 10
    for shard in range(SHARDS):
        old = [number for number in store.projected if number <= 400 and number % SHARDS == shard]
        assert old == sorted(old)


def test_a_log_without_bulk_events_is_read_once() -> None:
    """The bulk side goes along with the front and costs nothing."""
    store = Store([written(number, bulk=False) for number in range(1, 301)])
    chance = random.Random(1)
    run_virtually(partial(run_until_whole, store, Writes(store, chance, 0), ProjectorSettings(30)))
    assert store.reads <= 300 / 30 + 3
    assert all(store.cursors[bulk_side(shard)] == store.cursors[shard] for shard in range(SHARDS))


def test_bulk_events_go_on_beside_live_ones_that_never_end() -> None:
    """A load that leaves no gap delays them; it does not hold them."""
    store = Store([written(number, bulk=number <= 50) for number in range(1, 52)])
    chance = random.Random(1)

    async def live() -> None:
        host, membership = host_of(
            store, Writes(store, chance, 0, batch_s=0.05), ProjectorSettings(1, 10, gather_s=0)
        )
        number = 52
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(membership.keep)
                tasks.start_soon(host.run)
                while not set(range(1, 51)) <= set(store.projected):
                    store.events += [written(number + more, bulk=False) for more in range(4)]
                    number += 4
                    await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()

    run_virtually(live)


@pytest.mark.parametrize(
    ("state", "old"),
    [
        (BACKFILL_STATE, True), (f"vendor=1, {BACKFILL_STATE}", True), ("", False),
        ("vendor=headwater=backfill", False), (f"{BACKFILL_STATE}ed", False),
    ],
)  # fmt: skip
def test_old_news_is_what_a_whole_member_says(state: str, old: bool) -> None:  # noqa: FBT001 - a parameter
    """Not what some other member contains."""
    assert is_old_news(state) is old


def test_a_bulk_turn_begins_in_no_live_work() -> None:
    """Neither reading and resolving nor writing does, while live events are on their way; both go on afterwards."""
    store, lulls = Store([written(number, bulk=True) for number in range(1, 201)]), Lulls()
    busy: list[int] = []

    class Watched(Writes):
        async def prepare(self, events: Sequence[LogEvent]) -> Prepared:
            busy.append(live[0])
            return await super().prepare(events)

        async def commit(
            self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
        ) -> tuple[Effect, ...]:
            busy.append(live[0])
            return await super().commit(leases, prepared, moves)

    live = [0]

    async def work() -> None:
        while True:
            with lulls.live():
                live[0] = 1
                await anyio.sleep(0.03)
                live[0] = 0
            await anyio.sleep(0.02)

    async def main() -> None:
        projector = Watched(store, random.Random(1), 0)
        host, membership = host_of(store, projector, ProjectorSettings(500, 10), lulls)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(membership.keep)
                tasks.start_soon(work)
                tasks.start_soon(host.run)
                while len(store.projected) < 200:  # noqa: ASYNC110 - in virtual time
                    await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()

    run_virtually(main)
    assert len(busy) > 200 / 10
    assert not any(busy)
