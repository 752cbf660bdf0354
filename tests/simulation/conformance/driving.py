"""One random sequence of store operations, and what a store answered to each: times left out, the rest exact.

Both stores are driven through the ports alone, by the engine's own projector and settlements, so that what the
simulation relies on is what Postgres does.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from msgspec import structs
from tests.simulation.chance import named_uuid, stream
from tests.simulation.conformance.showing import as_one, found_record, shown
from tests.simulation.crm import CrmRecord
from tests.simulation.plan import Plan, PlannedAccount, PlannedEvent
from tests.simulation.policies import event_of, policy_of, title_of, told_event

from headwater.kernel.clock import SystemClock
from headwater.kernel.telemetry import Spans
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.breaker import Breakers, BreakerState
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.reading import Answers, Subject
from headwater.sync.domain.replaying import Replay, ReplayState, Scope
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Wanted
from headwater.sync.domain.usage import Usage, WindowUsage
from headwater.sync.ports import Deliveries, Leases, LimitBooks, Projections, ReplayQueue, StoreRefused
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.echoes import Echoes, HeldRecords

TENANT: Final = "t0"
ACCOUNT: Final = "c0"
LEASE: Final = "connector/t0/c0"
SHARD: Final = "shard/0"
SLOTS: Final = 3
DAY: Final = dt.date(2026, 3, 1)
CRM_IDS: Final = ("crm-", "crm2-")
"""How ids of CRM records begin: a record, and the one that takes its place."""
LATER_S: Final = 5000.0
"""Due so late that no run of the suite sees it."""
_ACCOUNTS = (PlannedAccount(TENANT, ACCOUNT, 10, 1.0, 2, 10, True, False, two_way=True),)


@dataclass(frozen=True, slots=True)
class Ground:
    """One store, as a holder of leases reaches it."""

    leases: Callable[[str], Leases]
    projections: Projections
    deliveries: Callable[[Lease], Deliveries]
    books: Callable[[Lease], LimitBooks]
    held: HeldRecords
    replays: ReplayQueue
    start: Callable[[Replay], Awaitable[None]]


class _Placed:
    """Identity that names an entity after the record."""

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:
        """Place all."""
        return Answers({item.key: _placed(tenant_id, item.key) for item, _ in subjects}, 0)


def _placed(tenant_id: str, key: RecordKey) -> uuid.UUID:
    """Return the entity of a record; a CRM's record is named after it."""
    prefix, _, named = key.external_id.partition("-")
    if f"{prefix}-" in CRM_IDS:
        return uuid.UUID(named)
    return named_uuid(tenant_id, key.object, key.external_id)


class _OnePolicy:
    def __init__(self, plan: Plan) -> None:
        self._documents = MappingProxyType(
            {TENANT: PolicyDocument.model_validate(policy_of(plan, TENANT, 1))}
        )

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return it."""
        return self._documents


@dataclass(slots=True)
class Driver:
    """Drives one store by one seed; two drivers of one seed do the same as long as the answers agree."""

    ground: Ground
    seed: int
    answers: list[Any] = field(default_factory=list)
    _dice: random.Random = field(default_factory=random.Random)
    _leases: dict[str, Leases] = field(default_factory=dict)
    _stores: dict[str, Deliveries] = field(default_factory=dict)
    _books_of: dict[str, LimitBooks] = field(default_factory=dict)
    _owner: str = "a"
    _inflight: dict[int, tuple[Claimed, ...]] = field(default_factory=dict)
    _events: int = 0
    _shard: Lease | None = None
    _numbers: int = 0
    _soon: bool = False

    async def run(self, steps: int) -> list[Any]:
        """Run *steps* operations; return every answer."""
        self._dice = stream(self.seed, "conformance")
        for holder in ("a", "b"):
            self._leases[holder] = self.ground.leases(holder)
            self.answers.append(("beat", await self._leases[holder].beat()))
        shard = await self._leases["a"].acquire([SHARD], 1)
        self._shard = Lease(SHARD, shard[SHARD])
        await self._take("a")
        for _ in range(steps):
            name = self._dice.choices(
                (
                    "project",
                    "turn",
                    "put_back",
                    "in_parts",
                    "stale",
                    "hand_over",
                    "breaker",
                    "holders",
                    "refused",
                    "beat",
                    "books",
                    "told",
                    "looked",
                    "replay",
                    "worked_off",
                ),
                (4, 10, 3, 2, 1, 1, 1, 1, 1, 1, 2, 3, 3, 1, 3),
            )[0]
            self.answers.append((name, await getattr(self, f"_{name}")()))
        return self.answers

    async def _take(self, holder: str) -> None:
        fences = await self._leases[holder].acquire([LEASE], 1)
        self.answers.append(("acquired", holder, fences))
        lease = Lease(LEASE, fences[LEASE])
        self._stores[holder] = self.ground.deliveries(lease)
        self._books_of[holder] = self.ground.books(lease)
        self._owner, self._inflight = holder, {}
        await self._stores[holder].take_over()
        usage, ledger = await self._books_of[holder].take_over(DAY)
        self.answers.append((usage.fresh, usage.strikes, dict(usage.windows), dict(usage.pauses), ledger))

    async def _project(self) -> Any:
        plan = Plan(self.seed, 1, _ACCOUNTS, (), ())
        return await self._projected(plan, [self._event(plan) for _ in range(self._dice.randint(1, 4))])

    async def _told(self) -> Any:
        """The CRM tells of a record: as we wrote it, otherwise, or of one that it has not told us the id of."""
        plan, dice = Plan(self.seed, 1, _ACCOUNTS, (), ()), self._dice
        self._events += 1
        entity_id = named_uuid(TENANT, "contact", f"p{dice.randrange(5)}")
        shown = {"Title": title_of(dice.randint(1, self._events)), "Email": dice.choice(("e@x.io", "f@x.io"))}
        mark = dice.choice(("", str(entity_id), str(named_uuid(TENANT, "contact", f"p{dice.randrange(5)}"))))
        record = CrmRecord("Contact", f"{dice.choice(CRM_IDS)}{entity_id}", mark)
        moment, key = (float(self._events), float(self._events)), named_uuid(self.seed, "told", self._events)
        told = told_event(_ACCOUNTS[0], record, shown, moment, self._events, key)
        return await self._projected(plan, [structs.replace(told, object="contact")])

    async def _looked(self) -> Any:
        """What is stored for telling echoes, times and what is on its way left out."""
        entities = [named_uuid(TENANT, "contact", f"p{number}") for number in range(5)]
        places = [(TENANT, ACCOUNT, entity_id) for entity_id in entities]
        held = self.ground.held
        keys = [
            (TENANT, ACCOUNT, "Contact", f"{prefix}{entity_id}")
            for prefix in CRM_IDS
            for entity_id in entities
        ]
        found, former = await held.find(keys), await held.find_former(keys)
        written = await held.find_written(places)
        writes = await held.own_writes(places)
        waiting = {(*key[:2], item.entity_id): item.waits_since for key, item in found.items()}
        waiting |= {place: item.waits_since for place, item in written.items()}
        sought = await held.sought({place: time for place, time in waiting.items() if time is not None})
        return (
            sorted((key, found_record(item)) for key, item in found.items()),
            sorted((key, item.entity_id) for key, item in former.items()),
            sorted((key, found_record(item)) for key, item in written.items()),
            sorted((key, sorted(map(repr, ((i.name, i.before, i.after) for i in items)))) for key, items in writes.items() if items),
            sorted((key, sorted(map(repr, items))) for key, items in sought.items() if items),
        )  # fmt: skip

    async def _replay(self) -> Any:
        """An operator has dead deliveries replayed or ended: all of the account, or named ones."""
        dice, number = self._dice, len(self.answers)
        named = tuple(named_uuid(TENANT, "contact", f"p{n}") for n in range(5)) if dice.random() < 0.5 else ()
        reason = dice.choice(("", "given up"))
        now = await self.ground.replays.now()
        await self.ground.start(
            Replay(
                TENANT, named_uuid(self.seed, "replay", number), Scope(ACCOUNT, entity_ids=named), 1000.0,
                ReplayState.RUNNING, 0, 0, now, "user:a", "1", discard_reason=reason,
            )
        )  # fmt: skip
        return None

    async def _worked_off(self) -> Any:
        """Work off what there is; later than any portion's time, so that the clock decides nothing."""
        replays = self.ground.replays
        steps = 0
        while await replays.next_time() is not None:
            assert await replays.work_off(await replays.now() + dt.timedelta(seconds=0.02))
            steps += 1
        return steps > 0

    async def _projected(self, plan: Plan, events: Sequence[LogEvent]) -> Any:
        projector = BatchProjector(
            self.ground.projections, _Placed(), _OnePolicy(plan), Spans.off(), SystemClock(),
            Echoes(self.ground.held),
        )  # fmt: skip
        assert self._shard is not None
        effects = await projector.project([self._shard], events)
        return [(effect.rule, effect.poisoned, effect.versions) for effect in effects]

    def _event(self, plan: Plan) -> Any:
        self._events += 1
        dice = self._dice
        kind = dice.choices(("contact", "account", "delete", "unstorable"), (8, 3, 1, 1))[0]
        subject = f"{'a' if kind == 'account' else 'p'}{dice.randrange(5)}"
        other = f"a{dice.randrange(5)}" if dice.random() < 0.5 else ""
        source = dice.choice(("site", "bulk")) if kind == "contact" else "site"
        planned = PlannedEvent(
            self._events, float(self._events), TENANT, source, kind, subject, other, "e@x.io"
        )
        return event_of(plan, planned, self._events, None)

    async def _turn(self) -> Any:
        slot = self._dice.randrange(SLOTS)
        self._soon = False
        settlements = [self._settlement(item) for item in self._inflight.get(slot, ())]
        return await self._one_turn(slot, settlements)

    async def _put_back(self) -> Any:
        """A slot settles some of what it has, or nothing, and claims nothing: the rest is any slot's again."""
        slot = self._dice.randrange(SLOTS)
        items = self._inflight.get(slot, ())
        self._soon = False
        settlements = [self._settlement(item) for item in items[: self._dice.randint(0, len(items))]]
        turn = await self._stores[self._owner].turn(settlements, Wanted(slot, {}, self._elsewhere(slot)))
        self._inflight[slot] = ()
        return shown(turn)

    async def _in_parts(self) -> Any:
        """A slot settles the first of what it has, and keeps the rest in flight."""
        slot = self._dice.randrange(SLOTS)
        items = self._inflight.get(slot, ())
        if not items:
            return "nothing"
        self._soon = False
        settlements = [self._settlement(items[0])]
        await self._stores[self._owner].turn(settlements, Wanted(slot, {}, keeps=True))
        self._inflight[slot] = items[1:]
        return len(items)

    def _elsewhere(self, slot: int) -> list[uuid.UUID]:
        others = [items for other, items in sorted(self._inflight.items()) if other != slot]
        return [item.entity_id for items in others for item in items]

    async def _one_turn(self, slot: int, settlements: Sequence[Settlement]) -> Any:
        rows = {lane: self._dice.choice((0, 1, 2, 9)) for lane in Lane}
        turn = await self._stores[self._owner].turn(settlements, Wanted(slot, rows, self._elsewhere(slot)))
        self._inflight[slot] = turn.claimed
        return shown(turn)

    def _settlement(self, item: Claimed) -> Settlement:
        dice = self._dice
        state = dice.choices(
            (State.DELIVERED, State.RETRYING, State.IN_DOUBT, State.DEAD, State.PENDING), (6, 2, 1, 1, 1)
        )[0]
        delivered = state is State.DELIVERED
        waits = state is State.PENDING
        outcome = {State.DELIVERED: "updated", State.IN_DOUBT: "in_doubt", State.PENDING: ""}.get(
            state, "failed"
        )
        return Settlement(
            claimed=item,
            state=state,
            lane=Lane.RETRY if state in {State.RETRYING, State.IN_DOUBT} else item.lane,
            version=item.version,
            crm_object=item.object.capitalize(),
            crm_id=self._crm_id(item, state),
            known=dict(item.values) if delivered else item.known,
            failure_count=item.failure_count + (0 if delivered or waits else 1),
            try_count=0 if delivered else item.tries_before + (0 if waits else 1),
            start_time=dt.datetime.now(dt.UTC),
            outcome=outcome,
            after_s=self._pause(dice.choice((0.0, LATER_S)))
            if state in {State.RETRYING, State.IN_DOUBT, State.PENDING}
            else 0.0,
            waits=waits,
            lacks_reference=delivered and any(not reference.crm_id for reference in item.references),
            error_class="" if delivered or waits else "server",
            created=delivered and not item.crm_id,
            changes=({"field": "title", "before": None, "after": 1, "rule": "minimal_patch"},)
            if delivered
            else (),
        )

    def _crm_id(self, item: Claimed, state: State) -> str:
        """Return the record that it is bound to now: made, given up, or another one's place taken."""
        held = item.crm_id
        if state is State.DELIVERED:
            return (
                held
                if held and self._dice.random() < 0.8
                else f"{self._dice.choice(CRM_IDS)}{item.entity_id}"
            )
        return "" if state is State.RETRYING and self._dice.random() < 0.3 else held

    def _pause(self, after_s: float) -> float:
        """Return *after_s*, but for one row of a turn alone nothing: which of two at one moment is first, nobody promises."""
        if self._soon:
            return LATER_S
        self._soon = after_s == 0.0
        return after_s

    async def _stale(self) -> Any:
        """A holder that has lost the account is told so, whatever it tries."""
        other = "b" if self._owner == "a" else "a"
        if other not in self._stores:
            return "nobody"
        try:
            await self._stores[other].turn((), Wanted(0, {Lane.LIVE: 1}))
        except FenceLost as lost:
            return lost.names, await self._books()
        return "held"

    async def _hand_over(self) -> Any:
        """The account goes to the other holder; what was in flight is in doubt there."""
        await self._leases[self._owner].release([LEASE])
        other = "b" if self._owner == "a" else "a"
        await self._take(other)
        return other

    async def _breaker(self) -> Any:
        self._numbers += 1
        await self._stores[self._owner].write_breaker(
            Breakers(by_key={"account": BreakerState(self._numbers, 2.0)}), 0
        )
        return None

    async def _holders(self) -> Any:
        ids = [f"crm-{named_uuid(TENANT, 'contact', f'p{number}')}" for number in range(5)]
        return await self._stores[self._owner].holders("Contact", ids)

    async def _refused(self) -> Any:
        """Two entities cannot be one CRM record: nothing of the turn stands, and it may be sent anew."""
        slot = next((number for number, items in sorted(self._inflight.items()) if len(items) > 1), None)
        if slot is None:
            return "too few"
        settlements = [self._settlement(item) for item in self._inflight[slot]]
        same = [as_one(item) for item in settlements]
        try:
            await self._stores[self._owner].turn(same, Wanted(slot, {}, ()))
        except StoreRefused:
            return await self._one_turn(slot, settlements)
        return "taken"

    async def _books(self) -> Any:
        """What an account used is written under its lease alone, and what may be used beyond it."""
        dice, told = self._dice, list[tuple[str, ...]]()
        used = WindowUsage(((dice.randrange(10**9), 3), (10**10, 1)), dice.randrange(9), 10)
        usage = Usage({"calls/1s/all": used}, {"write": dice.randrange(10**10)}, dice.randrange(3))
        calls, limit = dice.randrange(50), dice.choice((None, 100))
        ledger = Ledger(
            DAY, calls, calls * 2, dice.choice((None, calls)), limit, 0, 0.5, None, dice.randrange(3)
        )
        for holder, books in sorted(self._books_of.items()):
            try:
                await books.write(usage, ledger, Reserve(dice.randrange(9), dice.randrange(9)))
                told.append((holder, "written"))
            except FenceLost as lost:
                told.append((holder, *lost.names))
        return told

    async def _beat(self) -> Any:
        return [await self._leases[holder].beat() for holder in ("a", "b")]
