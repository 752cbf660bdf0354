"""What the benches of sync stand on: one tuned Postgres, and a whole Headwater of real processes on a new database.

Owns starting and ending them and reading their CPU. Must not know what is measured.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
import grpc
import httpx
from anyio import to_thread
from tests.load.ingest.ground import free_port
from tests.load.ingest.meters import cpu_s, rss_bytes
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.facts import AccountOf
from tests.system.processes import Child

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.testing.postgres import create_database, create_template, drop_database

SERVICES: Final = ("ingest", "identity", "sync")
METERED: Final = ("ingest", "identity", "sync", "sandbox", "postgres")
CALL_S: Final = 30.0
LOOK_S: Final = 0.1
"""Pause between two looks at a state that nobody announces."""
BATCH_EVENTS: Final = 500
CONNECTED: Final = "select count(*) from sync.connector_state where finding = ''"
SANDBOX_OPTIONS: Final = {"calls_max": None, "search_calls_max": None, "calls_daily_max": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of each process since the start, and bytes of WAL, at one moment."""

    cpu_s: Mapping[str, float]
    wal_bytes: int

    def per_event_us(self, before: Used, events: int) -> dict[str, float]:
        """Return CPU microseconds per event of each process since *before*."""
        return {name: (used - before.cpu_s[name]) * 1e6 / events for name, used in self.cpu_s.items()}


@dataclass(slots=True)
class World:
    """The processes of one measurement and ways to talk to them.

    Args:
        look: a connection to the world's database.
    """

    database_url: str
    accounts: Sequence[AccountOf]
    postgres_pid: int
    look: asyncpg.Connection
    sandbox: httpx.AsyncClient
    ingest: ingest_pb2_grpc.IngestServiceAsyncStub
    children: dict[str, Child] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        """Start a process and return when it is ready."""
        await to_thread.run_sync(self.children[name].start)

    async def end(self, name: str) -> None:
        """End a process."""
        await to_thread.run_sync(self.children[name].end)

    async def used(self) -> Used:
        """Read the meters."""
        pids = {name: child.pid for name, child in self.children.items()} | {"postgres": self.postgres_pid}
        totals = {name: cpu_s(pids[name]) if pids.get(name) else 0.0 for name in METERED}
        wal = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        return Used(totals, await self.look.fetchval(wal))

    def memory_mib(self) -> dict[str, float]:
        """Return the resident memory of each process."""
        return {name: rss_bytes(child.pid) / 2**20 for name, child in self.children.items() if child.pid}

    async def record(self, events: Sequence[event_pb2.Event]) -> list[str]:
        """Record events in batches; return their keys in order.

        Raises:
            MeasurementFailed: one was not accepted.
        """
        keys: list[str] = []
        for start in range(0, len(events), BATCH_EVENTS):
            request = ingest_pb2.BatchRecordEventsRequest(
                tenant_id=facts.TENANT, events=events[start : start + BATCH_EVENTS]
            )
            answer = await self.ingest.BatchRecordEvents(request, timeout=CALL_S, wait_for_ready=True)
            for outcome in answer.outcomes:
                if outcome.disposition != ingest_pb2.DISPOSITION_ACCEPTED:
                    raise MeasurementFailed(f"an event was not accepted: {outcome}")
                keys.append(outcome.event_key)
        return keys

    async def apply_policy(self, **more: Any) -> None:
        """Put the bench's policy in force; *more* as `facts.policy` takes it."""
        await self.record([facts.policy(str(self.sandbox.base_url).rstrip("/"), self.accounts, **more)])

    async def until_connected(self) -> None:
        """Wait until every actor has prepared its account."""

        async def connected() -> bool:
            return bool(await self.look.fetchval(CONNECTED) == len(self.accounts))

        await until(connected, "every account prepared", 60.0)

    async def arm(self, account: AccountOf, *faults: Mapping[str, Any]) -> None:
        """Replace the faults of an account."""
        place = f"/_sandbox/{account.vendor}/{account.name}/faults"
        (await self.sandbox.put(place, json={"faults": list(faults)})).raise_for_status()

    async def arrivals(self, account: AccountOf) -> list[dict[str, Any]]:
        """Return every record write that reached an account."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["sequence"] if found else 0
            place = f"/_sandbox/{account.vendor}/{account.name}/arrivals"
            page = (await self.sandbox.get(place, params={"after": after, "limit": 1000})).json()["arrivals"]
            if not page:
                return found
            found += page


class Ground:
    """Postgres and the worlds on it; made by `open_ground`."""

    def __init__(self, server: EmbeddedPostgres, url: str, template: str, directory: Path) -> None:
        self.server = server
        self.url = url
        self.directory = directory
        self._template = template
        self._worlds = 0

    @property
    def postgres_pid(self) -> int:
        """The postmaster."""
        return self.server.pid or 0

    @asynccontextmanager
    async def database(self, *, migrated: bool) -> AsyncIterator[str]:
        """A new database, straight after a checkpoint; dropped at the end."""
        url = await create_database(self.url, self._template if migrated else None)
        try:
            connection = await asyncpg.connect(url, timeout=CALL_S)
            await connection.execute("CHECKPOINT", timeout=60)
            await connection.close()
            yield url
        finally:
            await drop_database(self.url, url)

    @asynccontextmanager
    async def world(
        self,
        accounts: Sequence[AccountOf],
        *,
        started: Sequence[str] = SERVICES,
        extra: Mapping[str, str] = {},
    ) -> AsyncIterator[World]:
        """A new Headwater with empty CRMs; the sandbox and the services of *started* run."""
        self._worlds += 1
        directory = self.directory / f"world-{self._worlds}"
        directory.mkdir()
        ports = {name: free_port() for name in (*SERVICES, "sandbox")}
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(self.database(migrated=True))
            look = await asyncpg.connect(url, timeout=CALL_S)
            stack.callback(look.terminate)
            sandbox = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['sandbox']}", timeout=CALL_S)
            )
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{ports['ingest']}")
            )
            stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
            own = {"HEADWATER_DATA_DIR": str(directory / "data")}
            environment = {**_environment(url, ports), **own, **facts.secrets(accounts), **extra}
            children = {name: _child(name, environment, directory, ports) for name in ports}
            world = World(url, accounts, self.postgres_pid, look, sandbox, stub, children)
            try:
                await world.start("sandbox")
                await _open_accounts(sandbox, accounts)
                for name in started:
                    await world.start(name)
                yield world
            finally:
                with anyio.CancelScope(shield=True):
                    for name in reversed(tuple(children)):
                        await world.end(name)
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def open_ground() -> AsyncIterator[Ground]:
    """A server in a directory of its own, tuned as `headwater up` tunes it; both are gone at the end."""
    directory = _make_directory()
    server = EmbeddedPostgres(directory / "pg")
    try:
        url = await to_thread.run_sync(server.start)
        yield Ground(server, url, await create_template(url, SERVICES), directory)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: server.stop("immediate"))
        shutil.rmtree(directory, ignore_errors=True)


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    directory.chmod(0o755)  # Postgres, started by root, runs as another account and must be able to enter
    return directory


async def until(reached: Callable[[], Awaitable[bool]], what: str, timeout_s: float) -> None:
    """Return once *reached* says so.

    Raises:
        MeasurementFailed: not within *timeout_s*.
    """
    give_up_at = time.monotonic() + timeout_s
    while not await reached():
        if time.monotonic() > give_up_at:
            raise MeasurementFailed(f"not within {timeout_s:g} s: {what}")
        await anyio.sleep(LOOK_S)


async def _open_accounts(sandbox: httpx.AsyncClient, accounts: Sequence[AccountOf]) -> None:
    for one in accounts:
        place = f"/_sandbox/{one.vendor}/{one.name}"
        (await sandbox.post(f"{place}/reset", json={"seed": False})).raise_for_status()
        (await sandbox.put(f"{place}/options", json=SANDBOX_OPTIONS)).raise_for_status()


def _environment(url: str, ports: Mapping[str, int]) -> dict[str, str]:
    addresses = {
        f"HEADWATER_{name.upper()}_ADDRESS": f"127.0.0.1:{port}"
        for name, port in ports.items()
        if name != "sandbox"
    }
    return {
        "HEADWATER_DATABASE_URL": url,
        "HEADWATER_INGEST_PROCESSES": "1",
        "HEADWATER_LOG_LEVEL": "warning",
        **addresses,
    }


def _child(name: str, environment: Mapping[str, str], directory: Path, ports: Mapping[str, int]) -> Child:
    own = {
        "HEADWATER_SANDBOX_DATA_DIR": str(directory / "sandbox"),
        "HEADWATER_SANDBOX_PORT": str(ports["sandbox"]),
    }
    return Child(name, own if name == "sandbox" else environment, directory / f"{name}.stderr")
