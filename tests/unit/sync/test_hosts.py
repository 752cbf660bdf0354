"""The projector's host outlives the database's absence, and trusts its cursors, not its memory."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence

import anyio
import pytest
from tests.unit.sync.cluster import Cluster, MemoryLeases
from tests.unit.sync.tenant import TENANT, event
from tests.unit.sync.virtual_time import run_virtually

from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.catchup import BEHIND_S, CatchUp
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import NOWHERE, START, LogEvent, Position, Stretch
from headwater.sync.domain.projecting import Effect
from headwater.sync.membership import Membership
from headwater.sync.ports import StoreRaced, StoreRefused
from headwater.sync.projector.asking import Told
from headwater.sync.projector.batch import BatchProjector, Prepared
from headwater.sync.projector.host import ProjectorHost, ProjectorSettings
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.wakeup import Wakeup

PATIENCE_S = 10.0


class OneShardLog:
    """A log of one shard, with the cursor that the projector's transactions move."""

    def __init__(self, events: Sequence[LogEvent]) -> None:
        self.events = list(events)
        self.cursor = Position(0, 0)

    async def shard_count(self) -> int:
        """One."""
        return 1

    async def current_policies(self) -> list[tuple[str, uuid.UUID, bytes]]:
        """None."""
        return []

    async def read_cursors(self, shards: Sequence[int]) -> dict[int, Position]:
        """Where the last commit has left it."""
        return dict.fromkeys(shards, self.cursor)

    async def read_projected(self, events: Sequence[LogEvent]) -> set[tuple[str, uuid.UUID]]:
        """None: nothing of these was projected by anybody else."""
        del events
        return set()

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Nobody drops anything here."""

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> Stretch:
        """What is behind."""
        return Stretch([item for item in self.events if item.position > after[0]][:shard_limit])


class CommitsUnheard(BatchProjector):
    """A projector whose first commit stands although its caller is told of a failure."""

    def __init__(self, log: OneShardLog, fault: HeadwaterError) -> None:
        self._log = log
        self._fault: HeadwaterError | None = fault
        self.batches: list[list[LogEvent]] = []
        self.done = anyio.Event()

    async def prepare(self, events: Sequence[LogEvent]) -> Prepared:
        """Ask nobody."""
        return Prepared(tuple(events), {}, [], Told({}, {}))

    async def commit(
        self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
    ) -> tuple[Effect, ...]:
        """Commit; the first time, fail after it and let one more event come."""
        del leases, moves
        if not prepared.events:  # the bulk side going over what was none of its
            return ()
        self.batches.append(list(prepared.events))
        self._log.cursor = prepared.events[-1].position
        if self._fault is None:
            self.done.set()
            return ()
        fault, self._fault = self._fault, None
        self._log.events.append(event(3))
        raise fault


class PreparesAhead(CommitsUnheard):
    """A projector whose first commit fails, unheard, once the batch behind it is prepared."""

    def __init__(self, log: OneShardLog, fault: HeadwaterError) -> None:
        super().__init__(log, fault)
        self.prepared: list[int] = []
        self._second = anyio.Event()

    async def prepare(self, events: Sequence[LogEvent]) -> Prepared:
        """Note what is asked for."""
        self.prepared.append(events[0].event_key.int)
        if len(self.prepared) == 2:
            self._second.set()
        return await super().prepare(events)

    async def commit(
        self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
    ) -> tuple[Effect, ...]:
        """Commit when the next one is ready."""
        await self._second.wait()
        return await super().commit(leases, prepared, moves)


async def run_until(done: anyio.Event, membership: Membership, host: ProjectorHost) -> None:
    """Run a host and its membership until *done*."""
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await done.wait()
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_the_next_batch_is_prepared_while_a_full_one_is_written_and_dropped_if_that_fails() -> None:
    """Prepared ahead is no promise: after a failed commit the cursors in the database decide what comes next."""
    log = OneShardLog([event(1), event(2)])
    projector = PreparesAhead(log, Unavailable("gone"))
    settings = ProjectorSettings(batch_events=1)
    leases = MemoryLeases(Cluster(), "one")
    membership = Membership(leases)
    host = ProjectorHost(log, leases, membership, LogPolicies(log), projector, Wakeup(), settings)
    await run_until(projector.done, membership, host)
    assert projector.prepared[:3] == [1, 2, 2]
    assert [item.event_key.int for batch in projector.batches for item in batch] == [1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [Unavailable("gone"), StoreRaced("raced"), StoreRefused("no")])
async def test_a_commit_in_doubt_is_not_projected_again(fault: HeadwaterError) -> None:
    """After a failed transaction the cursor in the database tells how far it got."""
    log = OneShardLog([event(1), event(2)])
    projector = CommitsUnheard(log, fault)
    leases = MemoryLeases(Cluster(), "one")
    membership = Membership(leases)
    policies = LogPolicies(log)
    host = ProjectorHost(log, leases, membership, policies, projector, Wakeup(), ProjectorSettings())
    await run_until(projector.done, membership, host)
    assert [[item.event_key.int for item in batch] for batch in projector.batches] == [[1, 2], [3]]


class SeesHolds(CommitsUnheard):
    """A projector that notes whether deliveries give way when it begins to commit."""

    def __init__(self, log: OneShardLog, fault: HeadwaterError, catch_up: CatchUp) -> None:
        super().__init__(log, fault)
        self._catch_up = catch_up
        self.held: list[bool] = []

    async def commit(
        self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
    ) -> tuple[Effect, ...]:
        """Note it, and commit."""
        if prepared.events:
            self._fault = None
            self.held.append(self._catch_up.left_s(TENANT) > 0)
        return await super().commit(leases, prepared, moves)


@pytest.mark.anyio
@pytest.mark.parametrize(("behind_s", "held"), [(60.0, True), (BEHIND_S / 2, False)], ids=["backlog", "live"])
async def test_deliveries_give_way_before_the_first_batch_of_a_backlog_is_written(
    behind_s: float,
    held: bool,  # noqa: FBT001 - a parameter
) -> None:
    """What that batch marks is written to CRMs once, with what stands behind it."""
    log = OneShardLog([event(1), event(2)])
    clock = SteppedClock(log.events[0].record_time + dt.timedelta(seconds=behind_s))
    catch_up = CatchUp(clock, 30.0)
    projector = SeesHolds(log, Unavailable("unused"), catch_up)
    leases = MemoryLeases(Cluster(), "one")
    membership = Membership(leases)
    settings = ProjectorSettings(batch_events=1)
    host = ProjectorHost(log, leases, membership, LogPolicies(log), projector, Wakeup(), settings, catch_up)
    await run_until(projector.done, membership, host)
    assert projector.held[0] is held


class LookedAtLog(OneShardLog):
    """A log that counts looks at it, and may say that something is held back."""

    def __init__(self, *, held: bool) -> None:
        super().__init__([])
        self._says_held = held
        self.looks = 0

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> Stretch:
        """What is behind, and whether more is to come."""
        self.looks += 1
        return (await super().read_events(after, shard_limit))._replace(held=self._says_held)


@pytest.mark.parametrize(("held", "most", "least"), [(False, 3, 1), (True, 12, 6)], ids=["quiet", "held"])
def test_the_log_is_looked_at_again_soon_where_something_is_held_back_and_only_there(
    held: bool,  # noqa: FBT001 - a parameter
    most: int,
    least: int,
) -> None:
    """Else a ring tells of what comes: looks that find nothing cost as much as those that do."""
    log, leases = LookedAtLog(held=held), MemoryLeases(Cluster(), "one")
    membership = Membership(leases)
    projector = CommitsUnheard(log, Unavailable("unused"))
    host = ProjectorHost(log, leases, membership, LogPolicies(log), projector, Wakeup(), ProjectorSettings())

    async def live() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await anyio.sleep(0.9)
            assert least <= log.looks <= most
            tasks.cancel_scope.cancel()

    run_virtually(live)


class FailsAhead(LookedAtLog):
    """A log whose look behind the first batch fails."""

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> Stretch:
        """Fail once."""
        if after[0] > START and not self.looks:
            self.looks += 1
            raise Unavailable("gone")
        return Stretch([item for item in self.events if item.position > after[0]][:shard_limit])


def test_what_was_told_of_is_read_though_the_look_ahead_failed() -> None:
    """The ring was heard by the look that failed; nobody rings again."""
    log, cluster = FailsAhead(held=False), Cluster()
    log.events.append(event(1))
    leases, wakeup = MemoryLeases(cluster, "one"), Wakeup()
    membership = Membership(leases)

    class Rings(CommitsUnheard):
        async def commit(
            self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
        ) -> tuple[Effect, ...]:
            """Let another event come, and be told of, while the first is written."""
            self._fault = None
            if prepared.events and not self.batches:
                log.events.append(event(2))
                wakeup.set()
                await anyio.sleep(0.1)
            return await super().commit(leases, prepared, moves)

    projector = Rings(log, Unavailable("unused"))
    host = ProjectorHost(log, leases, membership, LogPolicies(log), projector, wakeup, ProjectorSettings())

    async def live() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await anyio.sleep(0.5)
            assert [len(batch) for batch in projector.batches] == [1, 1]
            assert log.looks == 1
            tasks.cancel_scope.cancel()

    run_virtually(live)


class LosesTheOldFence(CommitsUnheard):
    """A projector whose first commit is told that its fence is lost, once its shard was taken anew."""

    def __init__(self, log: OneShardLog, cluster: Cluster) -> None:
        super().__init__(log, Unavailable("unused"))
        self._cluster = cluster
        self.fences: list[int] = []

    async def commit(
        self, leases: Sequence[Lease], prepared: Prepared, moves: Mapping[int, Position] = NOWHERE
    ) -> tuple[Effect, ...]:
        """Lose the first fence, as after a pause of the process; commit under the next."""
        self.fences.append(leases[0].fence)
        if len(self.fences) > 1:
            self._fault = None
            return await super().commit(leases, prepared, moves)
        taken = anyio.Event()
        self._cluster.on_take = lambda _name, _fence: taken.set()
        self._cluster.beats["one"] = float("-inf")
        await taken.wait()
        await anyio.wait_all_tasks_blocked()
        raise FenceLost([leases[0].name])


@pytest.mark.anyio
async def test_a_shard_that_was_taken_anew_is_kept_when_its_former_fence_is_lost() -> None:
    """The end of a transaction of before says nothing about the lease of now."""
    log, cluster = OneShardLog([event(1)]), Cluster(ttl_s=0.4)
    projector = LosesTheOldFence(log, cluster)
    leases = MemoryLeases(cluster, "one")
    membership = Membership(leases)
    host = ProjectorHost(log, leases, membership, LogPolicies(log), projector, Wakeup(), ProjectorSettings())
    await run_until(projector.done, membership, host)
    assert projector.fences == [1, 2]


class ForgetsARelease(MemoryLeases):
    """Leases whose first release does not reach the store."""

    tries = 0

    async def release(self, names: Collection[str]) -> None:
        """Fail once."""
        self.tries += 1
        if self.tries == 1:
            raise Unavailable("gone")
        await super().release(names)


class ThreeShardLog(OneShardLog):
    """A log of three shards without events."""

    async def shard_count(self) -> int:
        """Three."""
        return 3


def test_a_shard_that_is_too_much_is_let_go_until_the_store_has_heard_of_it() -> None:
    """Else its lease would be held for ever by a process that does not read it."""
    cluster = Cluster(ttl_s=1.2)
    log, leases = ThreeShardLog([]), ForgetsARelease(cluster, "one")
    membership = Membership(leases)
    projector = CommitsUnheard(log, Unavailable("unused"))
    host = ProjectorHost(log, leases, membership, LogPolicies(log), projector, Wakeup(), ProjectorSettings())

    async def live() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await anyio.sleep(1.0)
            assert len(cluster.of("one")) == 3
            cluster.beats["two"] = float("inf")
            await anyio.sleep(3.0)
            assert leases.tries > 1
            assert len(cluster.of("one")) == 2
            tasks.cancel_scope.cancel()

    run_virtually(live)
