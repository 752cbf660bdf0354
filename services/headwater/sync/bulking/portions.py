"""What is gathered for bulk jobs: portions, each in the journal under a slot of its own, settled as a whole or in parts.

Owns the slots. Must not know how a job goes.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from headwater.connectors.base.bulk import BulkWriter
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Spans
from headwater.sync.bulking.ports import BulkBook
from headwater.sync.catchup import never
from headwater.sync.delivery.desk import Desk
from headwater.sync.delivery.guard import Guard
from headwater.sync.delivery.handling import Handler, Traces
from headwater.sync.delivery.outcomes import Judge
from headwater.sync.delivery.racing import again_when_raced
from headwater.sync.delivery.tracing import QUEUE
from headwater.sync.domain import bulking
from headwater.sync.domain.bulking import Recall, Sized
from headwater.sync.domain.delivering import Send
from headwater.sync.domain.doubting import Doubts
from headwater.sync.domain.settling import Settlement
from headwater.sync.lulls import Lulls


@dataclass(frozen=True, slots=True)
class BulkParts:
    """What the jobs of an account are made of; see `ActorParts`.

    Args:
        comes_s: for how long at most more of the tenant's bulk events are about to be projected; 0: none are known.
        lulls: of the process's live work: there portions are claimed and settled.
    """

    writer: BulkWriter
    book: BulkBook
    desk: Desk
    guard: Guard
    handler: Handler
    recall: Recall
    spans: Spans
    clock: Clock
    chance: random.Random
    doubts: Doubts
    comes_s: Callable[[], float] = never
    lulls: Lulls = field(default_factory=Lulls)


@dataclass(slots=True)
class Portion:
    """What one slot has claimed, as far as it is to be written."""

    slot: int
    judge: Judge
    traces: Traces
    left: set[uuid.UUID] = field(default_factory=set)


@dataclass(slots=True)
class Gathered:
    """What one job's worth of claims came to: writes with their sizes, and the portion of each entity."""

    sized: list[Sized] = field(default_factory=list)
    portions: dict[uuid.UUID, Portion] = field(default_factory=dict)


class Portions:
    """The portions of one actor."""

    def __init__(self, parts: BulkParts) -> None:
        self._parts = parts
        self._slots: set[int] = set()

    def take_slot(self) -> int:
        """Return the number of a slot that has nothing in flight; it is the caller's until given back."""
        slot = bulking.SLOT_FIRST
        while slot in self._slots:
            slot += 1
        self._slots.add(slot)
        return slot

    async def conclude(self, portion: Portion, settlements: Sequence[Settlement]) -> None:
        """Settle what was sent of a portion, spanned."""
        with self._parts.spans.settle(QUEUE, len(settlements), (item.trace for item in settlements)):
            await self.settle(portion, settlements)
        self.drop(portion)

    async def settle(self, portion: Portion, settlements: Sequence[Settlement]) -> None:
        """Settle a part of a portion; the rest stays in flight."""
        if settlements:
            portion.left.difference_update(item.claimed.entity_id for item in settlements)
            await self._parts.desk.settle_aside(
                portion.slot, settlements, self._parts.book, keeps=bool(portion.left)
            )

    async def let_go(self, gathered: Gathered, sends: Sequence[Send]) -> None:
        """Put back what was not tried."""
        if not sends:
            return
        members = {send.claimed.entity_id: send.claimed.version for send in sends}
        await again_when_raced(partial(self._parts.book.put_back, members), self._parts.chance)
        for portion, mine in by_portion(gathered, sends):
            portion.left.difference_update(send.claimed.entity_id for send in mine)
            await self.leave(portion)

    def give_back(self, slot: int) -> None:
        """Let a slot be taken again."""
        self._slots.discard(slot)

    async def leave(self, portion: Portion) -> None:
        """Take a portion of which nothing is under way any more out of the journal."""
        if not portion.left:
            await self._parts.desk.settle_aside(portion.slot, (), self._parts.book, keeps=False)
            self.drop(portion)

    def drop(self, portion: Portion) -> None:
        """Give a portion's slot back once nothing of it is left."""
        if not portion.left:
            self._slots.discard(portion.slot)


def by_portion(gathered: Gathered, sends: Sequence[Send]) -> Sequence[tuple[Portion, list[Send]]]:
    """Return *sends* by the portion that each belongs to."""
    found: dict[int, tuple[Portion, list[Send]]] = {}
    for send in sends:
        portion = gathered.portions[send.claimed.entity_id]
        found.setdefault(portion.slot, (portion, []))[1].append(send)
    return list(found.values())
