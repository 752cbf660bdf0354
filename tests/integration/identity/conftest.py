"""A running identity service on a database of the test's own, with a recording event log beside it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import asyncpg
import grpc
import pytest

from headwater.event.v1 import event_pb2
from headwater.identity.app import running
from headwater.identity.domain.identifying import SHIPPED, Normaliser
from headwater.identity.settings import IdentitySettings
from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.v1 import identity_pb2_grpc
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.rpc import open_channel
from headwater.kernel.settings import read_settings
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry

TENANT = "acme"
ACTOR = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="reviewer")


class RecordingLog:
    """An ingest service that keeps what it is told, refuses on demand, and says when something came."""

    def __init__(self) -> None:
        self.events: list[tuple[str, event_pb2.Event]] = []
        self.refusals = 0
        self._came = anyio.Event()

    async def take(
        self, request: ingest_pb2.BatchRecordEventsRequest, context: Any
    ) -> ingest_pb2.BatchRecordEventsResponse:
        """Take the events, or refuse while refusals are left."""
        if self.refusals:
            self.refusals -= 1
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")
        seen = {event.request_id for _, event in self.events}
        outcomes = []
        for event in request.events:
            duplicate = event.request_id in seen
            kind = ingest_pb2.DISPOSITION_DUPLICATE if duplicate else ingest_pb2.DISPOSITION_ACCEPTED
            outcomes.append(ingest_pb2.EventOutcome(disposition=kind))
            if not duplicate:
                self.events.append((request.tenant_id, event))
        self._came.set()
        return ingest_pb2.BatchRecordEventsResponse(outcomes=outcomes)

    async def wait_for(self, count: int) -> None:
        """Return once *count* events were taken."""
        with anyio.fail_after(10):
            while len(self.events) < count:
                self._came = anyio.Event()
                await self._came.wait()


@dataclass(slots=True)
class Client:
    """Calls the service in few words."""

    stub: identity_pb2_grpc.IdentityServiceAsyncStub
    settings: IdentitySettings
    log: RecordingLog
    tenant: str = TENANT
    address: str = ""

    async def resolve(
        self, *records: pb.ResolveRecord, tenant: str = "", timeout_s: float = 15
    ) -> Sequence[pb.Resolution]:
        """Resolve a batch."""
        request = pb.ResolveBatchRequest(tenant_id=tenant or self.tenant, records=records)
        return (await self.stub.ResolveBatch(request, timeout=timeout_s)).resolutions

    async def merge(self, winner: str, loser: str, request_id: str = "") -> pb.MergeResponse:
        """Merge two entities."""
        return await self.stub.Merge(
            pb.MergeRequest(
                tenant_id=self.tenant,
                winner_entity_id=winner,
                loser_entity_id=loser,
                actor=ACTOR,
                request_id=request_id,
            )
        )

    async def split(self, merge_id: str) -> pb.SplitResponse:
        """Undo a merge."""
        return await self.stub.Split(pb.SplitRequest(tenant_id=self.tenant, merge_id=merge_id, actor=ACTOR))

    async def entity(self, entity_id: str, tenant: str = "") -> pb.Entity:
        """Return an entity."""
        request = pb.GetEntityRequest(tenant_id=tenant or self.tenant, entity_id=entity_id)
        return (await self.stub.GetEntity(request)).entity

    async def entity_of(
        self, external_id: str, source: str = "crm", object_name: str = "contact"
    ) -> pb.Entity:
        """Return the entity of a record."""
        ref = event_pb2.RecordRef(source=source, object=object_name, external_id=external_id)
        return (await self.stub.GetEntity(pb.GetEntityRequest(tenant_id=self.tenant, record=ref))).entity

    async def candidates(self, page_size: int = 0, page_token: str = "") -> pb.ListMergeCandidatesResponse:
        """Return one page of candidates."""
        return await self.stub.ListMergeCandidates(
            pb.ListMergeCandidatesRequest(tenant_id=self.tenant, page_size=page_size, page_token=page_token)
        )


def record(
    external_id: str,
    *,
    source: str = "crm",
    object_name: str = "contact",
    match_only: bool = False,
    event_key: str = "",
    **attributes: str,
) -> pb.ResolveRecord:
    """Describe a record to resolve."""
    return pb.ResolveRecord(
        record=event_pb2.RecordRef(source=source, object=object_name, external_id=external_id),
        event_key=event_key or str(uuid.uuid4()),
        attributes=attributes,
        match_only=match_only,
    )


@asynccontextmanager
async def ingest_of(log: RecordingLog) -> AsyncIterator[str]:
    """Serve *log* as ingest; yield its address."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        log.take,
        request_deserializer=ingest_pb2.BatchRecordEventsRequest.FromString,
        response_serializer=ingest_pb2.BatchRecordEventsResponse.SerializeToString,
    )
    name = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"BatchRecordEvents": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def settings_for(database_url: str, ingest_address: str, **more: str) -> IdentitySettings:
    """Return settings as the environment would give them."""
    return read_settings(
        IdentitySettings,
        {
            "HEADWATER_DATABASE_URL": database_url,
            "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:0",
            "HEADWATER_INGEST_ADDRESS": ingest_address,
            **more,
        },
    )


@asynccontextmanager
async def client_of(
    settings: IdentitySettings, log: RecordingLog, rules: Normaliser = SHIPPED
) -> AsyncIterator[Client]:
    """Run the service as its process would; yield a client of it."""
    telemetry = start_telemetry("identity", TelemetrySettings(), environ={})
    async with (
        running(settings, telemetry, rules=rules) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        yield Client(stub, settings, log, address=f"127.0.0.1:{port}")


@pytest.fixture
async def identity(migrated_database_url: str) -> AsyncIterator[Client]:
    """A running service, reached over gRPC."""
    log = RecordingLog()
    async with (
        ingest_of(log) as address,
        client_of(settings_for(migrated_database_url, address), log) as client,
    ):
        yield client


@pytest.fixture
def new_record() -> Callable[..., pb.ResolveRecord]:
    """Describe a record to resolve: `new_record("1", email=...)`."""
    return record


@pytest.fixture
async def tables(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to the service's database."""
    connection = await asyncpg.connect(migrated_database_url)
    try:
        yield connection
    finally:
        await connection.close()
