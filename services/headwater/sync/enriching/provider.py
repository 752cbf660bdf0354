"""One provider of one tenant, open: asked through gate and breaker, its failures told as outcomes.

Limits and breaker are those of connector accounts: the gate's books hold every window also across a change of process,
and a breaker that is open says so at once. Decides nothing about entities.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import anyio

from headwater.connectors.base import Account, CallFailed, ErrorClass, VendorError
from headwater.connectors.base.enriching import Enricher, EnricherAccount, EnricherKind, Proposed, load_kind
from headwater.connectors.base.port import CallTicket
from headwater.kernel.clock import Clock
from headwater.kernel.ids import ObjectName
from headwater.kernel.telemetry import Spans
from headwater.policy.enrichment import EnrichmentProvider
from headwater.policy.values import PERSONAL_MAIL_DOMAINS
from headwater.sync.delivery.breaking import AccountBreaker
from headwater.sync.delivery.gate import AccountGate, GateParts, Place
from headwater.sync.delivery.pacing import BucketPacer, Pacer
from headwater.sync.domain.breaker import Breakers
from headwater.sync.domain.enriching import Outcome
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.limiting import Limiter, Rules, rules_of
from headwater.sync.domain.quota import allowance_of
from headwater.sync.domain.settling import ConnectorState
from headwater.sync.enriching.ports import Fares
from headwater.sync.ports import LimitBooks

READ: Final = "read"
"""Endpoint class of a provider's calls: nothing of the provider is changed by them."""
WAIT_S_MAX: Final = 35.0
"""Longest wait at the gate, beyond the call's own time: a little more than the gate itself waits."""
_OUTCOMES: Final[Mapping[ErrorClass, Outcome]] = {
    ErrorClass.RATE_LIMIT: "limited",
    ErrorClass.QUOTA: "limited",
    ErrorClass.HELD: "open",
    ErrorClass.TIMEOUT: "timeout",
    ErrorClass.AUTH: "refused",
    ErrorClass.PERMISSION: "refused",
    ErrorClass.FORMAT: "refused",
    ErrorClass.VALIDATION: "refused",
}
UNCHARGED: Final = frozenset({ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.HELD, ErrorClass.NETWORK})
"""Failures of calls that were not served; no provider charges for those."""


class Secrets(Protocol):
    """Where secrets are."""

    def read(self, reference: str) -> Mapping[str, str]:
        """Return a secret. Raises: InvalidInput."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderParts:
    """What providers are made of.

    Args:
        books: of a tenant's provider under a lease.
        may_call: False once the lease has lapsed by our own clock.
        find: returns a kind by its name.
    """

    secrets: Secrets
    spans: Spans
    clock: Clock
    books: Callable[[str, str, Lease], LimitBooks]
    may_call: Callable[[], bool]
    find: Callable[[str], EnricherKind] = load_kind
    open_pacer: Callable[[Rules], Pacer] = BucketPacer
    ticks: Callable[[], int] = time.monotonic_ns


@dataclass(frozen=True, slots=True)
class Failure:
    """A call without an answer.

    Args:
        charged: whether the provider may count it.
    """

    outcome: Outcome
    reason: str
    charged: bool


@dataclass(slots=True)
class OpenProvider:
    """A provider that can be asked."""

    name: str
    policy: EnrichmentProvider
    enricher: Enricher
    gate: AccountGate
    breaker: AccountBreaker
    calls: bool
    fares: Fares = field(default_factory=Fares)

    async def ask(self, object_name: ObjectName, inputs: Mapping[str, str]) -> Proposed | Failure:
        """Return the answer, or how there came none; bounded by the provider's time and a wait at its limits.

        Raises: FenceLost, Unavailable (of the books).
        """
        if not self.calls:
            return await self.enricher.ask(object_name, inputs)
        with self.breaker.round(READ) as permit:
            if permit.calls == "none":
                return Failure("open", "the breaker is open", charged=False)
            start_time = self.breaker.now()
            try:
                with anyio.fail_after(self.policy.timeout_s + WAIT_S_MAX):
                    answer = await self.enricher.ask(object_name, inputs)
            except CallFailed as failed:
                return self._failed(failed.error, start_time)
            except TimeoutError:
                late = VendorError(ErrorClass.TIMEOUT, "TIMEOUT", "no answer in time")
                return self._failed(late, start_time)
            self.breaker.succeeded(READ, start_time)
            return answer

    def _failed(self, error: VendorError, start_time: dt.datetime) -> Failure:
        self.breaker.failed(READ, start_time, error)
        outcome = _OUTCOMES.get(error.error_class, "failed")
        self.fares = Fares(self.fares.breaker, f"{error.code}: {error.message}", self.breaker.now())
        return Failure(outcome, f"{error.code}: {error.message}"[:256], error.error_class not in UNCHARGED)

    async def keep_fares(self, keep: Callable[[Fares], Awaitable[None]]) -> None:
        """Store the breaker where it has changed."""
        await self.breaker.save(_FaresStore(self, keep))

    async def aclose(self) -> None:
        """Close connections and write the books for the successor."""
        await self.enricher.aclose()
        await self.gate.close()


@dataclass(frozen=True, slots=True)
class _FaresStore:
    """Where the breaker is stored, as the breaker asks for it."""

    provider: OpenProvider
    keep: Callable[[Fares], Awaitable[None]]

    async def write_breaker(self, state: Breakers, generation: int) -> None:  # noqa: ARG002 - operators give no orders here
        fares = self.provider.fares
        self.provider.fares = Fares(state, fares.last_error, fares.last_error_time)
        await self.keep(self.provider.fares)


@dataclass(frozen=True, slots=True)
class _AdmittingGate:
    """The gate as a kind sees it: every call passes the breaker, too."""

    gate: AccountGate
    breaker: AccountBreaker

    def call(
        self, method: str, url_template: str, *, endpoint_class: str, resend_count: int = 0
    ) -> AbstractAsyncContextManager[CallTicket]:
        admit = partial(self.breaker.admit, endpoint_class)
        return self.gate.call(
            method, url_template, endpoint_class=endpoint_class, resend_count=resend_count, admit=admit
        )


async def open_provider(
    parts: ProviderParts, lease: Lease, tenant_id: str, name: str, policy: EnrichmentProvider, fares: Fares
) -> OpenProvider:
    """Open a provider, its limits taken over as they were left.

    Raises:
        InvalidInput: its kind, an option or its secret is not there.
        FenceLost, Unavailable, StoreRaced.
    """
    kind = parts.find(policy.kind)
    label = f"{tenant_id}/enrichment/{name}"
    rules = rules_of(policy.limits)
    made: Any = GateParts(
        Limiter(rules), allowance_of(policy.limits), parts.books(tenant_id, f"enrichment:{name}", lease),
        parts.open_pacer(rules), parts.spans, parts.clock, parts.may_call, parts.ticks,
    )  # fmt: skip
    gate = AccountGate(Place(label, policy.base_url.rstrip("/"), policy.timeout_s), made)
    breaker = AccountBreaker(label, policy.breaker, "account", parts.clock, parts.spans)
    breaker.take(ConnectorState(breaker=fares.breaker))
    secret = parts.secrets.read(policy.credentials) if policy.credentials else {}
    account = Account(name, policy.base_url.rstrip("/"), secret, policy.timeout_s)
    given = EnricherAccount(account, dict(policy.options), PERSONAL_MAIL_DOMAINS)
    enricher = kind.open(given, _AdmittingGate(gate, breaker))
    if kind.calls:
        await gate.open()
    return OpenProvider(name, policy, enricher, gate, breaker, kind.calls, fares)
