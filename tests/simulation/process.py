"""One sync process of a simulation: the product's projector and actors over simulated ports.

The only module here that knows how the engine is wired; it mirrors `headwater.sync.app`.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from tests.simulation.chance import stream
from tests.simulation.identity import SimulatedResolver
from tests.simulation.loop import PROCESS
from tests.simulation.rolling import SimulatedPolicyLog, SimulatedRolloutWorker
from tests.simulation.store.books import MemoryBooks
from tests.simulation.store.deliveries import MemoryDeliveries
from tests.simulation.store.echoes import MemoryHeldRecords
from tests.simulation.store.leases import MemoryDueTimes, MemoryLeases, MemoryLog
from tests.simulation.store.link import Link
from tests.simulation.store.projections import MemoryProjections
from tests.simulation.store.replays import MemoryReplays
from tests.simulation.store.rollouts import MemoryRollouts
from tests.simulation.swapping import Swap
from tests.simulation.vendor import SimulatedConnector, SimulatedVendor

from headwater.connectors.base import Connector
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.telemetry import Spans
from headwater.policy.document import PolicyDocument
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.delivery.account import AccountParts
from headwater.sync.delivery.accounts import RunningAccounts
from headwater.sync.delivery.credentials import Credentials
from headwater.sync.delivery.fairness import TenantTurns
from headwater.sync.delivery.host import DeliveryHost
from headwater.sync.delivery.pacing import Unpaced
from headwater.sync.delivery.watching import DueWatch
from headwater.sync.domain.windows import NS_PER_S
from headwater.sync.membership import Membership
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.echoes import Echoes
from headwater.sync.projector.host import ProjectorHost, ProjectorSettings
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.replaying.worker import ReplayWorker
from headwater.sync.wakeup import DELIVERY_CHANNEL, LOG_CHANNEL, REPLAY_CHANNEL, ROLLOUT_CHANNEL, Wakeup

if TYPE_CHECKING:
    from tests.simulation.world import World

HAND_OVER_S = 2.0
"""As the product: how long letting go of the leases may take."""
TURNS_MAX = 4
"""Store transactions of actors at once."""
STARTS_MAX = 4
"""Accounts opened at once."""
IDLE_S = 5.0
"""How long an account stays open without work: short, so that falling asleep and waking up are exercised."""


@dataclass(slots=True)
class SkewedClock:
    """A process's wall clock: true time, and how far it is off."""

    world: World
    offset_s: float = 0.0

    def now(self) -> dt.datetime:
        """Return the time that the process believes it is."""
        return self.world.now() + dt.timedelta(seconds=self.offset_s)


class SimulatedPolicies(LogPolicies):
    """Policies as documents: reading YAML has no part in what is simulated."""

    def __init__(self, log: MemoryLog, world: World) -> None:
        super().__init__(log)
        self._world = world
        self._read: Mapping[str, PolicyDocument] = {}
        self._reach = log

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy, as last read."""
        return self._read

    async def refresh(self) -> bool:
        """Read the newest versions."""
        await self._reach.current_policies()
        changed = self._read != self._world.policies
        self._read = dict(self._world.policies)
        return changed


class NoSecrets:
    """Credentials that nobody asks for."""

    async def read(self, tenant_id: str, reference: str) -> Credentials:
        """Return nothing secret."""
        del tenant_id, reference
        return Credentials({})


@dataclass(slots=True)
class Process:
    """One incarnation of a sync process.

    Args:
        name: of the place it runs in; survives restarts.
        number: which incarnation this is.
    """

    world: World
    name: str
    number: int
    clock: SkewedClock
    end_asked: anyio.Event = field(default_factory=anyio.Event)
    drain: Any = None
    task: asyncio.Task[None] | None = None
    dead: bool = False
    ended: bool = False
    error: BaseException | None = None
    _chance: random.Random = field(default_factory=random.Random)

    @property
    def label(self) -> str:
        """Name of this incarnation."""
        return f"{self.name}.{self.number}"

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to run, as a process of its own on *loop*."""
        self._chance = stream(self.world.plan.seed, self.label)
        context = contextvars.copy_context()
        context.run(PROCESS.set, self.label)
        self.task = loop.create_task(self._run(), context=context)

    async def _run(self) -> None:
        try:
            await self._serve()
        except Exception as error:  # noqa: BLE001 - a process that dies by itself is a finding
            self.error = error
        finally:
            self.ended = True

    async def _serve(self) -> None:
        world, tables, parts = self.world, self.world.tables, self.world.parts
        link = Link(self._chance, partial(world.odds_of, self), partial(world.note_of, self))
        leases = parts.leases(tables, link, self.label, world.plan.lease_ttl_s)
        log = MemoryLog(tables, link)
        policies = SimulatedPolicies(log, world)
        resolver = SimulatedResolver(world.identity, self._chance, world.identity_absent)
        projector = BatchProjector(
            parts.projections(tables, link), resolver, policies, Spans.off(), self.clock,
            parts.echoes(parts.held_records(tables, link)),
        )  # fmt: skip
        log_bell = Wakeup()
        membership = parts.membership(leases, anyio.current_time)
        host = ProjectorHost(
            log, leases, membership, policies, projector, log_bell, ProjectorSettings(batch_events=20)
        )
        deliveries = DeliveryHost(
            partial(parts.deliveries, tables, link),
            partial(parts.books, tables, link),
            leases,
            membership,
            policies,
            self._account_parts(membership, link),
            RunningAccounts(),
        )
        watch = DueWatch(parts.due_times(tables, link), deliveries.accounts)
        replay_bell = Wakeup()
        replays = Link(
            stream(world.plan.seed, f"{self.label}/replays"),
            partial(world.odds_of, self),
            partial(world.note_of, self),
        )
        replaying = ReplayWorker(parts.replays(tables, replays))
        rollout_bell = Wakeup()
        rolling = SimulatedRolloutWorker(parts.rollouts(tables, replays), SimulatedPolicyLog(world, replays))
        hearers: dict[str, Callable[[str], None]] = {
            ROLLOUT_CHANNEL: lambda _: rollout_bell.set(),
            LOG_CHANNEL: lambda _: log_bell.set(),
            DELIVERY_CHANNEL: watch.notify,
            REPLAY_CHANNEL: lambda _: replay_bell.set(),
        }
        tables.listeners[self.label] = lambda channel, payload: hearers[channel](payload)
        self.drain = deliveries.drain
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(membership.keep)
                tasks.start_soon(host.run)
                tasks.start_soon(deliveries.run)
                tasks.start_soon(watch.watch)
                tasks.start_soon(self._replay, replaying, replay_bell)
                if world.plan.profile == "rollout":
                    tasks.start_soon(rolling.run, rollout_bell)
                await self.end_asked.wait()
                await deliveries.drain()
                tasks.cancel_scope.cancel()
        finally:
            tables.listeners.pop(self.label, None)
        with anyio.move_on_after(HAND_OVER_S, shield=True):
            try:
                await leases.leave()
            except HeadwaterError as error:
                world.note_of(self, "leave", error)

    async def _replay(self, replaying: ReplayWorker, bell: Wakeup) -> None:
        """Work off replays from the first one on: until then the worker would only ask in vain."""
        while not self.world.tables.replays:
            await bell.wait(math.inf)
        await replaying.run(bell)

    def _account_parts(self, membership: Membership, link: Link) -> AccountParts:
        world, parts = self.world, self.world.parts
        vendor = SimulatedVendor(world.crms, self.label, world.call_seen)
        return AccountParts(
            NoSecrets(),
            Spans.off(),
            self.clock,
            lambda: random.Random(self._chance.random()),
            TenantTurns(TURNS_MAX),
            anyio.CapacityLimiter(STARTS_MAX),
            parts.may_work(membership),
            open_connector=lambda _, account, gate: parts.connector(vendor.open(account, parts.gate(gate))),
            idle_s=IDLE_S,
            open_pacer=lambda _: Unpaced(),
            ticks=lambda: round(world.loop.time() * NS_PER_S),
            approvals=parts.approvals(world, link) if parts.approvals else None,
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process is built of, so that an ablation can put something weaker in."""

    deliveries: Callable[..., MemoryDeliveries] = MemoryDeliveries
    books: Callable[..., MemoryBooks] = MemoryBooks
    projections: Callable[..., MemoryProjections] = MemoryProjections
    leases: Callable[..., MemoryLeases] = MemoryLeases
    membership: Callable[..., Membership] = Membership
    may_work: Callable[[Membership], Callable[[], bool]] = lambda membership: membership.may_work
    held_records: Callable[..., MemoryHeldRecords] = MemoryHeldRecords
    echoes: Callable[[MemoryHeldRecords], Echoes | None] = Echoes
    replays: Callable[..., MemoryReplays] = MemoryReplays
    rollouts: Callable[..., MemoryRollouts] = MemoryRollouts
    gate: Callable[[Any], Any] = lambda gate: gate
    connector: Callable[[SimulatedConnector], Connector] = lambda connector: connector
    due_times: Callable[..., MemoryDueTimes] = MemoryDueTimes
    approvals: Callable[..., ApprovalBook] | None = None
    document: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
    swaps: tuple[Swap, ...] = ()
