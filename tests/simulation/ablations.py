"""Engines that lack one safeguard each: the suite is worth what it catches of them.

Each is the product with one part replaced by a subclass or a wrapper that leaves one thing out.
"""
# ruff: noqa: ARG002 - overriding methods take what they are given

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from msgspec import structs
from tests.simulation.engine import PRODUCT
from tests.simulation.process import Parts
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
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.ports import DueAccount
from headwater.sync.store.line import Line, Place


@dataclass(frozen=True, slots=True)
class Ablation:
    """A safeguard that is gone.

    Args:
        lacks: what is missing, in a few words.
    """

    name: str
    lacks: str
    parts: Parts


class _NoFence(MemoryDeliveries):
    def check_fence(self) -> None:
        pass


class _NoExclusion(MemoryDeliveries):
    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        return await super().turn(settlements, replace(wanted, excluding=()))


class _ForgetfulTakeover(MemoryDeliveries):
    def _take_over(self) -> None:
        self.check_fence()
        self.tables.inflight.pop(self.key, None)


class _NewerIgnored(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        super().settle_rows(settlements)
        for item in settlements:
            if item.state is State.DELIVERED:
                self.tables.account(self.key)[item.claimed.entity_id].state = State.DELIVERED


class _AttemptsReset(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        super().settle_rows([structs.replace(item, failure_count=0, try_count=0) for item in settlements])


class _NoAudit(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        super().settle_rows([structs.replace(item, changes=()) for item in settlements])


class _TurnsNotNumbered(MemoryDeliveries):
    def _turn(
        self, number: int, settlements: Sequence[Settlement], wanted: Wanted, places: Sequence[Place]
    ) -> Turn:
        held = self.tables.inflight.get(self.key, {}).get(wanted.slot)
        if held is not None:
            held.turn_number = 0
        return super()._turn(number, settlements, wanted, places)


class _NeverSwept(Line):
    def begin(self, now_s: float) -> list[Place]:
        self._sweep_time_s = self._sweep_time_s if self._sweep_time_s < 0 else float("inf")
        return super().begin(now_s)


class _NoSweep(MemoryDeliveries):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.line = _NeverSwept()


class _ReferrersNotWoken(MemoryDeliveries):
    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        referrers, self.tables.referrers = self.tables.referrers, {}
        try:
            super().settle_rows(settlements)
        finally:
            self.tables.referrers = referrers


class _DoubtForgotten(MemoryDeliveries):
    """What the look-up must decide is settled as a plain failure."""

    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        plain = [
            structs.replace(i, state=State.RETRYING) if i.state is State.IN_DOUBT else i for i in settlements
        ]
        super().settle_rows(plain)


class _SharedLeases(MemoryLeases):
    """Whoever asks holds."""

    def _acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        rows = self._tables.leases
        held = {name: rows[name].fence for name in names if name in rows and self._tables.is_held(name)}
        return held or super()._acquire(names, limit)


class _SameFence(MemoryLeases):
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


class _LeasesForEver(MemoryLeases):
    """A dead process holds on."""

    def _acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        mine = [
            n for n in names if n not in self._tables.leases or self._tables.leases[n].holder == self.holder
        ]
        return super()._acquire(mine, limit)


class _NobodyWatches(MemoryDueTimes):
    async def due_accounts(self, accounts: Sequence[tuple[str, str]]) -> list[DueAccount]:
        await super().due_accounts(accounts)
        return []


class _CursorApart(MemoryUnit):
    """The cursor moves at once, the rest at the commit."""

    async def move_cursors(self, positions: Any) -> None:
        def move() -> None:
            for shard, position in positions.items():
                self.tables.cursors[shard] = position

        await self.link.call("move_cursors", move)


class _MarksLost(MemoryUnit):
    """A mark is dropped where its delivery is under way."""

    def _write(self, workspace: Workspace) -> None:
        for place, mark in list(workspace.marks.items()):
            slots = self.tables.inflight.get((mark.tenant_id, mark.connector), {})
            if any(mark.entity_id in row.entities for row in slots.values()):
                del workspace.marks[place]
        super()._write(workspace)


class _Units(MemoryProjections):
    unit: type[MemoryUnit] = MemoryUnit

    def new_unit(self) -> MemoryUnit:
        return self.unit(self._tables, self._link)


class _CursorApartProjections(_Units):
    unit = _CursorApart


class _MarksLostProjections(_Units):
    unit = _MarksLost


class _Wrapped:
    """A connector that passes everything on."""

    def __init__(self, inner: SimulatedConnector) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _reworded(rewrite: Callable[[VendorError], VendorError]) -> Callable[[SimulatedConnector], Any]:
    """Return a connector whose failures are told in other words."""

    class Reworded(_Wrapped):
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


class _NoOwners(_Wrapped):
    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        return {}


class _NoHolders(MemoryDeliveries):
    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, Any]:
        return {}


class _NoLookUp(_Wrapped):
    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        return {}


class _ByPosition(_Wrapped):
    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        return list(reversed(await self._inner.upsert(target, writes)))


class _DeafTicket:
    def __init__(self, ticket: Any) -> None:
        self._ticket = ticket
        self.headers = ticket.headers

    def answered(self, status: int, facts: LimitFacts) -> None:
        self._ticket.answered(200 if status == 429 else status, replace(facts, retry_after_s=None))


def _not_in_doubt(error: VendorError) -> VendorError:
    return (
        replace(error, error_class=ErrorClass.SERVER) if error.error_class is ErrorClass.IN_DOUBT else error
    )


def _with_policy(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: {**document, **changes}


def _with_limits(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        connectors = {
            name: {**item, "limits": {**item["limits"], **changes}}
            for name, item in document["connectors"].items()
        }
        return {**document, "connectors": connectors}

    return change


def _always(_: Any) -> Callable[[], bool]:
    return lambda: True


_ROWS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("no-fence", "no fence check at settle and claim", {"deliveries": _NoFence}),
    ("doubt-is-failure", "a lost answer is a plain failure", {"connector": _reworded(_not_in_doubt)}),
    ("doubt-forgotten", "what is in doubt is settled as failed", {"deliveries": _DoubtForgotten}),
    ("no-look-up", "in doubt, but never looked up", {"connector": _NoLookUp}),
    ("no-exclusion", "in-flight entities may be claimed again", {"deliveries": _NoExclusion}),
    (
        "breaker-counts-nothing",
        "the breaker never opens",
        {"document": _with_policy(breaker={"failures": 100})},
    ),
    (
        "no-limiter",
        "windows far wider than the vendor's",
        {"document": _with_limits(window={"calls": 1000, "window_s": 1.0})},
    ),
    ("takeover-ignores-journal", "nothing is in doubt after a crash", {"deliveries": _ForgetfulTakeover}),
    ("newer-ignored", "settling hides a newer desired version", {"deliveries": _NewerIgnored}),
    ("attempts-reset", "each try counts as the first", {"deliveries": _AttemptsReset}),
    ("no-deadline", "calls start after the lease has lapsed", {"may_work": _always}),
    ("no-sweep", "the low-water mark is never swept behind", {"deliveries": _NoSweep}),
    (
        "adoption-unchecked",
        "a CRM record is adopted whoever owns it",
        {"connector": _NoOwners, "deliveries": _NoHolders},
    ),
    ("by-position", "answers are matched to rows by place", {"connector": _ByPosition}),
    ("no-retry", "the first failure buries", {"document": _with_policy(retry={"fast_s": [], "slow_s": []})}),
    ("batch-unbounded", "calls larger than the policy allows", {"document": _with_limits(batch_records=100)}),
    (
        "concurrency-unbounded",
        "more calls at once than the policy allows",
        {"document": _with_limits(concurrency=32)},
    ),
    ("no-audit", "deliveries without audit", {"deliveries": _NoAudit}),
    ("turns-not-numbered", "a turn sent again settles again", {"deliveries": _TurnsNotNumbered}),
    (
        "referrers-not-woken",
        "nobody is told that a referred record is there",
        {"deliveries": _ReferrersNotWoken},
    ),
    ("shared-leases", "two processes hold one lease", {"leases": _SharedLeases}),
    ("same-fence", "a new holder gets the old fence", {"leases": _SameFence}),
    ("leases-for-ever", "a dead process keeps its leases", {"leases": _LeasesForEver}),
    ("nobody-watches", "sleeping accounts hear notifications only", {"due_times": _NobodyWatches}),
    ("cursor-apart", "the cursor moves outside of the transaction", {"projections": _CursorApartProjections}),
    ("marks-lost", "a mark of a delivery under way is dropped", {"projections": _MarksLostProjections}),
)

ABLATIONS: Final = tuple(Ablation(name, lacks, replace(PRODUCT, **parts)) for name, lacks, parts in _ROWS)
