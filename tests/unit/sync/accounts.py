"""Doubles at the edges of the delivery actor: a queue in memory, a CRM that obeys, leases of many processes."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

import anyio
import anyio.lowlevel
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.limit_books import MemoryBooks, Shelf
from tests.unit.sync.tenant import TENANT, key, policy

from headwater.connectors.base import (
    Account,
    CallFailed,
    CallGate,
    Connector,
    ErrorClass,
    Found,
    LimitFacts,
    Outcome,
    Report,
    Target,
    VendorError,
    Write,
    Written,
)
from headwater.kernel.clock import SystemClock
from headwater.kernel.telemetry import Spans
from headwater.policy.account import Limits, Window
from headwater.policy.document import PolicyDocument
from headwater.sync.delivery.account import AccountParts, DeliveryAccount
from headwater.sync.delivery.credentials import Credentials
from headwater.sync.delivery.fairness import TenantTurns
from headwater.sync.domain.breaker import Breakers
from headwater.sync.domain.delivering import Holder
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.settling import ConnectorState, Settlement, State
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.ports import StoreRefused

Answer = TypeVar("Answer")

PATIENCE_S: Final = 10.0
ACCOUNT: Final = "salesforce"
WIDE: Final = Limits(window=Window(calls=100_000, window_s=1), concurrency=4, batch_records=10)
"""Limits that no test reaches by chance."""


def document(limits: Limits = WIDE, **changed: Any) -> PolicyDocument:
    """Return the tenant's policy with one account, of *limits*."""
    whole = policy()
    account = whole.connectors[ACCOUNT].model_copy(update={"limits": limits})
    return whole.model_copy(update={"connectors": {ACCOUNT: account}, **changed})


@dataclass(slots=True)
class Row:
    """A due delivery."""

    lane: Lane
    due_s: float
    in_doubt: bool = False


@dataclass
class Queue:
    """The tables of one account, shared by all who hold its lease in turn.

    Args:
        holders: CRM id to the entity whose record it is.
        left: CRM id to what a record holds that may be inherited; once each.
    """

    fence: int = 1
    due: dict[uuid.UUID, Row] = field(default_factory=dict)
    journal: dict[int, tuple[int, tuple[uuid.UUID, ...]]] = field(default_factory=dict)
    settled: list[Settlement] = field(default_factory=list)
    state: ConnectorState = field(default_factory=ConnectorState)
    findings: list[str] = field(default_factory=list)
    turns: int = 0
    faults: list[Exception] = field(default_factory=list)
    lost_answers: list[Exception] = field(default_factory=list)
    refused: set[uuid.UUID] = field(default_factory=set)
    holders: dict[str, Holder] = field(default_factory=dict)
    left: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def add(self, *numbers: int, lane: Lane = Lane.LIVE, in_doubt: bool = False) -> None:
        """Make deliveries due."""
        for number in numbers:
            self.due[key(number)] = Row(lane, 0.0, in_doubt)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Return when *reached* says so after some turn."""
        with anyio.fail_after(PATIENCE_S):
            while not reached():
                await self.changed.wait()

    async def until_empty(self) -> None:
        """Return when nothing is due."""
        await self.until(lambda: not self.due)

    def outcomes(self) -> dict[uuid.UUID, Settlement]:
        """Return the last settlement of each entity."""
        return {item.claimed.entity_id: item for item in self.settled}

    def tell(self) -> None:
        """Let those who wait look again."""
        self.changed.set()
        self.changed = anyio.Event()


class MemoryDeliveries:
    """The store of one lease on a queue in memory: the promises of the port, no database."""

    def __init__(self, queue: Queue, fence: int = 1) -> None:
        self._queue = queue
        self._fence = fence

    def _check(self) -> None:
        if self._queue.faults:
            raise self._queue.faults.pop(0)
        if self._fence < self._queue.fence:
            raise FenceLost(["account"])

    async def take_over(self) -> None:
        """Put in doubt what is in the journal."""
        self._check()
        for _, entities in self._queue.journal.values():
            for entity_id in entities:
                if entity_id in self._queue.due:
                    self._queue.due[entity_id].in_doubt = True
        self._queue.journal.clear()

    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Settle and claim."""
        queue = self._queue
        await anyio.lowlevel.checkpoint()
        queue.turns += 1
        self._check()
        self._settle(settlements)
        now_s = anyio.current_time()
        ready = [
            (row.lane, entity_id)
            for entity_id, row in queue.due.items()
            if row.due_s <= now_s and entity_id not in wanted.excluding
        ]
        taken: list[uuid.UUID] = []
        for lane in Lane:
            taken += [entity for of, entity in ready if of is lane][: wanted.lanes.get(lane, 0)]
        queue.journal[wanted.slot] = (self._fence, tuple(taken))
        rest = [(lane, entity) for lane, entity in ready if entity not in taken]
        left = Counter(lane for lane, _ in rest)
        later = [row.due_s - now_s for row in queue.due.values() if row.due_s > now_s]
        next_due_s = 0.0 if rest else min(later, default=None)
        queue.tell()
        if queue.lost_answers:
            raise queue.lost_answers.pop(0)
        items = tuple(self._claimed(entity) for entity in taken)
        return Turn(items, queue.state, next_due_s, {lane: left[lane] > 0 for lane in Lane})

    def _claimed(self, entity_id: uuid.UUID) -> Any:
        row = self._queue.due[entity_id]
        return claimed(entity_id=entity_id, lane=row.lane, in_doubt=row.in_doubt)

    def _settle(self, settlements: Sequence[Settlement]) -> None:
        bad = [item for item in settlements if item.claimed.entity_id in self._queue.refused]
        if any(item.error_code != "STORE_REFUSED" for item in bad):
            raise StoreRefused("no such value")
        for item in settlements:
            self._queue.settled.append(item)
            if item.state in {State.PENDING, State.RETRYING, State.IN_DOUBT}:
                due_s = anyio.current_time() + item.after_s
                doubt = item.state is State.IN_DOUBT
                self._queue.due[item.claimed.entity_id] = Row(item.lane, due_s, doubt)
            else:
                self._queue.due.pop(item.claimed.entity_id, None)

    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, Holder]:
        """Return whose records these are."""
        del crm_object
        return {crm_id: held for crm_id, held in self._queue.holders.items() if crm_id in crm_ids}

    async def inherit_record(
        self, crm_object: str, crm_id: str, holder_id: uuid.UUID, heir_id: uuid.UUID
    ) -> Mapping[str, Any] | None:
        """Give away what is left of a record."""
        del crm_object, holder_id, heir_id
        return self._queue.left.pop(crm_id, None)

    async def write_breaker(self, state: Breakers, generation: int) -> None:
        """Store the breaker."""
        if generation == self._queue.state.breaker_generation:
            self._queue.state = replace(self._queue.state, breaker=state)

    async def write_finding(self, finding: str) -> None:
        """Store a finding."""
        self._queue.findings.append(finding)
        self._queue.tell()


@dataclass
class Crm:
    """A CRM that keeps what it is told, and misbehaves as told.

    Args:
        hangs: entities whose calls never end by themselves.
        poisons: entities on which the connector itself breaks.
        fails: failures of the next calls, one each; None: the call is answered.
        lookups_fail: failures of the next look-ups, one each.
    """

    hangs: set[str] = field(default_factory=set)
    poisons: set[str] = field(default_factory=set)
    fails: list[VendorError | None] = field(default_factory=list)
    lookups_fail: list[VendorError] = field(default_factory=list)
    records: dict[str, Write] = field(default_factory=dict)
    writes: list[tuple[str, ...]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    prepared: int = 0
    opened: int = 0
    closed: int = 0
    under_way: Counter[str] = field(default_factory=Counter)
    overlaps: int = 0
    hanging: anyio.Event = field(default_factory=anyio.Event)
    release: anyio.Event = field(default_factory=anyio.Event)

    def open(self, vendor: str, account: Account, gate: CallGate) -> Connector:
        """Open a connector on this CRM."""
        del vendor, account
        self.opened += 1
        return cast("Connector", CrmConnector(self, gate))


class CrmConnector:
    """The connector of `Crm`; every call passes the gate."""

    def __init__(self, crm: Crm, gate: CallGate) -> None:
        self._crm = crm
        self._gate = gate

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Everything is there."""
        del targets
        async with self._gate.call("GET", "/", endpoint_class="read") as ticket:
            ticket.answered(200, LimitFacts())
            self._crm.prepared += 1
        return Report(ok=True, findings=())

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Keep the writes."""
        del target
        crm, names = self._crm, [write.external_id for write in writes]
        async with self._gate.call("POST", "/", endpoint_class="write") as ticket:
            crm.writes.append(tuple(names))
            crm.overlaps += sum(1 for name in names if crm.under_way[name])
            crm.under_way.update(names)
            try:
                if crm.hangs.intersection(names):
                    crm.hanging.set()
                    await crm.release.wait()
                await anyio.lowlevel.checkpoint()
                if poison := crm.poisons.intersection(names):
                    raise ZeroDivisionError(f"cannot map {min(poison)[-1]}")
                if crm.fails and (error := crm.fails.pop(0)):
                    ticket.answered(error.http_status, LimitFacts())
                    raise CallFailed(error)
                ticket.answered(200, LimitFacts())
                crm.records.update({write.external_id: write for write in writes})
            finally:
                crm.under_way.subtract(names)
        return [Written(f"crm-{name}", created=True) for name in names]

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return what is kept."""
        del target
        self._crm.looked_up += external_ids
        async with self._gate.call("GET", "/", endpoint_class="read"):
            if self._crm.lookups_fail:
                raise CallFailed(self._crm.lookups_fail.pop(0))
            kept = {name: self._crm.records[name] for name in external_ids if name in self._crm.records}
        return {name: Found(name, f"crm-{name}", write.fields) for name, write in kept.items()}

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Nobody's."""
        del target, crm_ids
        return {}

    async def aclose(self) -> None:
        """Close."""
        self._crm.closed += 1


def memory_books() -> MemoryBooks:
    """Return the books of an account that was never called."""
    return MemoryBooks(Shelf(time.monotonic_ns), 1)


def down(error_class: ErrorClass = ErrorClass.SERVER, status: int = 500) -> VendorError:
    """Return a failed call."""
    return VendorError(error_class, "DOWN", "not now", http_status=status)


def account_parts(crm: Crm, **changed: Any) -> AccountParts:
    """Return what accounts on *crm* share."""
    parts = AccountParts(
        cast("Any", Secrets()),
        Spans.off(),
        SystemClock(),
        lambda: random.Random(7),
        TenantTurns(4),
        anyio.CapacityLimiter(8),
        lambda: True,
        crm.open,
    )
    return replace(parts, **changed)


class Secrets:
    """No secrets are needed."""

    async def read(self, tenant_id: str, reference: str) -> Credentials:
        """Return none."""
        del tenant_id, reference
        return Credentials({})


class OnePolicy:
    """The policies of the tenant, to be changed at will."""

    def __init__(self, *documents: tuple[str, PolicyDocument]) -> None:
        self.documents = dict(documents)

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return them."""
        return MappingProxyType(self.documents)


async def unguarded(endpoint_class: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask without a breaker."""
    del endpoint_class
    return await call()


def one_policy(whole: PolicyDocument) -> OnePolicy:
    """Return the tenant's only policy."""
    return OnePolicy((TENANT, whole))


def account(queue: Queue, crm: Crm, *, fence: int = 1, policy: Any = None, **parts: Any) -> DeliveryAccount:
    """Return the account of *queue* and *crm*."""
    store = MemoryDeliveries(queue, fence)
    whole = policy or document()
    return DeliveryAccount((TENANT, "salesforce"), whole, store, memory_books(), account_parts(crm, **parts))


@asynccontextmanager
async def running(subject: DeliveryAccount) -> AsyncIterator[None]:
    """Run an account while the block runs."""
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.run)
            yield
            tasks.cancel_scope.cancel()
