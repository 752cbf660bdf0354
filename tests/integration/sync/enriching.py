"""Enrichment on a database of the test's own: scripted providers, a log that is a list, a lease that is ours."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
from tests.unit.sync.enriched import POLICY
from tests.unit.sync.tenant import TENANT, key

from headwater.connectors.base import CallFailed, CallGate, ErrorClass, VendorError
from headwater.connectors.base.enriching import EnricherAccount, Proposal, Proposed
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import ObjectName
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.delivery.pacing import Unpaced
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.limiting import Rules
from headwater.sync.domain.polling import Change, Recorded
from headwater.sync.enriching.host import HostParts, TenantEnrichment, lease_name
from headwater.sync.enriching.provider import ProviderParts
from headwater.sync.membership import Membership
from headwater.sync.store.enrichment import PostgresEnrichment
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.limits import PostgresLimits

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

Said = Mapping[str, Any] | ErrorClass
Script = Callable[[Mapping[str, str]], Said]


@dataclass(slots=True)
class Kind:
    """A kind of provider that says what it was told to, by the account's name."""

    name: str = "scripted"
    calls: bool = True
    evidence: str = "none"
    scripts: dict[str, Script] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    on_ask: list[Callable[[], Any]] = field(default_factory=list)

    def open(self, account: EnricherAccount, gate: CallGate) -> Scripted:  # noqa: ARG002 - it calls nobody
        """Return the provider of this account."""
        return Scripted(account.account.name, self)


@dataclass(slots=True)
class Scripted:
    """One scripted provider."""

    name: str
    kind: Kind

    async def ask(self, object_name: ObjectName, inputs: Mapping[str, str]) -> Proposed:
        """Say what the script says."""
        assert object_name == "contact"
        self.kind.asked.append((self.name, dict(inputs)))
        for hook in self.kind.on_ask:
            await hook()
        said = self.kind.scripts.get(self.name, _no_values)(inputs)
        if isinstance(said, ErrorClass):
            raise CallFailed(VendorError(said, said.value.upper(), "as the script wants"))
        return Proposed({word: Proposal(value, 0.9) for word, value in said.items()}, f"{self.name}-1")

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Log:
    """A log that is a list; it may be away."""

    changes: list[Change] = field(default_factory=list)
    away: bool = False

    async def record(self, tenant_id: str, changes: Sequence[Change]) -> Recorded:
        """Keep *changes*."""
        assert tenant_id == TENANT
        if self.away:
            raise Unavailable("ingest is away")
        self.changes.extend(changes)
        return Recorded(accepted=len(changes))

    def payloads(self) -> list[tuple[str, dict[str, Any]]]:
        """Return source and values of every event."""
        read = [(item.source, msgspec.json.decode(item.payload)) for item in self.changes]
        return [
            (source, {name: value for name, value in payload.items() if name != "headwater_enrichment"})
            for source, payload in read
        ]


@dataclass(slots=True)
class Policies:
    """The policy in force."""

    document: PolicyDocument

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy."""
        return MappingProxyType({TENANT: self.document})


@dataclass(slots=True)
class NoSecrets:
    """Every secret is the sandbox's key."""

    def read(self, reference: str) -> Mapping[str, str]:
        """Return the key."""
        assert reference
        return {"api_key": f"sandbox-key-{TENANT}"}


@dataclass(slots=True)
class Bench:
    """Tables, providers and the one who asks them."""

    pool: Pool
    store: PostgresEnrichment
    kind: Kind
    log: Log
    policies: Policies
    lease: Lease
    parts: HostParts

    def tenant(self) -> TenantEnrichment:
        """Return who asks, as a process that has just begun."""
        return TenantEnrichment(TENANT, self.lease, self.parts)

    async def work(self, tenant: TenantEnrichment | None = None) -> None:
        """Do what is due, until nothing is."""
        asking = tenant or self.tenant()
        while await asking.step() == 0.0:
            pass

    async def want(self, number: int, *, source: str = "crm", version: int = 1, **values: Any) -> None:
        """Put an entity in with these values, or its next version, and want it as the projector does."""
        fields = {
            name: [value, "source_priority", source, str(key(900)), 1] for name, value in values.items()
        }
        await self.pool.execute(
            "insert into sync.entity as held (tenant_id, entity_id, object, state, version, fields)"
            " values ($1, $2, 'contact', 'active', $3, $4) on conflict (tenant_id, entity_id)"
            " do update set version = excluded.version, fields = excluded.fields",
            TENANT, key(number), version, fields,
        )  # fmt: skip
        await self.pool.execute(
            "insert into sync.enrichment as held (tenant_id, entity_id, object, wanted_version, due_time)"
            " values ($1, $2, 'contact', $3, now()) on conflict (tenant_id, entity_id)"
            " do update set wanted_version = $3, due_time = now(), wanted_time = clock_timestamp()",
            TENANT, key(number), version,
        )  # fmt: skip

    async def row(self, number: int = 1) -> Any:
        """Return what is kept of an entity."""
        return await self.pool.fetchrow(
            "select * from sync.enrichment where tenant_id = $1 and entity_id = $2", TENANT, key(number)
        )

    async def usage(self, provider: str) -> Any:
        """Return today's use of a provider."""
        today = dt.datetime.now(dt.UTC).date()
        found = await self.store.usage(TENANT, today)
        return next((item for item in found if item.provider == provider), None)


def _always() -> bool:
    return True


def _unpaced(_: Rules) -> Unpaced:
    return Unpaced()


def _no_values(_: Mapping[str, str]) -> Said:
    return {}


@asynccontextmanager
async def benched(database_url: str, text: str = POLICY, kind: Any = None) -> AsyncIterator[Bench]:
    """Open a bench on *database_url*."""
    quiet = start_telemetry("sync", TelemetrySettings(), environ={})
    async with await open_pool(database_url, application_name="test", size_max=6) as pool:
        leases = PostgresLeases(pool, "bench", 15.0)
        await leases.beat()
        fences = await leases.acquire([lease_name(TENANT)], 1)
        lease = Lease(lease_name(TENANT), fences[lease_name(TENANT)])
        scripted, log, store = Kind(), Log(), PostgresEnrichment(pool)
        policies = Policies(load_policy(text))
        providers = ProviderParts(
            NoSecrets(), quiet.spans, SystemClock(), partial(PostgresLimits, pool), _always,
            lambda _: kind or scripted, _unpaced,
        )  # fmt: skip
        parts = HostParts(
            store,
            log,
            leases,
            Membership(leases),
            policies,
            providers,
            SystemClock(),
            lambda: random.Random(1),
        )
        yield Bench(pool, store, scripted, log, policies, lease, parts)
