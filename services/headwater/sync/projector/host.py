"""Runs the projector: leased shards, a wake-up by NOTIFY, back-off when something is down.

One worker reads all shards that the process holds, so that a quiet system costs one query a
wake-up; the order inside a shard is the log's. While a batch is being written the one behind it is read and
resolved, so that identity and the database work side by side.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import anyio

from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.kernel.ids import OWN_SOURCE, POLICY_OBJECT
from headwater.sync.catchup import CatchUp
from headwater.sync.domain.leasing import FenceLost, Lease, plan_leases
from headwater.sync.domain.log import Position, bulk_side
from headwater.sync.lulls import Lulls
from headwater.sync.membership import Membership
from headwater.sync.ports import EventLog, Leases, StoreRaced, StoreRefused
from headwater.sync.projector.batch import BatchProjector, Prepared
from headwater.sync.projector.bulk import BulkSide
from headwater.sync.projector.parking import Parking
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.projector.sides import Sides, last_of, oldest_of, set_aside
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProjectorSettings:
    """How much the projector takes at once.

    Args:
        batch_events: events of one transaction, at most.
        bulk_events: bulk events of one transaction, at most.
        gather_s: shortest time from one reading of the log to the next, so that events gather: one that comes alone
            waits for nothing, and behind a full batch the log is read at once.
        poll_s: longest wait for a wake-up that may have been missed.
        recheck_s: first pause where a writer of the log that is under way may hold back what a wake-up told of: it tells
            of its own only, and perhaps later. Doubled up to *poll_s*.
        policies_s: longest time that a new policy of another shard's log is not seen.
        backoff_s_max: longest pause after a failure.
        report_s: pause between two reports of how far the log is read.
    """

    batch_events: int = 500
    bulk_events: int = 200
    gather_s: float = 0.03
    poll_s: float = 1.0
    recheck_s: float = 0.004
    policies_s: float = 0.25
    backoff_s_max: float = 5.0
    report_s: float = 60.0


class ProjectorHost:
    """The projector of one process."""

    def __init__(
        self,
        log: EventLog,
        leases: Leases,
        membership: Membership,
        policies: LogPolicies,
        projector: BatchProjector,
        wakeup: Wakeup,
        settings: ProjectorSettings,
        catch_up: CatchUp | None = None,
        bulk_catch_up: CatchUp | None = None,
        lulls: Lulls | None = None,
        parking: Parking | None = None,
    ) -> None:
        self._parking = parking
        self._log = log
        self._leases = leases
        self._membership = membership
        self._policies = policies
        self._projector = projector
        self._wakeup = wakeup
        self._settings = settings
        self._catch_up = catch_up
        self._held: dict[int, Lease] = {}
        self._sides = Sides()
        self._aside = Wakeup()
        self._lulls = lulls or Lulls()
        self._bulk = BulkSide(
            log, projector, self, self._sides, self._lulls, settings.bulk_events, settings.poll_s,
            settings.backoff_s_max, bulk_catch_up,
        )  # fmt: skip
        self._in_doubt = False
        self._doubtful: set[str] = set()
        membership.on_lapse(self._lose_everything)
        self._ahead: _Batch | None = None
        self._policies_at = -math.inf
        self._read_at = -math.inf
        self._holds_back = False

    @property
    def held(self) -> Mapping[int, Lease]:
        """The shards of this process and their leases."""
        return self._held

    async def run(self) -> None:
        """Project for ever; ends by cancellation, between or inside transactions alike."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_leases)
            tasks.start_soon(self._report)
            tasks.start_soon(self._bulk.run, self._aside)
            if self._parking is not None:
                tasks.start_soon(self._parking.run, lambda: self._held)
            await self._work()

    async def _keep_leases(self) -> None:
        while True:
            try:
                await self._take_leases()
            except (Unavailable, StoreRaced) as error:
                _log.warning("shard leases: %s", error)
            await anyio.sleep(self._membership.beat_s)

    async def _take_leases(self) -> None:
        """Let go of the shards that are too much, take those that are free and due to this process."""
        await self._membership.wait_until_standing()
        names = {lease_name(shard): shard for shard in range(await self._log.shard_count())}
        plan = plan_leases(names, [lease.name for lease in self._held.values()], self._membership.processes)
        if plan.release:
            self._drop(plan.release)
            self._doubtful.update(plan.release)
        await self._settle_doubts()
        if not plan.take or not plan.candidates:
            return
        self._doubtful.update(plan.candidates)  # without an answer nobody knows which of them are ours
        fences = await self._leases.acquire(plan.candidates, plan.take)
        fresh = {names[name]: Lease(name, fence) for name, fence in fences.items()}
        if fresh and self._membership.may_work():
            self._sides.take(fresh, await self._log.read_cursors(_both_sides(fresh)))
            self._held = {**self._held, **fresh}
            self._wakeup.set()
            self._aside.set()
        self._doubtful.clear()

    async def _settle_doubts(self) -> None:
        """Let go of what the store may count as ours and we do not: nobody else could have it.

        What was too much, what was taken without our hearing of it. Waits for transactions under way.
        """
        doubtful = self._doubtful.difference(lease.name for lease in self._held.values())
        if doubtful:
            await self._leases.release(sorted(doubtful))
            self._doubtful.clear()

    def _drop(self, lost: Collection[str]) -> None:
        self._held = {shard: lease for shard, lease in self._held.items() if lease.name not in lost}

    def drop_lost(self, used: Collection[Lease], names: Collection[str]) -> None:
        """Drop what of *used* is lost; a shard that was taken anew meanwhile, under a new fence, is kept."""
        lost = {lease for lease in used if lease.name in names}
        self._held = {shard: lease for shard, lease in self._held.items() if lease not in lost}
        self._doubtful.update(names)  # what the store counts as ours all the same, nobody else could have

    def _lose_everything(self) -> None:
        self._held = {}

    async def _report(self) -> None:
        while True:
            await anyio.sleep(self._settings.report_s)
            if held := {shard: self._sides.whole(shard) for shard in self._held}:
                try:
                    await self._log.report_positions(held)
                except (Unavailable, StoreRefused) as error:
                    _log.warning("positions are not reported: %s", error)

    async def _work(self) -> None:
        pause_s, recheck_s = 0.0, self._settings.recheck_s
        while True:
            try:
                found = await self._project_once()
                pause_s = 0.0
            except FenceLost as lost:
                _log.warning("projector: %s", lost)
                continue
            except (Unavailable, StoreRaced, StoreRefused) as error:
                _log.warning("projector waits: %s", error)
                self._in_doubt = True
                pause_s = min(self._settings.backoff_s_max, pause_s * 2 or 0.1)
                await anyio.sleep(pause_s)
                continue
            if found is not None and (found.is_full or self._ahead is not None):
                continue
            soon_s = recheck_s if found is None else self._settings.recheck_s
            rang = await self._wakeup.wait(soon_s if self._holds_back else self._settings.poll_s)
            if found is not None:
                await self._gather()
            recheck_s = self._settings.recheck_s if rang else min(recheck_s * 2, self._settings.poll_s)

    async def _project_once(self) -> _Batch | None:
        """Project what there is, up to one batch, and return it; None when there was none."""
        batch, self._ahead = self._ahead, None
        if batch is None or not batch.stands(self._held, self._sides.front):
            batch = await self._read(self._held)
        if batch is None:
            return None
        failure: HeadwaterError | FenceLost | None = None
        news = anyio.CancelScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_ahead, batch, news)
            try:
                await self._write(batch)
            except (FenceLost, HeadwaterError) as error:
                failure = error
                tasks.cancel_scope.cancel()
            news.cancel()
        if isinstance(failure, FenceLost):
            self.drop_lost(batch.leases, failure.names)
        if failure is not None:
            self._ahead = None
            raise failure
        if self._catch_up:
            self._catch_up.note(batch.oldest, more=batch.is_full)
        return batch

    async def _write(self, batch: _Batch) -> None:
        """Write a batch; of one that only sets aside nothing is written: the bulk side will."""
        along = self._sides.along(batch.reached, batch.aside)
        if batch.prepared is not None:
            with self._lulls.live():
                await self._projector.commit(batch.leases, batch.prepared, {**batch.reached, **along})
        self._sides.advance(batch.reached, batch.aside, along, written=batch.prepared is not None)
        if batch.aside:
            self._aside.set()

    async def _look_ahead(self, batch: _Batch, news: anyio.CancelScope) -> None:
        """Read and resolve what stands behind *batch*, as if that were written already; within *news* wait for some."""
        if not batch.is_full:
            rang = False
            with news:
                rang = await self._wakeup.wait(self._settings.poll_s)
                await self._gather()
            if news.cancelled_caught or not rang:
                if rang:
                    self._wakeup.set()  # heard, and not followed
                return
        try:
            self._ahead = await self._read(self._held, batch.reached)
        except (Unavailable, StoreRaced, StoreRefused) as error:
            _log.info("nothing is prepared ahead: %s", error)
            self._holds_back = True  # what it was told of is still to be read

    async def _gather(self) -> None:
        await anyio.sleep(max(0.0, self._read_at + self._settings.gather_s - anyio.current_time()))

    async def _read(self, held: Mapping[int, Lease], reached: Mapping[int, Position] = {}) -> _Batch | None:
        """Read and resolve the next batch of *held* shards; None when there is none.

        Args:
            reached: positions of shards whose batch is being written.
        """
        held, anew = dict(held), not self._in_doubt
        if self._in_doubt and held:  # the last transaction may have committed: only its cursors tell
            self._sides.restore_front(held, await self._log.read_cursors(list(held)))
            self._in_doubt = False
            self._aside.set()
        await self._refresh_policies()
        if not held:
            return None
        began_s = anyio.current_time()
        shard_limit = max(1, self._settings.batch_events // len(held))
        after = {shard: reached.get(shard) or self._sides.front[shard] for shard in held}
        events, self._holds_back = await self._log.read_events(after, shard_limit)
        if not events:
            return None
        if any(event.source == OWN_SOURCE and event.object == POLICY_OBJECT for event in events):
            await self._refresh_policies(at_once=True)
        counts = Counter(event.shard for event in events)
        leases = [held[shard] for shard in counts]
        is_full = max(counts.values()) >= shard_limit
        live = [event for event in events if not event.is_bulk]
        # Deliveries give way from the first batch on; one that is tried again holds up nobody.
        if self._catch_up and anew:
            self._catch_up.begin(oldest_of(live), more=is_full)
        if live:  # behind bulk events alone nobody waits for more
            self._read_at = began_s
        prepared: Prepared | None = None
        if live:
            with self._lulls.live():
                prepared = await self._projector.prepare(live)
        return _Batch(leases, after, prepared, is_full, last_of(events), set_aside(events), oldest_of(live))

    async def _refresh_policies(self, *, at_once: bool = False) -> None:
        """Read the policies now and then, also without a shard: actors and operators go by them."""
        now = anyio.current_time()
        if at_once or now - self._policies_at >= self._settings.policies_s:
            await self._policies.refresh()
            self._policies_at = now


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch ready to be written.

    Args:
        after: positions behind which it was read.
        prepared: its live events; None when there are none.
        is_full: of a shard as much was read as may be, so there may be more.
        reached: the shards' positions once it is written.
        aside: the last bulk event of each shard that has any: what is not prepared.
        oldest: when the first live event of each tenant was recorded.
    """

    leases: Sequence[Lease]
    after: Mapping[int, Position]
    prepared: Prepared | None
    is_full: bool
    reached: Mapping[int, Position]
    aside: Mapping[int, Position]
    oldest: Mapping[str, dt.datetime]

    def stands(self, held: Mapping[int, Lease], cursors: Mapping[int, Position]) -> bool:
        """Say whether it is still what comes next: its shards are ours, by the same leases, and stand where it began."""
        ours = {lease.name: lease for lease in held.values()}
        return all(ours.get(lease.name) == lease for lease in self.leases) and all(
            cursors[shard] == self.after[shard] for shard in self.reached
        )


def _both_sides(shards: Collection[int]) -> list[int]:
    return [*shards, *(bulk_side(shard) for shard in shards)]


def lease_name(shard: int) -> str:
    """Return the name of the lease of *shard*."""
    return f"shard/{shard}"
