"""Runs the projector: leased shards, a wake-up by NOTIFY, back-off when something is down.

One worker reads all shards that the process holds, so that a quiet system costs one query a
wake-up; the order inside a shard is the log's.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

import anyio

from headwater.kernel.errors import Unavailable
from headwater.sync.domain.leasing import FenceLost, Lease, plan_leases
from headwater.sync.domain.log import Position
from headwater.sync.membership import Membership
from headwater.sync.ports import EventLog, Leases, StoreRaced, StoreRefused
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProjectorSettings:
    """How much the projector takes at once.

    Args:
        batch_events: events of one transaction, at most.
        poll_s: longest wait for a wake-up that may have been missed.
        backoff_s_max: longest pause after a failure.
        report_s: pause between two reports of how far the log is read.
    """

    batch_events: int = 500
    poll_s: float = 1.0
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
    ) -> None:
        self._log = log
        self._leases = leases
        self._membership = membership
        self._policies = policies
        self._projector = projector
        self._wakeup = wakeup
        self._settings = settings
        self._held: dict[int, Lease] = {}
        self._cursors: dict[int, Position] = {}
        self._in_doubt = False
        self._doubtful: set[str] = set()
        membership.on_lapse(self._lose_everything)

    async def run(self) -> None:
        """Project for ever; ends by cancellation, between or inside transactions alike."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_leases)
            tasks.start_soon(self._report)
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
            await self._leases.release(plan.release)  # waits for the transaction under way
        await self._settle_doubts()
        if not plan.take or not plan.candidates:
            return
        self._doubtful.update(plan.candidates)  # without an answer nobody knows which of them are ours
        fences = await self._leases.acquire(plan.candidates, plan.take)
        fresh = {names[name]: Lease(name, fence) for name, fence in fences.items()}
        if fresh and self._membership.may_work():
            cursors = await self._log.read_cursors(list(fresh))
            self._held = {**self._held, **fresh}
            self._cursors.update(cursors)
            self._wakeup.set()
        self._doubtful.clear()

    async def _settle_doubts(self) -> None:
        """Let go of what may have been taken without our hearing of it: nobody else could have it."""
        doubtful = self._doubtful.difference(lease.name for lease in self._held.values())
        if doubtful:
            await self._leases.release(sorted(doubtful))
            self._doubtful.clear()

    def _drop(self, lost: Collection[str]) -> None:
        self._held = {shard: lease for shard, lease in self._held.items() if lease.name not in lost}

    def _lose_everything(self) -> None:
        self._held = {}

    async def _report(self) -> None:
        while True:
            await anyio.sleep(self._settings.report_s)
            if held := {shard: self._cursors[shard] for shard in self._held}:
                try:
                    await self._log.report_positions(held)
                except (Unavailable, StoreRefused) as error:
                    _log.warning("positions are not reported: %s", error)

    async def _work(self) -> None:
        pause_s = 0.0
        while True:
            try:
                full = await self._project_once()
                pause_s = 0.0
            except FenceLost as lost:
                _log.warning("projector: %s", lost)
                self._drop(lost.names)
                continue
            except (Unavailable, StoreRaced, StoreRefused) as error:
                _log.warning("projector waits: %s", error)
                self._in_doubt = True
                pause_s = min(self._settings.backoff_s_max, pause_s * 2 or 0.1)
                await anyio.sleep(pause_s)
                continue
            if not full:
                await self._wakeup.wait(self._settings.poll_s)

    async def _project_once(self) -> bool:
        """Project what there is, up to one batch; return whether there may be more."""
        await self._policies.refresh()  # also without a shard: actors and operators go by it
        held = dict(self._held)
        if not held:
            return False
        if self._in_doubt:  # the last transaction may have committed: only its cursors tell
            self._cursors.update(await self._log.read_cursors(list(held)))
            self._in_doubt = False
        shard_limit = max(1, self._settings.batch_events // len(held))
        events = await self._log.read_events({s: self._cursors[s] for s in held}, shard_limit)
        if not events:
            return False
        touched = {event.shard for event in events}
        await self._projector.project([held[shard] for shard in touched], events)
        for event in events:
            self._cursors[event.shard] = event.position
        return True


def lease_name(shard: int) -> str:
    """Return the name of the lease of *shard*."""
    return f"shard/{shard}"
