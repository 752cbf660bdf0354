"""Runs enrichment: each tenant whose policy enriches is one process's, under a lease; its entities are taken as they fall due.

One task a tenant, so that a slow provider holds up nobody else. An entity is in at most one round, since only the
lease's holder takes it and takes the next ones when all rounds are over. Nothing is held that a restart would miss.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import TaskGroup

from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unavailable
from headwater.policy.document import PolicyDocument
from headwater.policy.enrichment import Enrichment, EnrichmentProvider
from headwater.sync.domain.leasing import FenceLost, Lease, plan_leases
from headwater.sync.enriching.asking import Asker, AskerParts
from headwater.sync.enriching.ports import Due, EnrichmentStore, Fares, ValueLog
from headwater.sync.enriching.provider import OpenProvider, ProviderParts, open_provider
from headwater.sync.membership import Membership
from headwater.sync.ports import Leases, Policies, StoreRaced, StoreRefused
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
TICK_S: Final = 0.02
"""Shortest pause between two looks that found nothing."""
BACKOFF_S: Final = 2.0
"""Pause after the database or ingest could not be reached."""
ROUNDS_AHEAD: Final = 8
"""Entities that are read at once, per entity that is worked on at once."""
DROP_S: Final = 3_600.0
"""Pause between two removals of answers that expired."""


def lease_name(tenant_id: str) -> str:
    """Return the name of the lease on a tenant's enrichment."""
    return f"enrichment/{tenant_id}"


@dataclass(frozen=True, slots=True)
class HostParts:
    """What the host works with.

    Args:
        chance: makes what jitter is drawn from.
    """

    store: EnrichmentStore
    log: ValueLog
    leases: Leases
    membership: Membership
    policies: Policies
    providers: ProviderParts
    clock: Clock
    chance: Callable[[], random.Random] = random.Random


@dataclass(slots=True)
class _Held:
    """A tenant of this process."""

    lease: Lease
    bell: Wakeup = field(default_factory=Wakeup)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: bool = False


class EnrichmentHost:
    """The enrichment of one process."""

    def __init__(self, parts: HostParts) -> None:
        self._parts = parts
        self._held: dict[str, _Held] = {}
        parts.membership.on_lapse(self._lose_everything)

    async def run(self, bell: Wakeup) -> None:
        """Enrich for ever; ends by cancellation: a call under way is counted, its entity stays due.

        Args:
            bell: rung when entities are wanted.
        """
        beat_s, next_s = self._parts.membership.beat_s, 0.0
        async with anyio.create_task_group() as tasks:
            while True:
                if anyio.current_time() >= next_s:
                    await self._start_tenants(tasks)
                    next_s = anyio.current_time() + beat_s
                if await bell.wait(max(0.0, next_s - anyio.current_time())):
                    for tenant in self._held.values():
                        tenant.bell.set()

    async def _start_tenants(self, tasks: TaskGroup) -> None:
        try:
            for tenant_id in await self._take_leases():
                tasks.start_soon(self._serve, tenant_id)
        except (Unavailable, StoreRaced) as error:
            _log.warning("leases of enrichment: %s", error)

    async def _take_leases(self) -> Sequence[str]:
        """Let go of tenants that are too much or do not enrich any more; return those that are new."""
        parts = self._parts
        wanted = {
            lease_name(tenant_id): tenant_id
            for tenant_id, document in parts.policies.current().items()
            if document.enrichment is not None
        }
        if ended := {name: held.lease.name for name, held in self._held.items() if held.ended}:
            await parts.leases.release(
                sorted(ended.values())
            )  # what the store counts as ours, nobody else could have
            self._held = {name: held for name, held in self._held.items() if name not in ended}
        if not wanted and not self._held:
            return ()
        await parts.membership.wait_until_standing()
        names = [held.lease.name for held in self._held.values()]
        intent = plan_leases(wanted, names, parts.membership.processes)
        for tenant_id, held in self._held.items():
            if held.lease.name in intent.release:
                held.scope.cancel()
                _log.info("enrichment of %s is let go", tenant_id)
        if intent.release:
            await parts.leases.release(intent.release)
        if not intent.take or not intent.candidates:
            return ()
        fences = await parts.leases.acquire(intent.candidates, intent.take)
        fresh = {wanted[name]: _Held(Lease(name, fence)) for name, fence in fences.items()}
        self._held.update(fresh)
        return list(fresh)

    def _lose_everything(self) -> None:
        for held in self._held.values():
            held.scope.cancel()

    async def _serve(self, tenant_id: str) -> None:
        held = self._held[tenant_id]
        tenant = TenantEnrichment(tenant_id, held.lease, self._parts)
        try:
            with held.scope:
                await tenant.run(held.bell)
        except FenceLost as lost:
            _log.warning("enrichment: %s", lost)
        finally:
            held.ended = True


class TenantEnrichment:
    """The enrichment of one tenant under one lease."""

    def __init__(self, tenant_id: str, lease: Lease, parts: HostParts) -> None:
        self._tenant_id = tenant_id
        self._lease = lease
        self._parts = parts
        self._open: dict[str, OpenProvider] = {}
        self._opening = anyio.Lock()
        self._fares: Mapping[str, Fares] | None = None
        self._drop_at_s = 0.0

    async def run(self, bell: Wakeup) -> None:
        """Look at what falls due, for ever. Raises: FenceLost."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.aclose)
            while True:
                try:
                    wait_s = await self.step()
                except (Unavailable, StoreRaced, StoreRefused) as error:
                    _log.warning("enrichment of %s: %s", self._tenant_id, error)
                    wait_s = BACKOFF_S
                except FenceLost:
                    raise
                except Exception:  # noqa: BLE001 - one tenant's damage must not end sync
                    _log.exception("enrichment of %s pauses", self._tenant_id)
                    wait_s = BACKOFF_S
                if wait_s:
                    await bell.wait(wait_s)

    async def step(self) -> float:
        """Do the rounds that are due, one reading of them; return how long nothing more is.

        Raises: FenceLost, Unavailable, StoreRaced, StoreRefused.
        """
        document = self._parts.policies.current().get(self._tenant_id)
        if document is None or document.enrichment is None:
            return POLL_S
        section, store = document.enrichment, self._parts.store
        await self._close_changed(section)
        now = await store.now()
        work = await store.due(self._tenant_id, now, section.concurrency * ROUNDS_AHEAD)
        if work:
            await self._rounds(document, section, work)
            return 0.0
        await self._drop_answers(now)
        due = await store.next_due(self._tenant_id)
        return POLL_S if due is None else min(POLL_S, max(TICK_S, (due - now).total_seconds()))

    async def _rounds(self, document: PolicyDocument, section: Enrichment, work: Sequence[Due]) -> None:
        """Do rounds side by side; the first failure is raised when all have ended."""
        parts = AskerParts(
            self._parts.store, self._parts.log, self._parts.clock, self._parts.chance(), self._provider
        )
        asker = Asker(document, section, self._lease, parts)
        room, failures = anyio.CapacityLimiter(section.concurrency), list[Exception]()

        async def one(due: Due) -> None:
            async with room:
                if failures:
                    return  # the store or the log is away: the rest stays due
                try:
                    await asker.round(due)
                except (FenceLost, Unavailable, StoreRaced, StoreRefused) as error:
                    failures.append(error)

        async with anyio.create_task_group() as tasks:
            for due in work:
                tasks.start_soon(one, due)
        if failures:
            raise failures[0]

    async def _provider(self, name: str) -> OpenProvider:
        """Return a provider, opened once for all rounds. Raises: InvalidInput, FenceLost, Unavailable."""
        async with self._opening:
            if name not in self._open:
                if self._fares is None:
                    self._fares = await self._parts.store.fares(self._tenant_id)
                policy = self._policy(name)
                fares = self._fares.get(name, Fares())
                parts = self._parts.providers
                self._open[name] = await open_provider(
                    parts, self._lease, self._tenant_id, name, policy, fares
                )
            return self._open[name]

    def _policy(self, name: str) -> EnrichmentProvider:
        section = self._parts.policies.current()[self._tenant_id].enrichment
        assert section is not None  # noqa: S101 - it was there at the round's beginning
        return section.providers[name]

    async def _close_changed(self, section: Enrichment) -> None:
        """Close providers whose part of the policy is another now; they are opened anew when asked."""
        for name, provider in list(self._open.items()):
            if section.providers.get(name) != provider.policy:
                del self._open[name]
                self._fares = None
                await provider.aclose()

    async def _drop_answers(self, now: dt.datetime) -> None:
        if anyio.current_time() >= self._drop_at_s:
            self._drop_at_s = anyio.current_time() + DROP_S
            await self._parts.store.drop_answers(self._tenant_id, now)

    async def aclose(self) -> None:
        """Close providers, their books written; bounded."""
        with anyio.move_on_after(BACKOFF_S, shield=True):
            for provider in self._open.values():
                await provider.aclose()
