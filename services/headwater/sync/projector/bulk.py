"""Takes up the bulk events that the front has set aside, in small batches with rests, so that live events wait for little.

Which of two events of a record is projected first does not matter: fields are registers that the later time wins. So a live
event overtakes any number of bulk events, and both ways end in the same.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final, Protocol

import anyio
from msgspec import structs

from headwater.kernel.errors import Unavailable
from headwater.sync.catchup import CatchUp
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import Position, bulk_side
from headwater.sync.ports import EventLog, StoreRaced, StoreRefused
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.sides import Sides, last_of, oldest_of
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

LOOK_S: Final = 0.002
"""Pause between two looks whether live events are being projected."""
WAY_S_MAX: Final = 0.25
"""Longest wait for these before a batch: a load of live events that never ends does not hold bulk events for ever."""
ALONE_S: Final = 2.0
"""After so long without a live event nobody is taken to wait, and there are no rests."""


class Front(Protocol):
    """What reads the log at the front."""

    @property
    def held(self) -> Mapping[int, Lease]:
        """The shards of this process and their leases."""
        ...

    @property
    def busy(self) -> bool:
        """Whether live events are being projected."""
        ...

    @property
    def live_at_s(self) -> float:
        """Loop time at which some were last."""
        ...

    def drop_lost(self, used: Collection[Lease], names: Collection[str]) -> None:
        """Let go of what of *used* is lost."""
        ...


class BulkSide:
    """The bulk side of the shards of one process.

    Args:
        batch_events: events of a transaction, at most.
        rest: pause after a batch while live events come, in parts of the time that it took.
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
        batch_events: int,
        rest: float,
        poll_s: float,
        backoff_s_max: float,
        catch_up: CatchUp | None = None,
    ) -> None:
        self._log = log
        self._projector = projector
        self._front = front
        self._sides = sides
        self._batch_events = batch_events
        self._rest = rest
        self._poll_s = poll_s
        self._backoff_s_max = backoff_s_max
        self._catch_up = catch_up
        self._in_doubt = False

    async def run(self, bell: Wakeup) -> None:
        """Take up for ever; ends by cancellation, between or inside transactions alike.

        Args:
            bell: rung when something was set aside or shards were taken.
        """
        pause_s = 0.0
        while True:
            try:
                took_s = await self._take_up()
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
            if took_s is None:
                await bell.wait(self._poll_s)
            elif anyio.current_time() - self._front.live_at_s < ALONE_S:
                await anyio.sleep(took_s * self._rest)

    async def _take_up(self) -> float | None:
        """Project one batch and return the seconds that it took; None when nothing is set aside."""
        held = dict(self._front.held)
        if self._in_doubt and held:  # the last transaction may have committed: only its cursors tell
            self._sides.restore_back(held, await self._log.read_cursors([bulk_side(shard) for shard in held]))
            self._in_doubt = False
        behind = self._sides.behind(held)
        if not behind:
            return None
        await self._give_way()
        began_s = anyio.current_time()
        await self._project({shard: held[shard] for shard in behind})
        return anyio.current_time() - began_s

    async def _give_way(self) -> None:
        with anyio.move_on_after(WAY_S_MAX):
            while self._front.busy:  # noqa: ASYNC110 - it is over in milliseconds, and nobody announces it
                await anyio.sleep(LOOK_S)

    async def _project(self, leases: Mapping[int, Lease]) -> None:
        fronts = {shard: self._sides.front[shard] for shard in leases}
        limit = max(1, self._batch_events // len(leases))
        read = await self._log.read_events({shard: self._sides.back[shard] for shard in leases}, limit)
        events = [event for event in read if event.is_bulk and event.position <= fronts[event.shard]]
        known = (
            await self._log.read_projected(events) if events else set()
        )  # by a release that read each shard once
        fresh = [
            structs.replace(event, shard=bulk_side(event.shard))
            for event in events
            if (event.tenant_id, event.event_key) not in known
        ]
        prepared = await self._projector.prepare(fresh)
        counts, lasts = Counter(event.shard for event in read), last_of(read)
        moves = self._sides.moves(
            {shard: _reached(counts[shard] == limit, lasts.get(shard), fronts[shard]) for shard in leases}
        )
        try:
            await self._projector.commit(list(leases.values()), prepared, moves)
        except FenceLost as lost:
            self._front.drop_lost(list(leases.values()), lost.names)
            raise
        self._sides.took(moves)
        if self._catch_up and events:
            self._catch_up.note(oldest_of(events), more=bool(self._sides.behind(leases)))


def _reached(is_full: bool, last: Position | None, front: Position) -> Position:  # noqa: FBT001 - private
    """Return up to where bulk events are projected once all that was read up to *last* is."""
    return min(last, front) if is_full and last is not None else front
