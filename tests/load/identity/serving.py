"""The identity service as it runs: its own process on an embedded Postgres tuned as in production, asked over gRPC."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread
from tests.load.ingest.meters import cpu_s, rss_bytes
from tests.system.processes import Child

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.v1 import identity_pb2_grpc
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.rpc import open_channel
from headwater.kernel.testing.postgres import create_database, create_template

TENANT: Final = "bench"
CALL_S: Final = 120.0
"""Longest call: a batch on a busy machine."""
GROUP_FIELD: Final = "group_id" if "group_id" in pb.Resolution.DESCRIPTOR.fields_by_name else "entity_id"
"""Field of an answer that names the link tier: the group where the contract has one, else the entity."""
_KEYS: Final = uuid.UUID("6b0f6a52-6f5e-4a53-9d63-2d8f9b1c7e11")


@dataclass(frozen=True, slots=True)
class Identity:
    """A running service.

    Args:
        url: of its database.
    """

    stub: identity_pb2_grpc.IdentityServiceAsyncStub
    pid: int
    postgres_pid: int
    url: str

    async def resolve(self, records: Sequence[pb.ResolveRecord], tenant: str = TENANT) -> list[pb.Resolution]:
        """Resolve a batch."""
        request = pb.ResolveBatchRequest(tenant_id=tenant, records=records)
        answer = await self.stub.ResolveBatch(request, timeout=CALL_S)
        return list(answer.resolutions)

    def memory_bytes(self) -> int:
        """Return the resident memory of the service, Postgres not counted."""
        return rss_bytes(self.pid)

    def cpu_s(self) -> tuple[float, float]:
        """Return the CPU seconds of the service and of Postgres so far."""
        return cpu_s(self.pid), cpu_s(self.postgres_pid)


def record_of(record_id: str, object_name: str, source: str, fields: Mapping[str, str]) -> pb.ResolveRecord:
    """Return a record as the projector asks for it."""
    return pb.ResolveRecord(
        record=event_pb2.RecordRef(source=source, object=object_name, external_id=record_id),
        event_key=str(uuid.uuid5(_KEYS, f"{source}|{object_name}|{record_id}")),
        attributes=fields,
    )


def group_of(resolution: pb.Resolution) -> str:
    """Return the link-tier group of an answer."""
    return str(getattr(resolution, GROUP_FIELD)) or resolution.entity_id


@asynccontextmanager
async def open_identity() -> AsyncIterator[Identity]:
    """Start Postgres and the service in a directory of their own; all is gone at the end."""
    directory = _make_directory()
    server = EmbeddedPostgres(directory / "pg")
    try:
        url = await to_thread.run_sync(server.start)
        database = await create_database(url, await create_template(url, ("identity",)))
        child = Child("identity", _environment(database), directory / "identity.stderr")
        port = (await to_thread.run_sync(child.start))["port"]
        try:
            async with open_channel(f"127.0.0.1:{port}") as channel:
                stub: identity_pb2_grpc.IdentityServiceAsyncStub = identity_pb2_grpc.IdentityServiceStub(
                    channel
                )
                yield Identity(stub, child.pid, server.pid or 0, database)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(child.end)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: server.stop("immediate"))
        shutil.rmtree(directory, ignore_errors=True)


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    directory.chmod(0o755)  # Postgres, started by root, runs as another account and must be able to enter
    return directory


def _environment(database_url: str) -> dict[str, str]:
    return {
        "HEADWATER_DATABASE_URL": database_url,
        "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:0",
        "HEADWATER_LOG_LEVEL": "warning",
    }
