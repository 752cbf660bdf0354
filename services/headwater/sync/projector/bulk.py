"""Takes up the bulk events that the front has set aside, in lulls of the live ones and in short turns.

Which of two events of a record is projected first does not matter: fields are registers that the later time wins. So a live
event overtakes any number of bulk events, and both ways end in the same.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import anyio
from msgspec import structs

from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.catchup import CatchUp
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import NOWHERE, LogEvent, Position, bulk_side
from headwater.sync.lulls import Lulls, Size
from headwater.sync.ports import EventLog, StoreRaced, StoreRefused
from headwater.sync.projector.batch import BatchProjector, Prepared
from headwater.sync.projector.sides import Sides, last_of, oldest_of
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

EVENTS_MIN: Final = 128
"""Bulk events of a turn at least: below, what a transaction costs by itself prevails, and waiting for the turns."""
EVENTS_FIRST: Final = 128
"""Those of the first turn; then by what it took."""


class Front(Protocol):
    """What reads the log at the front."""

    @property
    def held(self) -> Mapping[int, Lease]:
        """The shards of this process and their leases."""
        ...

    def drop_lost(self, used: Collection[Lease], names: Collection[str]) -> None:
        """Let go of what of *used* is lost."""
        ...


class BulkSide:
    """The bulk side of the shards of one process.

    Args:
        lulls: when it has its turns.
        batch_events: events of a transaction, at most.
        poll_s: longest wait for what was set aside.
        backoff_s_max: longest pause after a failure.
        catch_up: told how far bulk events are behind.
    """

    def __init__(
        self,
        log: EventLog,
        projector: BatchProjector,
        front: Front,
        sides: Sides,
        lulls: Lulls,
        batch_events: int,
        poll_s: float,
        backoff_s_max: float,
        catch_up: CatchUp | None = None,
    ) -> None:
        self._log = log
        self._projector = projector
        self._front = front
        self._sides = sides
        self._lulls = lulls
        self._size = Size(min(EVENTS_FIRST, batch_events), min(EVENTS_MIN, batch_events), batch_events)
        self._poll_s = poll_s
        self._backoff_s_max = backoff_s_max
        self._catch_up = catch_up
        self._in_doubt = False
        self._ahead: _Batch | None = None

    async def run(self, bell: Wakeup) -> None:
        """Take up for ever; ends by cancellation, between or inside transactions alike.

        Args:
            bell: rung when something was set aside or shards were taken.
        """
        pause_s = 0.0
        while True:
            try:
                found = await self._take_up()
                pause_s = 0.0
            except FenceLost as lost:
                _log.warning("bulk side: %s", lost)
                continue
            except (Unavailable, StoreRaced, StoreRefused) as error:
                _log.warning("bulk side waits: %s", error)
                self._in_doubt = True
                pause_s = min(self._backoff_s_max, pause_s * 2 or 0.1)
                await anyio.sleep(pause_s)
                continue
            if not found:
                await bell.wait(self._poll_s)

    async def _take_up(self) -> bool:
        """Project one batch, and prepare the next meanwhile; return False when nothing is set aside."""
        held = dict(self._front.held)
        if self._in_doubt and held:  # the last transaction may have committed: only its cursors tell
            self._sides.restore_back(held, await self._log.read_cursors([bulk_side(shard) for shard in held]))
            self._in_doubt = False
        batch, self._ahead = self._ahead, None
        if batch is None or not batch.stands(held, self._sides.back):
            batch = await self._prepare(held)
        if batch is None:
            return False
        failure: HeadwaterError | FenceLost | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_ahead, held, batch)
            try:
                await self._write(batch)
            except (FenceLost, HeadwaterError) as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            self._ahead = None
            raise failure
        return True

    async def _look_ahead(self, held: Mapping[int, Lease], batch: _Batch) -> None:
        """Prepare what stands behind *batch*, as if that were written already."""
        try:
            self._ahead = await self._prepare(held, batch.reached)
        except (Unavailable, StoreRaced, StoreRefused) as error:
            _log.info("no bulk events are prepared ahead: %s", error)

    async def _prepare(
        self, held: Mapping[int, Lease], reached: Mapping[int, Position] = NOWHERE
    ) -> _Batch | None:
        """Read and resolve the next batch; None when nothing is set aside behind *reached*."""
        if not self._sides.behind(held, reached):
            return None
        async with self._lulls.turn() as turn:
            shards = self._sides.behind(held, reached)
            after = {shard: reached.get(shard, self._sides.back[shard]) for shard in shards}
            fronts = {shard: self._sides.front[shard] for shard in shards}
            limit = max(1, self._size.items // len(shards))
            read = (await self._log.read_events(after, limit)).events
            events = [event for event in read if event.is_bulk and event.position <= fronts[event.shard]]
            prepared = await self._projector.prepare(await self._fresh(events))
            counts, lasts = Counter(event.shard for event in read), last_of(read)
            places = {
                shard: _reached(counts[shard] == limit, lasts.get(shard), fronts[shard]) for shard in shards
            }
            leases = {shard: held[shard] for shard in shards}
            return _Batch(leases, after, events, prepared, places, turn.took_s)

    async def _fresh(self, events: Sequence[LogEvent]) -> list[LogEvent]:
        """Return *events* as the bulk side's, without those that a release projected that read each shard once."""
        known = await self._log.read_projected(events) if events else set()
        return [
            structs.replace(event, shard=bulk_side(event.shard))
            for event in events
            if (event.tenant_id, event.event_key) not in known
        ]

    async def _write(self, batch: _Batch) -> None:
        leases = list(batch.leases.values())
        async with self._lulls.turn() as turn:
            moves = self._sides.moves(batch.reached)
            try:
                await self._projector.commit(leases, batch.prepared, moves)
            except FenceLost as lost:
                self._front.drop_lost(leases, lost.names)
                raise
            took_s = max(batch.prepare_s, turn.took_s)
        self._sides.took(moves)
        self._size = self._size.after(len(batch.events), took_s, self._lulls.turn_s)
        if self._catch_up and batch.events:
            self._catch_up.note(oldest_of(batch.events), more=bool(self._sides.behind(batch.leases)))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Bulk events ready to be written.

    Args:
        after: positions behind which it was read.
        reached: up to where the bulk sides are projected once it is written.
        prepare_s: how long reading and resolving them took.
    """

    leases: Mapping[int, Lease]
    after: Mapping[int, Position]
    events: Sequence[LogEvent]
    prepared: Prepared
    reached: Mapping[int, Position]
    prepare_s: float

    def stands(self, held: Mapping[int, Lease], back: Mapping[int, Position]) -> bool:
        """Say whether it is still what comes next: its shards are ours, by the same leases, and stand where it began."""
        return all(held.get(shard) == lease for shard, lease in self.leases.items()) and all(
            back[shard] == place for shard, place in self.after.items()
        )


def _reached(is_full: bool, last: Position | None, front: Position) -> Position:  # noqa: FBT001 - private
    """Return up to where bulk events are projected once all that was read up to *last* is."""
    return min(last, front) if is_full and last is not None else front
