"""Runs the actors of one process: takes accounts by lease, supervises, hands over.

An account's actor ends when its lease is lost or its policy changes; one that fails is started
again after a growing pause. The supervisor never dies of an actor.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.connectors.base import Account, CallFailed, load_vendor
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.kernel.telemetry import Spans
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.delivery.actor import AccountNotReady, ActorParts, DeliveryActor
from headwater.sync.delivery.gate import AccountGate
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.ports import Deliveries, Leases, Policies, Secrets, StoreRaced
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

AccountKey = tuple[str, str]
"""Tenant and connector account."""
OpenStore = Callable[[str, str, Lease], Deliveries]
"""Opens the tables of tenant and account under a lease."""
BACKOFF_S_MIN: Final = 0.5
BACKOFF_S_MAX: Final = 30.0
"""Shortest and longest pause before an actor that has failed is started again."""
CLOSE_S: Final = 5.0
"""Bound of closing a connector's connections."""


@dataclass(slots=True)
class _Running:
    lease: Lease
    document: PolicyDocument
    scope: anyio.CancelScope
    wakeup: Wakeup


class DeliveryHost:
    """The delivery actors of one process."""

    def __init__(
        self,
        open_store: OpenStore,
        leases: Leases,
        policies: Policies,
        secrets: Secrets,
        spans: Spans,
        clock: Clock,
        chance: Callable[[], random.Random] = random.Random,
        accounts: RunningAccounts | None = None,
    ) -> None:
        self._accounts = accounts or RunningAccounts()
        self._open_store = open_store
        self._leases = leases
        self._policies = policies
        self._secrets = secrets
        self._spans = spans
        self._clock = clock
        self._chance = chance
        self._running: dict[AccountKey, _Running] = {}

    async def run(self, bell: Wakeup) -> None:
        """Supervise for ever; ends by cancellation.

        Args:
            bell: rung when any delivery became due; every actor is woken by it.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pass_on, bell)
            while True:
                try:
                    await self._supervise(tasks)
                except (Unavailable, StoreRaced) as error:
                    _log.warning("account leases: %s", error)
                await anyio.sleep(self._leases.ttl_s / 4)

    async def _pass_on(self, bell: Wakeup) -> None:
        while True:
            await bell.wait(60.0)
            for running in list(self._running.values()):
                running.wakeup.set()

    async def _supervise(self, tasks: anyio.abc.TaskGroup) -> None:
        wanted = {
            (tenant_id, name): document
            for tenant_id, document in self._policies.current().items()
            for name, connector in document.connectors.items()
            if connector.enabled
        }
        fences = await self._leases.acquire([lease_name(key) for key in wanted]) if wanted else {}
        for key, running in list(self._running.items()):
            fence = fences.get(lease_name(key))
            if fence != running.lease.fence or wanted.get(key) != running.document:
                running.scope.cancel()
        for key, document in wanted.items():
            fence = fences.get(lease_name(key))
            if fence is not None and key not in self._running:
                lease = Lease(lease_name(key), fence)
                self._running[key] = _Running(lease, document, anyio.CancelScope(), Wakeup())
                tasks.start_soon(self._keep_running, key)

    async def _keep_running(self, key: AccountKey) -> None:
        running = self._running[key]
        pause_s = 0.0
        try:
            with running.scope:
                while True:
                    started = anyio.current_time()
                    await self._run_once(key, running)
                    pause_s = next_pause_s(pause_s, anyio.current_time() - started)
                    await anyio.sleep(pause_s)
        finally:
            del self._running[key]

    async def _run_once(self, key: AccountKey, running: _Running) -> None:
        tenant_id, name = key
        policy = running.document.connectors[name]
        store = self._open_store(tenant_id, name, running.lease)
        try:
            gate = AccountGate(policy.base_url, policy.limits, self._spans, self._clock)
            account = self._account(name, policy)
            connector = load_vendor(policy.vendor).open(account, gate)
            try:
                parts = ActorParts(
                    connector, gate, store, self._spans, self._clock, self._chance(), running.wakeup
                )
                vendor = load_vendor(policy.vendor)
                entry = RunningAccount(
                    tenant_id, name, running.document, running.lease, lambda: vendor.open(account, gate)
                )
                with self._accounts.running(entry):
                    await DeliveryActor(tenant_id, name, running.document, parts).run()
            finally:
                with anyio.move_on_after(CLOSE_S, shield=True):
                    await connector.aclose()
        except FenceLost:
            _log.warning("account %s/%s was taken over", tenant_id, name)
            running.scope.cancel()
        except AccountNotReady as error:
            _log.warning("account %s/%s is not ready: %s", tenant_id, name, error)
        except (CallFailed, Unavailable, StoreRaced) as error:
            _log.warning("actor of %s/%s stops: %s", tenant_id, name, error)
        except HeadwaterError as error:
            _log.exception("account %s/%s cannot be opened", tenant_id, name)
            await _tell(store, error.message)
        except Exception:  # noqa: BLE001 - the actor edge: log, then start again
            _log.exception("actor of %s/%s failed", tenant_id, name)

    def _account(self, name: str, policy: ConnectorPolicy) -> Account:
        return Account(
            name, policy.base_url.rstrip("/"), self._secrets.read(policy.credentials), policy.timeout_s
        )


def next_pause_s(pause_s: float, ran_s: float) -> float:
    """Return the pause before an actor starts again that ran for *ran_s* after a pause of *pause_s*.

    One that ran for longer than it was kept waiting has recovered and begins anew: after a few short
    absences of the database its account is not kept idle for long.
    """
    return BACKOFF_S_MIN if ran_s > pause_s else min(BACKOFF_S_MAX, pause_s * 2)


async def _tell(store: Deliveries, finding: str) -> None:
    """Store a finding if the database takes it; what cannot be told was logged."""
    try:
        await store.write_finding(finding)
    except (Unavailable, StoreRaced) as error:
        _log.warning("a finding is not stored: %s", error)


def lease_name(key: AccountKey) -> str:
    """Return the name of the lease of a connector account."""
    return f"connector/{key[0]}/{key[1]}"
