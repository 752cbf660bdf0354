"""Where the slots of one actor take turns: what each claims, and what is in flight in the others.

Turns of one account that claim come one after another, so that a claim knows what every other slot has in
flight: an entity never has two writes under way. A slot that would wait for its turn settles meanwhile, beside
the other one's: nothing else of a slot's round waits here.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import anyio

from headwater.policy.document import ConnectorPolicy
from headwater.sync.bulking.ports import BulkBook
from headwater.sync.delivery.fairness import TenantTurns
from headwater.sync.delivery.guard import Guard
from headwater.sync.delivery.outcomes import refused_by_store
from headwater.sync.delivery.racing import again_when_lost, again_when_raced
from headwater.sync.domain import adaptive, lanes
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.settling import Settlement, is_plain
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.metering import AccountMeter
from headwater.sync.ports import Deliveries, StoreRefused

MISSED_S: Final = 0.25
"""Pause after a turn that was told of due work and got none."""
SLOWED_S: Final = 1.0
"""Pause after a turn that left only lanes waiting which the day's quota slows down: so often it is looked again."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the last turn said of the work to come.

    Args:
        more: something is due that no slot has and that may use the quota now.
        due_s: loop time at which the next delivery is due; None when none waits.
    """

    more: bool = False
    due_s: float | None = None


class Desk:
    """The desk of one actor."""

    def __init__(
        self,
        tenant_id: str,
        policy: ConnectorPolicy,
        store: Deliveries,
        guard: Guard,
        turns: TenantTurns,
        chance: random.Random,
        meter: AccountMeter | None = None,
    ) -> None:
        self._meter = meter or AccountMeter("account")
        self._tenant_id = tenant_id
        self._policy = policy
        self._shares = lanes.shares_of(policy.lanes)
        self._store = store
        self._guard = guard
        self._turns = turns
        self._chance = chance
        self._lock = anyio.Lock()
        self._line = lanes.Line()
        self._in_flight: dict[int, frozenset[uuid.UUID]] = {}
        self._probe_slot: int | None = None
        self._looked = anyio.Event()
        self._feelers: dict[int, float] = {}
        self._backlog = anyio.Event()
        self.reserved: frozenset[lanes.Lane] = frozenset()
        """Lanes that slots leave alone: what waits there may go as a bulk job."""
        self.pace = adaptive.first_pace(policy.limits)
        self.outlook = Outlook()
        self.looks = 0
        """Turns begun that claim: what was due before one of them, that turn has taken or tells of."""

    @property
    def spare_slot(self) -> int:
        """Number of a slot that never has anything in flight."""
        return self._policy.limits.concurrency

    @property
    def in_flight(self) -> int:
        """The number of deliveries under way."""
        return sum(map(len, self._in_flight.values()))

    def look_anew(self) -> None:
        """Forget what the lanes were believed to hold: something may have come since."""
        self._line = lanes.Line(credit=self._line.credit)

    async def wait_looked(self, looks: int) -> None:
        """Return when a turn that claims has begun since there were *looks* of them."""
        while self.looks <= looks:
            await self._looked.wait()

    def forget_due(self) -> None:
        """Take the next due time as seen to."""
        self.outlook = replace(self.outlook, due_s=None)

    def observe(self, answer: adaptive.Answer) -> None:
        """Let the pace follow an answer of the vendor."""
        self.pace = adaptive.after(self.pace, answer, self._policy.limits, self._policy.adaptive)

    async def look(self) -> None:
        """Read the account's state, claiming nothing."""
        await self.turn(self.spare_slot, (), claims=False)

    async def turn(
        self, slot: int, settlements: Sequence[Settlement], *, claims: bool
    ) -> tuple[Claimed, ...]:
        """Settle what *slot* has tried, then claim its next deliveries.

        What it had in flight and does not settle was not tried: it is due as before.

        Raises:
            FenceLost, StoreRaced (again and again), Unavailable: what is in flight stays in the journal.
        """
        if settlements and self._lock.locked() and all(map(is_plain, settlements)):
            settlements = await self._settle_beside(slot, settlements)
        async with self._lock, self._turns.of(self._tenant_id):
            self._end_feeler(slot)
            rows = self._rows(slot) if claims else 0
            able = self._guard.open_lanes().difference(self.reserved)
            asked, line = lanes.ask(self._line, rows, self._shares, able) if rows else ({}, self._line)
            if rows:
                self._note_look()
            others = [key for other, keys in self._in_flight.items() if other != slot for key in keys]
            turn = await self._settle_and_claim(settlements, Wanted(slot, asked, others))
            self._guard.take_in(turn.state)
            if turn.claimed and not self._may_go():  # paused, or opened, in this very moment
                turn = await self._settle_and_claim((), Wanted(slot, {}, others))
            self._note(slot, asked, line, turn, able)
            if turn.claimed and self._guard.permit().calls == "probe" and self._guard.start_probe():
                self._probe_slot = slot
            if turn.claimed and self.pace.feels:
                self._feelers[slot] = self.pace.cut_s
            return turn.claimed

    async def _settle_beside(self, slot: int, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Settle while another slot has its turn, and return what is left to settle.

        What the store refuses is left to the slot's own turn, which finds the row.
        """
        try:
            async with self._turns.of(self._tenant_id):
                await self._take(settlements, Wanted(slot, {}, keeps=True))
        except StoreRefused:
            return settlements
        settled = [item.claimed.entity_id for item in settlements]
        self._in_flight[slot] = self._in_flight.get(slot, frozenset()).difference(settled)
        return ()

    async def wait_backlog(self) -> None:
        """Return when a turn has seen something wait in a reserved lane since this was asked last."""
        await self._backlog.wait()
        self._backlog = anyio.Event()

    async def claim_aside(self, slot: int, rows: int, book: BulkBook) -> tuple[Claimed, ...]:
        """Claim deliveries of the backfill lane and set them aside, so that no other turn has to know of them.

        Raises: FenceLost, StoreRaced, Unavailable.
        """
        lane = lanes.Lane.BACKFILL
        if lane not in self._guard.open_lanes() or self._guard.permit().calls != "all":
            return ()
        async with self._lock, self._turns.of(self._tenant_id):
            others = [key for keys in self._in_flight.values() for key in keys]
            turn = await self._settle_and_claim((), Wanted(slot, {lane: rows}, others))
            self._guard.take_in(turn.state)
            if turn.claimed:
                entities = [item.entity_id for item in turn.claimed]
                await again_when_raced(lambda: book.set_aside(entities), self._chance)
            return turn.claimed

    async def settle_aside(
        self, slot: int, settlements: Sequence[Settlement], book: BulkBook, *, keeps: bool
    ) -> None:
        """Put what was set aside back in line and settle it, in one turn: nobody claims it between.

        Args:
            keeps: whether more of what *slot* has claimed is still under way.

        Raises: FenceLost, StoreRaced, Unavailable.
        """
        members = {item.claimed.entity_id: item.claimed.version for item in settlements}
        async with self._lock, self._turns.of(self._tenant_id):
            await again_when_raced(lambda: book.put_back(members), self._chance)
            await self._settle_and_claim(settlements, Wanted(slot, {}, keeps=keeps))

    def is_probe(self, slot: int) -> bool:
        """Say whether what *slot* has claimed is the breaker's one probe."""
        return self._probe_slot == slot

    def end_probe(self, slot: int) -> None:
        """Note that *slot* has made its calls."""
        if self._probe_slot == slot:
            self._probe_slot = None
            self._guard.end_probe()

    def leave(self, slot: int) -> None:
        """Forget *slot*: it has settled what it had, or the actor ends and its successor looks it up."""
        self.end_probe(slot)
        self._end_feeler(slot)
        self._in_flight.pop(slot, None)

    def _note_look(self) -> None:
        self.looks += 1
        self._looked.set()
        self._looked = anyio.Event()

    def _end_feeler(self, slot: int) -> None:
        """Note that what *slot* had claimed alone after a 429 is over."""
        if (cut_s := self._feelers.pop(slot, None)) is not None:
            self.pace = adaptive.felt(self.pace, cut_s)

    def _may_go(self) -> bool:
        return self._guard.permit().calls != "none"

    def _rows(self, slot: int) -> int:
        """Return how many rows *slot* may claim now."""
        busy = sum(1 for other, keys in self._in_flight.items() if keys and other != slot)
        most = self.pace.room(busy)
        match self._guard.permit().calls:
            case "all":
                return most
            case "probe":
                return min(1, most)
            case _:
                return 0

    async def _settle_and_claim(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Take a turn; what the store refuses is found by halving and settled as a dead letter: it holds up nobody."""
        try:
            return await self._take(settlements, wanted)
        except StoreRefused as refused:
            # Under a slot of their own: the batch stays in its slot's journal until all of it is settled.
            nothing = Wanted(self.spare_slot, {}, wanted.excluding)
            await self._settle_refused(settlements, refused, nothing)
            return await self._take((), wanted)

    async def _settle_refused(
        self, items: Sequence[Settlement], refused: StoreRefused, nothing: Wanted
    ) -> None:
        """Settle *items*, one of which, at least, the store has refused."""
        if len(items) == 1:
            await self._take([refused_by_store(items[0], refused.message)], nothing)
            return
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            try:
                await self._take(half, nothing)
            except StoreRefused as again:
                await self._settle_refused(half, again, nothing)

    async def _take(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Take a turn; one whose answer was lost is sent again as it was: the store settles nothing twice."""
        turn = await again_when_lost(
            lambda: again_when_raced(lambda: self._store.turn(settlements, wanted), self._chance),
            self._chance,
        )
        if settlements:
            self._meter.settled(settlements, turn.look_time)
        return turn

    def _note(
        self, slot: int, asked: lanes.Rows, line: lanes.Line, turn: Turn, able: Collection[lanes.Lane]
    ) -> None:
        self._in_flight[slot] = frozenset(item.entity_id for item in turn.claimed)
        claimed = Counter(item.lane for item in turn.claimed)
        if any(asked.values()):
            self._line = lanes.learn(line, asked, claimed, turn.waiting)
        waits = {lane for lane in lanes.Lane if turn.waiting.get(lane, False)}
        more = not waits.isdisjoint(able)
        if not waits.isdisjoint(self.reserved):
            self._backlog.set()
        due_s = turn.next_due_s
        if due_s is not None:
            least_s = SLOWED_S if waits and not more else 0.0 if turn.claimed else MISSED_S
            due_s = anyio.current_time() + max(due_s, least_s)
        self.outlook = Outlook(more, due_s)
