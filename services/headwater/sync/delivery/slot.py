"""One slot of an actor: turn, handle, turn again, until nothing is left for it.

Slots run side by side, so a call that hangs holds up its own slot's deliveries only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Final

import anyio

from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Spans
from headwater.policy.account import Retry
from headwater.policy.document import PolicyDocument
from headwater.sync.delivery.desk import Desk
from headwater.sync.delivery.guard import Guard
from headwater.sync.delivery.handling import Handler
from headwater.sync.delivery.outcomes import Judge
from headwater.sync.delivery.tracing import batch_spans
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.doubting import Doubts
from headwater.sync.domain.lanes import Lane
from headwater.sync.lulls import Lulls

LOOK_S: Final = 0.05
"""Pause between two looks whether deliveries give way still."""
LOOKS_MAX: Final = 3
"""Turns in a row that are told of due work and get none, before the slot lets it be."""


class Slot:
    """What every slot of an actor does; one value serves them all.

    Args:
        claims: says whether further deliveries may be claimed.
        spread: told after each claim, so that another slot may begin.
        gives_way_s: says for how long nothing is to be claimed, while the log is caught up with.
        lulls: told while live deliveries are under way.
    """

    def __init__(
        self,
        document: PolicyDocument,
        desk: Desk,
        guard: Guard,
        handler: Handler,
        spans: Spans,
        clock: Clock,
        chance: random.Random,
        retry: Retry,
        doubts: Doubts,
        claims: Callable[[], bool],
        spread: Callable[[], None],
        gives_way_s: Callable[[], float],
        lulls: Lulls,
    ) -> None:
        self._document = document
        self._desk = desk
        self._guard = guard
        self._handler = handler
        self._spans = spans
        self._clock = clock
        self._chance = chance
        self._retry = retry
        self._doubts = doubts
        self._claims = claims
        self._spread = spread
        self._gives_way_s = gives_way_s
        self._lulls = lulls

    async def run(self, number: int) -> None:
        """Deliver as slot *number* until nothing is due for it or nothing may start.

        Cancellation: what is in flight is in the journal, so the successor looks it up.

        Raises:
            FenceLost, StoreRaced, Unavailable, NothingHandled.
        """
        try:
            claimed = await self._claim(number)
            while claimed:
                self._spread()
                with self._lulls.live() if _is_live(claimed) else nullcontext():
                    claimed = await self._deliver(number, claimed)
                if not claimed and self._desk.outlook.more:  # else the settling turn has looked for all of us
                    claimed = await self._claim(number)
        finally:
            self._desk.leave(number)

    async def _claim(self, number: int) -> tuple[Claimed, ...]:
        """Claim for a slot that has nothing in flight; what waits in another lane takes a second look."""
        await self._give_way()
        for _ in range(LOOKS_MAX):
            if not self._claims():
                break
            with self._lulls.live():
                claimed = await self._desk.turn(number, (), claims=True)
            if claimed:
                return claimed
            if not self._desk.outlook.more or self._guard.permit().calls == "none":
                break
        return ()

    async def _give_way(self) -> None:
        while self._claims() and (left_s := self._gives_way_s()) > 0:  # noqa: ASYNC110 - time alone ends it
            await anyio.sleep(min(left_s, LOOK_S))

    async def _deliver(self, number: int, claimed: Sequence[Claimed]) -> tuple[Claimed, ...]:
        """Handle a batch, settle it and return the next one."""
        judge = Judge(self._retry, self._chance, self._document.version, self._clock.now(), self._doubts)
        probes = self._desk.is_probe(number)
        with batch_spans(self._spans, self._clock, claimed) as batch:
            with self._guard.as_probe() if probes else nullcontext():
                settlements = await self._handler.handle(judge, claimed, batch.traces)
            self._desk.end_probe(number)
            with batch.settling(settlements):
                claims = self._claims() and not self._gives_way_s()
                following = await self._desk.turn(number, settlements, claims=claims)
        return following


def _is_live(claimed: Sequence[Claimed]) -> bool:
    return any(item.lane is Lane.LIVE for item in claimed)
