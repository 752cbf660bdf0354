"""`make bench-walls`: what roles and row level security cost where it counts. Exit code 1 when a goal is missed.

One server, two databases: in one the services work as their roles behind row level security, in the other everything is
the URL's user's. Both get the same work in turn, each round beginning with the other one: batches into the log by COPY
and by function, reads of the log's shards, and deliveries claimed and settled. A figure is CPU, of this process and of
the server's, which a busy machine blurs less than time. What a call for one tenant pays is told in time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
import psutil
import uvloop
from tests.load.figures import Figure, Goal, Report, conclude
from tests.load.sync.ours import LEASE, LEASE_TTL_S, Drain, Errand
from tests.unit.ingest.arrivals import new_event

from headwater.ingest.settings import IngestSettings
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.log import PostgresEventLog
from headwater.kernel.ids import TenantId
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.migrations import SERVICES, migrate, package_of
from headwater.kernel.pg.roles import Roles, RolesWanted, prepare_roles
from headwater.kernel.service import open_database
from headwater.kernel.telemetry import Spans
from headwater.kernel.tenancy import serve_tenant
from headwater.kernel.testing.postgres import create_database
from headwater.sync.domain.leasing import Lease
from headwater.sync.settings import SyncSettings
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.projection import PostgresLog

SHARE: Final = Goal("<=", 2.0)
CALL_MS: Final = Goal("<=", 0.5)
MANY, FEW = 500, 10
_APART: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """Work a round: batches of 500 and of 10, deliveries, calls."""

    many: int
    few: int
    deliveries: int
    calls: int


FULL: Final = Size(30, 200, 10_000, 300)
SHORT: Final = Size(8, 60, 3_000, 100)


@dataclass(slots=True)
class Side:
    """One of the two databases, with what works on it."""

    ingest: asyncpg.Pool[Any]
    sync: asyncpg.Pool[Any]
    log: PostgresEventLog
    drain: Drain
    version: int = 0
    number: int = 0
    spent: dict[str, list[float]] = field(default_factory=dict)


async def measure(rounds: int, size: Size) -> tuple[list[Figure], dict[str, Any]]:
    """Do the same on both sides, *rounds* times."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-walls-"))
    server = EmbeddedPostgres(directory, detach=False)
    try:
        url = server.start()
        async with AsyncExitStack() as open_:
            walled = await open_.enter_async_context(_side(url, size, with_roles=True))
            bare = await open_.enter_async_context(_side(url, size, with_roles=False))
            await _round((walled, bare), size)  # caches and plans
            for side in (walled, bare):
                side.spent.clear()
            for number in range(rounds):
                sys.stderr.write(f"round {number + 1}\n")
                await _round((walled, bare) if number % 2 else (bare, walled), size)
        return _figures(walled, bare), {"walled": walled.spent, "bare": bare.spent}
    finally:
        server.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def _side(server: str, size: Size, *, with_roles: bool) -> AsyncIterator[Side]:
    url = await create_database(server)
    connection = await asyncpg.connect(url)
    roles = (
        await prepare_roles(connection, SERVICES, RolesWanted("required", Roles("bench")))
        if with_roles
        else None
    )
    for service in SERVICES:
        await migrate(connection, service, package_of(service), roles=roles)
    await connection.close()
    given = {"HEADWATER_DATABASE_URL": url}
    async with (
        await open_database(
            "ingest", IngestSettings.model_validate(given), size_min=1, size_max=2, session_reset=False
        ) as ingest,
        await open_database(
            "sync", SyncSettings.model_validate(given), size_min=2, size_max=4, session_reset=False
        ) as sync,
    ):
        leases = PostgresLeases(sync, "bench", LEASE_TTL_S)
        await leases.beat()
        fences = await leases.acquire([LEASE], 1)
        drain = Drain(sync, Errand(url, size.deliveries), Lease(LEASE, fences[LEASE]))
        announcer = Announcer(ingest, acquire_timeout_s=5)
        log = PostgresEventLog(ingest, Spans.off(), announcer, acquire_timeout_s=5, keeps_connection=True)
        try:
            yield Side(ingest, sync, log, drain, number=_APART * with_roles)
        finally:
            await log.aclose()


async def _round(sides: Sequence[Side], size: Size) -> None:
    for name, work in (
        ("COPY of 500", lambda side: _append(side, size.many, MANY)),
        ("function for 10", lambda side: _append(side, size.few, FEW)),
        ("read of the log", _read),
        ("marks", _mark),
        ("deliveries", lambda side: side.drain.run()),
    ):
        for side in sides:
            await _spend(side, name, work)
    for side in sides:
        began = time.perf_counter()
        async with anyio.create_task_group() as calls:
            calls.start_soon(_call, side, size.calls)
        side.spent.setdefault("call", []).append((time.perf_counter() - began) / size.calls * 1e3)


async def _spend(side: Side, name: str, work: Callable[[Side], Awaitable[object]]) -> None:
    """Do the work; note the CPU seconds that this process and every process of the server used."""
    processes = [os.getpid(), *_backends(side)]
    before = sum(map(_cpu_s, processes))
    await work(side)
    used = sum(map(_cpu_s, processes)) - before
    side.spent.setdefault(name, []).append(used)


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds that the threads of a process used; by the scheduler's clock where there is one."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():
        spent = psutil.Process(pid).cpu_times()
        return spent.user + spent.system
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def _backends(side: Side) -> list[int]:
    pools: list[Any] = [side.ingest, side.sync]  # the driver tells its connections nowhere else
    held = [one._con for pool in pools for one in pool._holders]  # noqa: SLF001
    return [connection.get_server_pid() for connection in held if connection is not None]


async def _append(side: Side, batches: int, rows: int) -> None:
    for _ in range(batches):
        side.number += rows
        await side.log.append([new_event(external_id=f"r{side.number + number}") for number in range(rows)])


async def _read(side: Side) -> None:
    log = PostgresLog(side.sync)
    shards = await log.shard_count()
    rows = await side.sync.fetch(
        "SELECT count(*) FROM ingest.read_shards($1, $2, $3, 1000)",
        list(range(shards)), [0] * shards, [0] * shards,
    )  # fmt: skip
    assert rows[0][0]


async def _mark(side: Side) -> None:
    side.version += 1
    await side.drain.fill(side.version)


async def _call(side: Side, times: int) -> None:
    serve_tenant("bench")
    book = PostgresOperations(side.sync)
    for _ in range(times):
        await book.read_entity(TenantId("bench"), _FIRST)


_FIRST: Final = uuid.UUID(int=0)


def _figures(walled: Side, bare: Side) -> list[Figure]:
    figures = [
        Figure(
            f"CPU that walls cost: {name}", "%", SHARE,
            tuple((one / other - 1) * 100 for one, other in zip(walled.spent[name], bare.spent[name], strict=True)),
        )
        for name in walled.spent
        if name != "call"
    ]  # fmt: skip
    calls = tuple(one - other for one, other in zip(walled.spent["call"], bare.spent["call"], strict=True))
    sys.stderr.write(f"a call: {statistics.median(bare.spent['call']):.3f} ms without\n")
    return [*figures, Figure("time that walls cost a call", "ms", CALL_MS, calls)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(prog="make bench-walls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds, default 7")
    parser.add_argument("--short", action="store_true", help="a third of the work, for a look in between")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    figures, details = uvloop.run(measure(read.rounds, SHORT if read.short else FULL))
    return conclude(Report("Walls between tenants", figures, details), json_path=read.json)


if __name__ == "__main__":
    sys.exit(main())
