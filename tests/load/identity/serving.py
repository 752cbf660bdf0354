"""The identity service as it runs: its own process on an embedded Postgres tuned as in production, asked over gRPC."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import asyncpg
from anyio import to_thread
from tests.load.ingest.meters import cpu_s, rss_bytes
from tests.system.processes import Child

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.v1 import identity_pb2_grpc
from headwater.kernel.pg.dsn import with_database
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.migrations import SERVICES, migrate, package_of
from headwater.kernel.pg.roles import prepare_roles, roles_wanted
from headwater.kernel.rpc import open_channel
from headwater.kernel.testing.postgres import create_database, create_template

TENANT: Final = "bench"
CALL_S: Final = 120.0
"""Longest call: a batch on a busy machine."""
GROUP_FIELD: Final = "group_id" if "group_id" in pb.Resolution.DESCRIPTOR.fields_by_name else "entity_id"
"""Field of an answer that names the link tier: the group where the contract has one, else the entity."""
_NAME: Final = "database"
"""File beside a kept server: the name of its database."""
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
async def open_identity(filled: Path | None = None, *, keep: Path | None = None) -> AsyncIterator[Identity]:
    """Start Postgres and the service in a directory of their own; all is gone at the end.

    Args:
        filled: what an earlier one kept, to begin with a copy of it. keep: where to put what is there at the end.
    """
    directory = _make_directory()
    if filled is not None:
        await to_thread.run_sync(_copy, filled / "pg", directory / "pg")
    server = EmbeddedPostgres(directory / "pg")
    try:
        url = await to_thread.run_sync(server.start)
        database = await _database(url, filled)
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
        if keep is not None:
            await to_thread.run_sync(server.stop)
            await to_thread.run_sync(_copy, directory / "pg", keep / "pg")
            (keep / _NAME).write_text(database.partition("?")[0].rpartition("/")[2], encoding="utf-8")
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: server.stop("immediate"))
        shutil.rmtree(directory, ignore_errors=True)


async def _database(server: str, filled: Path | None) -> str:
    """Return the URL of a new database, or of the one that an earlier run filled, migrated to what is current."""
    if filled is None:
        return await create_database(server, await create_template(server, ("identity",)))
    url = with_database(server, (filled / _NAME).read_text(encoding="utf-8"))
    connection = await asyncpg.connect(url)
    try:
        roles = await prepare_roles(connection, SERVICES, roles_wanted(os.environ))
        await migrate(connection, "identity", package_of("identity"), roles=roles)
    finally:
        await connection.close()
    return url


def _copy(source: Path, target: Path) -> None:
    """Copy the directory of a stopped server with its owner, who is another than root."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)  # noqa: S607 - a bench


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
