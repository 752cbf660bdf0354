"""What everything is measured on: one embedded Postgres as `headwater up` tunes it, and processes started on it.

Owns starting and ending them. Every case gets a new database, and the service anew with it: none inherits pages,
caches or queues of the one before.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import asyncpg
import grpc
from anyio import to_thread
from tests.load.ingest import facts
from tests.load.ingest.meters import listening
from tests.load.ingest.stages import ROOT, MeasurementFailed, environment, module
from tests.system.processes import Child

from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.testing.postgres import create_database, create_template, drop_database

CALL_S: Final = 20.0
END_S: Final = 10.0
STORED: Final = "SELECT count(*) FROM ingest.event WHERE object = 'contact'"


@dataclass(frozen=True, slots=True)
class Service:
    """The ingest service as it runs.

    Args:
        processes: those that listen.
    """

    address: str
    pid: int
    processes: int
    child: Child


class Ground:
    """Postgres and what is started on it; made by `open_ground`."""

    def __init__(
        self, server: EmbeddedPostgres, url: str, template: str, meter: asyncpg.Connection, directory: Path
    ) -> None:
        self.server = server
        self.url = url
        self.directory = directory
        self.meter = meter
        self._template = template
        self._services = 0

    @property
    def postgres_pid(self) -> int:
        """The postmaster."""
        return self.server.pid or 0

    @asynccontextmanager
    async def database(self, *, migrated: bool) -> AsyncIterator[str]:
        """A new database, straight after a checkpoint; dropped at the end."""
        url = await create_database(self.url, self._template if migrated else None)
        try:
            await self.meter.execute("CHECKPOINT")
            yield url
        finally:
            await drop_database(self.url, url)

    @asynccontextmanager
    async def service(
        self, database_url: str, *, otlp: str = "", extra: Mapping[str, str] | None = None, port: int = 0
    ) -> AsyncIterator[Service]:
        """The real service with a tenant's contract in force.

        Args:
            otlp: host:port of a receiver of spans; none are exported without.
        """
        self._services += 1
        port = port or free_port()
        child = Child("ingest", service_environment(database_url, port, otlp, extra), self._log())
        try:
            await to_thread.run_sync(child.start)
            address = f"127.0.0.1:{port}"
            await apply_policy(address)
            yield Service(address, child.pid, max(1, listening(child.pid, port)), child)
        finally:
            await to_thread.run_sync(child.end)

    def _log(self) -> Path:
        return self.directory / f"ingest-{self._services}.stderr"

    async def stored(self, database_url: str) -> int:
        """Return how many events of the load are in the log."""
        connection = await asyncpg.connect(database_url, timeout=CALL_S)
        try:
            return int(await connection.fetchval(STORED, timeout=60))
        finally:
            await connection.close()


@asynccontextmanager
async def open_ground(settings: Mapping[str, str] | None = None) -> AsyncIterator[Ground]:
    """A server in a directory of its own, tuned as in production; both are gone at the end.

    Args:
        settings: laid over the tuned ones.
    """
    directory = _make_directory()
    server = EmbeddedPostgres(directory / "pg", settings=settings)
    try:
        url = await to_thread.run_sync(server.start)
        template = await create_template(url, ("ingest",))
        meter = await asyncpg.connect(url, timeout=CALL_S)
        try:
            yield Ground(server, url, template, meter, directory)
        finally:
            meter.terminate()
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: server.stop("immediate"))
        shutil.rmtree(directory, ignore_errors=True)


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    directory.chmod(0o755)  # Postgres, started by root, runs as another account and must be able to enter
    return directory


def service_environment(
    database_url: str, port: int, otlp: str = "", extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of the service: as shipped, but for where things are."""
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}", "OTEL_EXPORTER_OTLP_INSECURE": "true"}
    return {
        "HEADWATER_DATABASE_URL": database_url,
        "HEADWATER_INGEST_ADDRESS": f"127.0.0.1:{port}",
        "HEADWATER_LOG_LEVEL": "warning",
        "HEADWATER_TRACE_RATIO": str(facts.SAMPLED_SHARE),
        **(traced if otlp else {}),
        **(extra or {}),
    }


async def apply_policy(address: str) -> None:
    """Put the tenant's contract in force."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
        request = ingest_pb2.RecordEventRequest(tenant_id=facts.TENANT, event=facts.policy())
        answer = await stub.RecordEvent(request, timeout=CALL_S, wait_for_ready=True)
        accepted = {ingest_pb2.DISPOSITION_ACCEPTED, ingest_pb2.DISPOSITION_DUPLICATE}
        if answer.outcome.disposition not in accepted:
            raise MeasurementFailed(f"the policy was not taken: {answer.outcome}")


@contextmanager
def noop_server(processes: int) -> Iterator[tuple[str, int]]:
    """The server that does nothing; yields its address and process id."""
    port = free_port()
    with subprocess.Popen(
        module("noop", str(port), str(processes)), stdout=subprocess.PIPE, cwd=ROOT, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield f"127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peers_directory() -> Path:
    """Return where the peers are installed, apart from the product."""
    return ROOT / ".peers"


def peer_command(peer: str, database_url: str, seconds: float) -> list[str]:
    """Return the command that measures a peer.

    Raises:
        MeasurementFailed: the peer is not installed.
    """
    scripts = ROOT / "tests" / "load" / "ingest" / "peers"
    if peer in {"pgqueuer", "procrastinate"}:
        program, script = peers_directory() / "python" / "bin" / "python", scripts / "enqueue.py"
        installed = program.exists()
    else:
        found = shutil.which("node")
        program, script = Path(found or "node"), scripts / "enqueue.mjs"
        installed = found is not None and (peers_directory() / "node" / "node_modules" / peer).is_dir()
    if not installed:
        raise MeasurementFailed(f"{peer} is not installed; run `make bench-peers`")
    return [str(program), str(script), peer, database_url, str(seconds)]
