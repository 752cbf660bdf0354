"""One sync process of a simulation: the product's projector and actors over simulated ports.

The only module here that knows how the engine is wired; it mirrors `headwater.sync.app`.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from headwater.connectors.base import Account
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.telemetry import Spans
from headwater.policy.document import PolicyDocument
from headwater.sync.delivery.actor import ActorParts, DeliveryActor
from headwater.sync.delivery.gate import AccountGate, pacing
from headwater.sync.delivery.host import CLOSE_S, DeliveryHost
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.host import ProjectorHost, ProjectorSettings
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.wakeup import DELIVERY_CHANNEL, LOG_CHANNEL, Wakeup
from tests.simulation.chance import stream
from tests.simulation.identity import SimulatedResolver
from tests.simulation.loop import PROCESS
from tests.simulation.pacing import VirtualLimiter
from tests.simulation.store.leases import MemoryLeases, MemoryLog
from tests.simulation.store.link import Link
from tests.simulation.store.projections import MemoryProjections
from tests.simulation.vendor import SimulatedVendor

if TYPE_CHECKING:
    from tests.simulation.world import World

HAND_OVER_S = 2.0
"""As the product: how long letting go of the leases may take."""


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

    def read(self, reference: str) -> Mapping[str, str]:
        """Return nothing secret."""
        del reference
        return {}


class SimulatedHost(DeliveryHost):
    """The product's host; only the vendor is not looked up among installed packages."""

    def __init__(self, vendor: SimulatedVendor, world: World, *args: Any) -> None:
        super().__init__(*args)
        self._vendor = vendor
        self._world = world

    async def _open(self, key: tuple[str, str], running: Any, store: Any) -> None:
        policy = running.document.connectors[key[1]]
        gate = AccountGate(policy.base_url, policy.limits, self._spans, self._clock)
        gate._limiter = VirtualLimiter(*pacing(policy.limits.window))
        connector = self._vendor.open(Account(key[1], policy.base_url, {}, policy.timeout_s), gate)
        try:
            parts = ActorParts(
                connector, gate, store, self._spans, self._clock, self._chance(), running.wakeup
            )
            await DeliveryActor(key[0], key[1], running.document, parts).run()
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await connector.aclose()


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
    scope: anyio.CancelScope | None = None
    task: asyncio.Task[None] | None = None
    dead: bool = False
    ended: bool = False
    error: BaseException | None = None
    _unlisten: Any = None
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
        world, tables = self.world, self.world.tables
        link = Link(self._chance, partial(world.odds_of, self), partial(world.note_of, self))
        leases = MemoryLeases(tables, link, self.label, world.plan.lease_ttl_s)
        log = MemoryLog(tables, link)
        policies = SimulatedPolicies(log, world)
        resolver = SimulatedResolver(world.identity, self._chance, world.identity_absent)
        projections = world.parts.projections(tables, link, world.lane_of)
        projector = BatchProjector(projections, resolver, policies, Spans.off(), self.clock)
        log_bell, delivery_bell = Wakeup(), Wakeup()
        host = ProjectorHost(log, leases, policies, projector, log_bell, ProjectorSettings(batch_events=20))
        deliveries = world.parts.host(
            SimulatedVendor(world.crms, self.label, world.call_seen),
            world,
            partial(world.parts.deliveries, tables, link),
            leases,
            policies,
            NoSecrets(),
            Spans.off(),
            self.clock,
            lambda: random.Random(self._chance.random()),
        )
        bells = {LOG_CHANNEL: log_bell, DELIVERY_CHANNEL: delivery_bell}
        tables.listeners[self.label] = lambda channel: bells[channel].set()
        try:
            async with anyio.create_task_group() as tasks:
                self.scope = tasks.cancel_scope
                tasks.start_soon(host.run)
                tasks.start_soon(deliveries.run, delivery_bell)
        finally:
            tables.listeners.pop(self.label, None)
            with anyio.move_on_after(HAND_OVER_S, shield=True):
                try:
                    await leases.release()
                except HeadwaterError as error:
                    world.note_of(self, "release", error)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process is built of, so that an ablation can put something weaker in."""

    host: Any
    deliveries: Any
    projections: Any = MemoryProjections
