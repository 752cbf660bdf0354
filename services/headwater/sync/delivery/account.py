"""One connector account under one lease: wakes its actor with work, closes its connections without, restarts it.

Owns what outlives an actor: limiter, breaker, pace. The edge at which every failure of an actor ends:
logged, told to the operators where they can help, and tried again after a growing pause.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final

import anyio

from headwater.connectors.base import Account, CallFailed, Connector, Vendor, load_vendor, vendor_names
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.kernel.metrics import Metrics
from headwater.kernel.telemetry import Spans
from headwater.policy.document import PolicyDocument
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.bulking.ports import BulkBook
from headwater.sync.catchup import never
from headwater.sync.delivery.accounts import Asks
from headwater.sync.delivery.actor import AccountNotReady, ActorParts, DeliveryActor
from headwater.sync.delivery.bell import Bell
from headwater.sync.delivery.breaking import AccountBreaker, scope_of
from headwater.sync.delivery.credentials import Secrets
from headwater.sync.delivery.desk import Desk
from headwater.sync.delivery.fairness import TenantTurns
from headwater.sync.delivery.gate import AccountGate, GateParts, Place
from headwater.sync.delivery.guard import Guard, GuardedGate, Opening
from headwater.sync.delivery.handling import NothingHandled
from headwater.sync.delivery.pacing import BucketPacer, Pacer
from headwater.sync.domain.adaptive import Pace
from headwater.sync.domain.doubting import LOOK_UP_ALWAYS, doubts_of
from headwater.sync.domain.isolating import Suspects
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.limiting import Limiter, Rules, rules_of
from headwater.sync.domain.quota import allowance_of
from headwater.sync.lulls import Lulls
from headwater.sync.metering import AccountMeter
from headwater.sync.ports import Deliveries, LimitBooks, StoreRaced

_log = logging.getLogger(__name__)

BACKOFF_S_MIN: Final = 0.5
BACKOFF_S_MAX: Final = 30.0
"""Shortest and longest pause before an actor that has failed is started again."""
CLOSE_S: Final = 5.0
"""Bound of closing a connector's connections."""

AccountKey = tuple[str, str]
"""Tenant and connector account."""
OpenBulk = Callable[[str, str, Lease], BulkBook]
"""Opens the bulk jobs of tenant and account under a lease."""
OpenConnector = Callable[[str, Account, GuardedGate], Connector]
"""Opens the account of a vendor."""


def open_vendor(vendor: str, account: Account, gate: GuardedGate) -> Connector:
    """Open *account* of the installed connector *vendor*."""
    return load_vendor(vendor).open(account, gate)


@cache
def find_vendor(name: str) -> Vendor | None:
    """Return an installed vendor; None for one that is not: opening its account will say so.

    Remembered: asking for entry points reads every installed package, and accounts come by the thousand.
    """
    return load_vendor(name) if name in vendor_names() else None


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What all accounts of a process share.

    Args:
        starts: bounds how many accounts are opened at once.
        may_work: says whether the process's leases certainly hold.
        idle_s: how long an account stays open without work.
        open_pacer: makes what spreads calls; simulations take one that does not.
        ticks: nanoseconds of a clock that never goes back.
        gives_way_s: says for how long nothing of a tenant is to be claimed, while its log is caught up with.
        comes_s: says for how long bulk jobs of a tenant may wait for more, while its bulk events are caught up with.
        approvals: where is asked about writes that a person has to approve; None: those are held for good.
        open_bulk: opens the bulk jobs of tenant and account under a lease; None: everything goes by ordinary calls.
        lulls: of the process's live work; bulk jobs have their turns there.
    """

    secrets: Secrets
    spans: Spans
    clock: Clock
    chance: Callable[[], random.Random]
    turns: TenantTurns
    starts: anyio.CapacityLimiter
    may_work: Callable[[], bool]
    open_connector: OpenConnector = open_vendor
    idle_s: float = 30.0
    open_pacer: Callable[[Rules], Pacer] = BucketPacer
    ticks: Callable[[], int] = time.monotonic_ns
    gives_way_s: Callable[[str], float] = never
    approvals: ApprovalBook | None = None
    open_bulk: OpenBulk | None = None
    metrics: Metrics = field(default_factory=Metrics)
    comes_s: Callable[[str], float] = never
    lulls: Lulls = field(default_factory=Lulls)


class DeliveryAccount:
    """One account of this process, under one lease and one policy."""

    def __init__(
        self,
        key: AccountKey,
        document: PolicyDocument,
        store: Deliveries,
        books: LimitBooks,
        parts: AccountParts,
        bulk: BulkBook | None = None,
    ) -> None:
        self._tenant_id, self._name = tenant_id, _ = key
        self._bulk = bulk
        self._reopens = False
        self._gives_way_s = partial(parts.gives_way_s, tenant_id)
        self._comes_s = partial(parts.comes_s, tenant_id)
        self._label = f"{tenant_id}/{self._name}"
        self._document = document
        self._policy = document.connectors[self._name]
        self._store = store
        self._parts = parts
        self._chance = parts.chance()
        self._ending = False
        self._actor: DeliveryActor | None = None
        self._suspects = Suspects()
        self._taken_over = False
        self._prepared = False
        self.bell = Bell()
        meter = AccountMeter(self._name, parts.metrics)
        self._gate = self._make_gate(books, meter)
        rule, vendor = document.breaker_of(self._name), find_vendor(self._policy.vendor)
        retry = document.retry_of(self._name)
        self._doubts = LOOK_UP_ALWAYS if vendor is None else doubts_of(vendor, retry)
        self._guard = Guard(
            self._name,
            store,
            self._gate,
            AccountBreaker(self._name, rule, scope_of(rule, vendor), parts.clock, parts.spans),
            parts.clock,
            self._chance,
            parts.may_work,
            Opening(document.schedules_of(self._name), parts.clock),
        )
        self._desk = Desk(tenant_id, self._policy, store, self._guard, parts.turns, self._chance, meter)

    def _make_gate(self, books: LimitBooks, meter: AccountMeter) -> AccountGate:
        parts, limits = self._parts, self._policy.limits
        rules = rules_of(limits)
        place = Place(self._label, self._policy.base_url.rstrip("/"), self._policy.timeout_s)
        made = GateParts(
            Limiter(rules), allowance_of(limits), books, parts.open_pacer(rules), parts.spans, parts.clock,
            parts.may_work, parts.ticks, meter,
        )  # fmt: skip
        return AccountGate(place, made)

    @property
    def in_flight(self) -> int:
        """The number of deliveries under way."""
        return self._desk.in_flight

    @property
    def pace(self) -> Pace:
        """How much goes at once now."""
        return self._desk.pace

    @property
    def awake(self) -> bool:
        """Whether its actor runs, so that it knows by itself what is due and when."""
        return self._actor is not None

    @property
    def ending(self) -> bool:
        """Whether it was told to end."""
        return self._ending

    def end(self) -> None:
        """Claim nothing more; `run` returns when what is in flight is finished and settled."""
        self._ending = True
        if self._actor:
            self._actor.end()
        self.bell.steer()

    def reopen(self) -> None:
        """Open the account anew, with its secret as it is now, once what is in flight is settled."""
        self._reopens = True
        if self._actor:
            self._actor.end()
        self.bell.steer()

    @property
    def secret(self) -> str:
        """Return where the account's secret is."""
        return self._policy.credentials

    async def connect(self) -> Connector:
        """Return a connector of one's own on the account's gate, for who else works on the account.

        Raises: InvalidInput, FenceLost, Unavailable, StoreRaced.
        """
        await self._gate.open()
        await self._desk.look()  # what operators have ordered, and the breaker as it was left
        return await self._open_connector()

    @property
    def ask(self) -> Asks:
        """What questions beside the deliveries pass: the account's breaker counts them, and one may be its probe."""
        return self._guard.ask

    def open_lanes(self) -> frozenset[Lane]:
        """Return the lanes that may use what is left of the day's quota."""
        return self._guard.open_lanes()

    async def run(self) -> None:
        """Keep the account's deliveries going until `end`.

        Cancellation: calls under way are then in doubt and looked up by the successor.

        Raises:
            FenceLost: the account is another process's.
        """
        try:
            await self._keep_running()
        finally:
            await self._gate.close()

    async def _keep_running(self) -> None:
        pause_s = 0.0
        while not self._ending:
            started_s = anyio.current_time()
            self._reopens = False
            if await self._run_actor():
                if not self._reopens:
                    await self._sleep()
                pause_s = 0.0
            elif not self._ending:
                pause_s = next_pause_s(pause_s, anyio.current_time() - started_s)
                await self._pause(pause_s)

    async def _sleep(self) -> None:
        """Wait, without connections, for work or for the end."""
        while not self._ending:
            await self.bell.wait()
            if self.bell.take_due():
                return

    async def _pause(self, pause_s: float) -> None:
        ends_s = anyio.current_time() + pause_s
        while not self._is_leaving() and (left_s := ends_s - anyio.current_time()) > 0:
            await self.bell.wait_steered(left_s)

    async def _run_actor(self) -> bool:
        """Run an actor until it falls asleep or ends; return False when it failed."""
        try:
            connector = await self._open_connector()
            async with _closing(connector):
                async with self._parts.starts:  # no CRM is waited for here
                    await self._take_over()
                await self._work(connector)
        except FenceLost:
            _log.warning("account %s was taken over", self._label)
            raise
        except AccountNotReady as error:
            _log.warning("account %s is not ready: %s", self._label, error)
        except (CallFailed, Unavailable, StoreRaced) as error:
            _log.warning("actor of %s stops: %s", self._label, error)
        except NothingHandled as error:
            _log.exception("actor of %s can handle nothing", self._label)
            await self._tell(f"nothing can be delivered: {error}")
        except HeadwaterError as error:
            _log.exception("account %s cannot be opened", self._label)
            await self._tell(error.message)
        except Exception:  # noqa: BLE001 - the actor edge: log, then start again
            _log.exception("actor of %s failed", self._label)
        else:
            return True
        self._taken_over = False  # what the failed actor left in flight is in doubt now
        return False

    async def _work(self, connector: Connector) -> None:
        parts = ActorParts(
            connector, self._guard, self._desk, self._store, self._parts.spans, self._parts.clock,
            self._chance, self.bell, self._suspects, self._doubts, self._parts.idle_s,
            self._gives_way_s, self._parts.approvals, self._bulk, self._comes_s, self._parts.lulls,
        )  # fmt: skip
        actor = DeliveryActor(self._name, self._document, parts)
        self._actor = actor
        try:
            if self._is_leaving():
                return
            if not self._prepared:
                await actor.prepare()
                self._prepared = not self._is_leaving()
            await actor.run()
        finally:
            self._actor = None

    def _is_leaving(self) -> bool:
        return self._ending or self._reopens

    async def _take_over(self) -> None:
        """Put in doubt what an earlier actor left in flight, and go on with its count of calls."""
        if not self._taken_over:
            await self._store.take_over()
            await self._gate.open()
            self._taken_over = True

    async def _open_connector(self) -> Connector:
        policy = self._policy
        kept = await self._parts.secrets.read(self._tenant_id, policy.credentials)
        base_url = policy.base_url.rstrip("/")
        account = Account(
            self._name, base_url, kept.values, policy.timeout_s, networks=policy.networks, grants=kept.grants
        )
        return self._parts.open_connector(policy.vendor, account, GuardedGate(self._gate, self._guard))

    async def _tell(self, finding: str) -> None:
        """Store a finding if the database takes it; what cannot be told was logged."""
        try:
            await self._store.write_finding(finding)
        except (Unavailable, StoreRaced) as error:
            _log.warning("a finding is not stored: %s", error)


@asynccontextmanager
async def _closing(connector: Connector) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with anyio.move_on_after(CLOSE_S, shield=True):
            await connector.aclose()


def next_pause_s(pause_s: float, ran_s: float) -> float:
    """Return the pause before an actor starts again that ran for *ran_s* after a pause of *pause_s*.

    One that ran for longer than it was kept waiting has recovered and begins anew: after a few short
    absences of the database its account is not kept idle for long.
    """
    return BACKOFF_S_MIN if ran_s > pause_s else min(BACKOFF_S_MAX, pause_s * 2)
