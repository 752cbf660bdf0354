"""Leads put in by hand on a database of the test's own, a worker whose time is the test's, and the served desk."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import grpc
from tests.unit.policy.routed import ROUTED
from tests.unit.sync.leads import TENANT, WORK, lead_id

from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.rpc import RpcServer, ServerSettings, open_channel
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.routing.ports import Told
from headwater.sync.routing.worker import RoutingSettings, RoutingWorker
from headwater.sync.rpc.routing import ROUTING_NAME, RoutingServicer
from headwater.sync.store.routing import PostgresRouting
from headwater.sync.store.routing_desk import PostgresRoutingDesk
from headwater.sync.usecases.routing import RoutingOffice
from headwater.sync.v1 import routing_pb2_grpc

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool


@dataclass(slots=True)
class Tellings:
    """Port `RoutingLog`: keeps what it was told, each request id once, unless it is away."""

    away: bool = False
    refuses: str = ""
    told: dict[str, Told] = field(default_factory=dict)
    calls: int = 0

    async def tell(self, tenant_id: str, told: Sequence[Told]) -> Sequence[tuple[uuid.UUID | None, str]]:
        """Take events as ingest does."""
        assert tenant_id == TENANT
        self.calls += 1
        if self.away:
            raise Unavailable("ingest is away")
        for item in told:
            held = self.told.setdefault(item.request_id, item)
            assert held == item, "the same request id with another content"
        return [
            (None, "no") if self.refuses and self.refuses in item.request_id else (_key(item), "")
            for item in told
        ]


def _key(item: Told) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, item.request_id)


@dataclass(frozen=True, slots=True)
class InForce:
    """Port `Policies`: those that the test puts in."""

    documents: Mapping[str, PolicyDocument]

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy."""
        return MappingProxyType(dict(self.documents))


@dataclass(slots=True)
class RoutingWorld:
    """Tables, clock, log and the served desk."""

    pool: Pool
    stub: routing_pb2_grpc.RoutingServiceAsyncStub
    address: str
    clock: SteppedClock
    documents: dict[str, PolicyDocument]
    log: Tellings = field(default_factory=Tellings)
    settings: RoutingSettings = field(default_factory=RoutingSettings)

    async def time(self) -> dt.datetime:
        """Return the clock's time."""
        return self.clock.now()

    def worker(self) -> RoutingWorker:
        """Return a worker of a process that was just started."""
        return RoutingWorker(
            PostgresRouting(self.pool), self.log, InForce(self.documents), self.settings, self.time
        )

    async def step(self, after_s: float = 0.0) -> float:
        """Let time pass and a process that was just started work once."""
        self.clock.advance(after_s)
        return await self.worker().step()

    async def lead(self, number: int, **values: Any) -> uuid.UUID:
        """Put a lead in, as the projector does: entity, record and mark."""
        entity_id = lead_id(number)
        at = int(self.clock.now().timestamp() * 1e6)
        shown = {name: [value, "most_recent", "form", str(lead_id(7)), at] for name, value in values.items()}
        facts = {name: [value, at, str(lead_id(7))] for name, value in values.items()}
        await self.pool.execute(
            "insert into sync.entity as held (tenant_id, entity_id, object, state, version, fields)"
            " values ($1, $2, 'contact', 'active', 1, $3) on conflict (tenant_id, entity_id) do update"
            " set fields = (held.fields::jsonb || excluded.fields::jsonb)::json",
            TENANT,
            entity_id,
            shown,
        )
        await self.pool.execute(
            "insert into sync.record as held (tenant_id, object, source, external_id, entity_id, fields, deleted)"
            " values ($1, 'contact', 'form', $2, $3, $4, false)"
            " on conflict (tenant_id, object, source, external_id) do update set fields = held.fields || excluded.fields",
            TENANT,
            f"r{number}",
            entity_id,
            facts,
        )
        await self.mark(entity_id, number)
        return entity_id

    async def mark(self, entity_id: uuid.UUID, number: int = 1, kind: str = "contact") -> None:
        """Mark an entity, as the projector does."""
        await self.pool.execute(
            "insert into sync.routing_mark (tenant_id, entity_id, object, record_time, xid, seq)"
            " values ($1, $2, $3, $4, 1, $5)",
            TENANT,
            entity_id,
            kind,
            self.clock.now(),
            number,
        )

    async def touch(self, number: int, lead: uuid.UUID, direction: str) -> None:
        """Put an activity about a lead in, which happens now."""
        entity_id, at = lead_id(5000 + number), self.clock.now()
        said = {"direction": direction, "occurred_time": at.isoformat()}
        shown = {
            name: [value, "most_recent", "mail", str(lead_id(7)), int(at.timestamp() * 1e6)]
            for name, value in said.items()
        }
        await self.pool.execute(
            "insert into sync.entity (tenant_id, entity_id, object, state, version, fields)"
            " values ($1, $2, 'activity', 'active', 1, $3)",
            TENANT,
            entity_id,
            shown,
        )
        await self.pool.execute(
            "insert into sync.entity_reference (tenant_id, from_entity_id, field, to_entity_id)"
            " values ($1, $2, 'people', $3)",
            TENANT,
            entity_id,
            lead,
        )
        await self.mark(entity_id, number, "activity")

    async def people(self) -> list[str]:
        """Return who has each lead, by entity."""
        rows = await self.pool.fetch("select person from sync.assignment order by entity_id")
        return [row["person"] for row in rows]

    async def timers(self) -> list[tuple[int, int]]:
        """Return kind and state of each timer."""
        rows = await self.pool.fetch(
            "select kind, state from sync.sla_timer order by entity_id, number, kind"
        )
        return [(row["kind"], row["state"]) for row in rows]


@asynccontextmanager
async def routing_world(url: str) -> AsyncIterator[RoutingWorld]:
    """Serve the desk on *url*."""
    async with await open_pool(url, application_name="test", size_max=4) as pool:
        clock, documents = SteppedClock(WORK), {TENANT: load_policy(ROUTED)}
        office = RoutingOffice(PostgresRoutingDesk(pool), InForce(documents), clock, leads_max=1000)

        def add(server: grpc.aio.Server) -> Sequence[str]:
            routing_pb2_grpc.add_RoutingServiceServicer_to_server(RoutingServicer(office), server)
            return (ROUTING_NAME,)

        async with (
            RpcServer(ServerSettings(drain_s=1.0), add).serving() as port,
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            stub = routing_pb2_grpc.RoutingServiceStub(channel)
            yield RoutingWorld(pool, stub, f"127.0.0.1:{port}", clock, documents)
