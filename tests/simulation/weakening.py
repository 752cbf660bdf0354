"""Parts of the engine that leave one safeguard out each: subclasses and wrappers of what the product has."""
# ruff: noqa: ARG001, ARG002, D101 - what overrides takes what it is given; names and the table say the rest

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from msgspec import structs
from tests.simulation.store.books import MemoryBooks
from tests.simulation.store.deliveries import MemoryDeliveries
from tests.simulation.store.leases import MemoryDueTimes, MemoryLeases
from tests.simulation.store.projections import MemoryProjections, MemoryUnit
from tests.simulation.store.tables import LeaseRow
from tests.simulation.vendor import SimulatedConnector

from headwater.connectors.base import (
    CallFailed,
    ErrorClass,
    Found,
    LimitFacts,
    Outcome,
    Target,
    VendorError,
    Write,
)
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.limiting import Granted, Limiter, WaitUntil
from headwater.sync.domain.log import NOWHERE
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.domain.usage import Usage
from headwater.sync.membership import Membership
from headwater.sync.ports import DueAccount
from headwater.sync.store.line import Line, Place


class NoFence(MemoryDeliveries):
    def check_fence(self) -> None:
        pass


class NoFenceBooks(MemoryBooks):
    def put(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        self.tables.usage[self.key].fence = self.lease.fence
        super().put(usage, ledger, reserve)


class NeverLost(Membership):
    """A process that never gives up what it holds, however long it was away."""

    def may_work(self) -> bool:
        return self._standing

    def _lose(self) -> None:
        pass


class ReleasesAtSend(Limiter):
    """A place in a window is free one window after the sending, not after the answer."""

    def reserve(
        self, now_ns: int, cost: int, endpoint_class: str, spared: Collection[int] = ()
    ) -> Granted | WaitUntil:
        answer = super().reserve(now_ns, cost, endpoint_class, spared)
        if isinstance(answer, Granted):
            self._arrived(answer, now_ns)
        return answer

    def answered(self, now_ns: int, grant: Granted) -> None:
        pass

    def lost(self, now_ns: int, grant: Granted) -> None:
        self.ended(grant)

    def give_back(self, grant: Granted) -> None:
        self.ended(grant)


class UsageForgotten(MemoryBooks):
    """A successor begins with empty windows."""

    def take(self, day: dt.date) -> tuple[Usage, Ledger]:
        _, ledger = super().take(day)
        return Usage(fresh=True), ledger


class NoExclusion(MemoryDeliveries):
    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        return await super().turn(settlements, replace(wanted, excluding=()))


class PutBackHeld(MemoryDeliveries):
    """What a slot has claimed counts as its own until it claims again, though it was put back."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._claims: dict[int, set[uuid.UUID]] = {}

    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        others = [keys for slot, keys in self._claims.items() if slot != wanted.slot]
        turn = await super().turn(settlements, replace(wanted, excluding={*wanted.excluding}.union(*others)))
        self._claims.setdefault(wanted.slot, set()).difference_update(
            item.claimed.entity_id for item in settlements
        )
        if any(wanted.lanes.values()):
            self._claims[wanted.slot] = {item.entity_id for item in turn.claimed}
        return turn


class ForgetfulTakeover(MemoryDeliveries):
    def _take_over(self) -> None:
        self.check_fence()
        self.tables.inflight.pop(self.key, None)


class NewerIgnored(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        super().settle_rows(settlements)
        for item in settlements:
            if item.state is State.DELIVERED:
                self.tables.account(self.key)[item.claimed.entity_id].state = State.DELIVERED


class AttemptsReset(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        super().settle_rows([structs.replace(item, failure_count=0, try_count=0) for item in settlements])


class NoAudit(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        super().settle_rows([structs.replace(item, changes=()) for item in settlements])


class TurnsNotNumbered(MemoryDeliveries):
    def _turn(
        self, number: int, settlements: Sequence[Settlement], wanted: Wanted, places: Sequence[Place]
    ) -> Turn:
        held = self.tables.inflight.get(self.key, {}).get(wanted.slot)
        if held is not None:
            held.turn_number = 0
        return super()._turn(number, settlements, wanted, places)


class NeverSwept(Line):
    def begin(self, now_s: float) -> list[Place]:
        self._sweep_time_s = self._sweep_time_s if self._sweep_time_s < 0 else float("inf")
        return super().begin(now_s)


class NoSweep(MemoryDeliveries):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.line = NeverSwept()


class ReferrersNotWoken(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        referrers, self.tables.referrers = self.tables.referrers, {}
        try:
            super().settle_rows(settlements)
        finally:
            self.tables.referrers = referrers


class DoubtForgotten(MemoryDeliveries):
    """What the look-up must decide is settled as a plain failure."""

    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        plain = [
            structs.replace(i, state=State.RETRYING) if i.state is State.IN_DOUBT else i for i in settlements
        ]
        super().settle_rows(plain)


class SharedLeases(MemoryLeases):
    """Whoever asks holds."""

    def _acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        rows = self._tables.leases
        held = {name: rows[name].fence for name in names if name in rows and self._tables.is_held(name)}
        return held or super()._acquire(names, limit)


class SameFence(MemoryLeases):
    """A new holder gets the fence of the one before."""

    def _acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        before = {name: row.fence for name, row in self._tables.leases.items()}
        taken = super()._acquire(names, limit)
        for name in taken:
            taken[name] = before.get(name, 1)
            self._tables.leases[name] = LeaseRow(
                self.holder, taken[name], self._tables.leases[name].expire_time
            )
        return taken


class LeasesForEver(MemoryLeases):
    """A dead process holds on."""

    def _acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        mine = [
            n for n in names if n not in self._tables.leases or self._tables.leases[n].holder == self.holder
        ]
        return super()._acquire(mine, limit)


class NobodyWatches(MemoryDueTimes):
    async def due_accounts(self, accounts: Sequence[tuple[str, str]]) -> list[DueAccount]:
        await super().due_accounts(accounts)
        return []


class CursorApart(MemoryUnit):
    """The cursor moves at once, the rest at the commit."""

    async def move_cursors(self, positions: Any, further: Any = NOWHERE) -> None:
        def move() -> None:
            for shard, position in {**positions, **further}.items():
                self.tables.cursors[shard] = position

        await self.link.call("move_cursors", move)


class MarksLost(MemoryUnit):
    """A mark is dropped where its delivery is under way."""

    def _write(self, workspace: Workspace) -> None:
        for place, mark in list(workspace.marks.items()):
            slots = self.tables.inflight.get((mark.tenant_id, mark.connector), {})
            if any(mark.entity_id in row.entities for row in slots.values()):
                del workspace.marks[place]
        super()._write(workspace)


class Units(MemoryProjections):
    unit: type[MemoryUnit] = MemoryUnit

    def new_unit(self) -> MemoryUnit:
        return self.unit(self._tables, self._link)


class CursorApartProjections(Units):
    unit = CursorApart


class MarksLostProjections(Units):
    unit = MarksLost


class Wrapped:
    """A connector that passes everything on."""

    def __init__(self, inner: SimulatedConnector) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def reworded(rewrite: Callable[[VendorError], VendorError]) -> Callable[[SimulatedConnector], Any]:
    """Return a connector whose failures are told in other words."""

    class Reworded(Wrapped):
        async def _told(self, call: Awaitable[Any]) -> Any:
            try:
                return await call
            except CallFailed as error:
                raise CallFailed(rewrite(error.error)) from error

        async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
            outcomes: Sequence[Outcome] = await self._told(self._inner.upsert(target, writes))
            return outcomes

        async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
            found: Mapping[str, Found] = await self._told(self._inner.look_up(target, external_ids))
            return found

    return Reworded


class NoOwners(Wrapped):
    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        return {}


class NoHolders(MemoryDeliveries):
    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, Any]:
        return {}


class NoHeir(MemoryDeliveries):
    async def inherit_record(self, *place: Any) -> None:
        del place


class NoLookUp(Wrapped):
    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        return {}


class ByPosition(Wrapped):
    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        return list(reversed(await self._inner.upsert(target, writes)))


class DeafGate:
    def __init__(self, gate: Any) -> None:
        self._gate = gate

    @asynccontextmanager
    async def call(self, method: str, url_template: str, **options: Any) -> AsyncIterator[Any]:
        async with self._gate.call(method, url_template, **options) as ticket:
            yield DeafTicket(ticket)


class DeafTicket:
    def __init__(self, ticket: Any) -> None:
        self._ticket = ticket
        self.headers = ticket.headers

    def answered(self, status: int, facts: LimitFacts) -> None:
        self._ticket.answered(200 if status == 429 else status, replace(facts, retry_after_s=None))


def never_exceeds(*_: Any) -> bool:
    return False


def never_parked(tries: Sequence[int], passed: int) -> Sequence[int]:
    """Park nothing."""
    return ()


def certain_halves(items: tuple[Claimed, ...]) -> list[tuple[Claimed, ...]]:
    middle = len(items) // 2
    return [items[:middle], items[middle:]]


def not_in_doubt(error: VendorError) -> VendorError:
    return (
        replace(error, error_class=ErrorClass.SERVER) if error.error_class is ErrorClass.IN_DOUBT else error
    )


def with_policy(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: {**document, **changes}


def with_limits(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        connectors = {
            name: {**item, "limits": {**item["limits"], **changes}}
            for name, item in document["connectors"].items()
        }
        return {**document, "connectors": connectors}

    return change


def with_connectors(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        connectors = {name: {**item, **changes} for name, item in document["connectors"].items()}
        return {**document, "connectors": connectors}

    return change


def nothing(*_: Any) -> None:
    pass


ALL_LIVE: Final = {
    "live": {"weight": 1, "share_min": 1.0},
    "retry": {"weight": 0, "share_min": 0},
    "backfill": {"weight": 0, "share_min": 0},
    "reconcile": {"weight": 0, "share_min": 0},
}
NEVER_LOST: Final[dict[str, Any]] = {"membership": NeverLost}


def always(_: Any) -> Callable[[], bool]:
    return lambda: True
