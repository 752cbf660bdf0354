"""A whole Headwater with a Postgres of its own, every process of which can be killed.

Owns the server's directory. Must not know what a test asserts.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import asyncpg
import psutil
from tests.system.world import World

from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.migrations import SERVICES, migrate, package_of
from headwater.kernel.testing.postgres import CONNECT_TIMEOUT_S, TEST_SETTINGS

POSTGRES: Final = "postgres"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "HEADWATER_SYNC_LEASE_TTL_S": "1",
    "HEADWATER_TRACE_RATIO": "0.02",
    "HEADWATER_TRACE_SAMPLE_RATIO": "0.02",
}
"""Short leases, so that a killed holder's work is idle for little of a short run; few spans."""
DIE_S_MAX: Final = 5.0


class Stack:
    """A world and its Postgres."""

    def __init__(self, server: EmbeddedPostgres, world: World) -> None:
        self.server = server
        self.world = world

    def kill(self, name: str) -> None:
        """SIGKILL a process; of Postgres the postmaster and every process of it."""
        if name == POSTGRES:
            kill_postgres(self.server)
        else:
            self.world.kill(name)

    def restart(self, name: str) -> None:
        """Start it again as it was; return when it is ready."""
        if name == POSTGRES:
            self.server.start()
        else:
            self.world.restart(name)

    def fallen(self) -> list[str]:
        """Name the processes that ended by themselves: nobody may die of another's death."""
        pids = {name: child.pid for name, child in self.world.children.items()}
        return [name for name, pid in pids.items() if not _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_postgres(server: EmbeddedPostgres) -> None:
    """SIGKILL a server's processes; the postmaster is halted first, so that it starts no further one."""
    if server.pid is None:
        return
    postmaster = psutil.Process(server.pid)
    postmaster.suspend()
    processes = [*postmaster.children(recursive=True), postmaster]
    for process in processes:
        _kill(process.pid)
    psutil.wait_procs(processes, DIE_S_MAX)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def own_postgres(settings: Mapping[str, str] | None = None) -> Iterator[tuple[EmbeddedPostgres, str, Path]]:
    """A migrated server in a directory of its own; yields it, its URL, and room for other files."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-chaos-"))
    directory.chmod(0o755)  # its account, when tests run as root, has to enter
    server = EmbeddedPostgres(directory / "pg", settings={**TEST_SETTINGS, **(settings or {})})
    try:
        url = server.start()
        anyio.run(_migrate, url)
        yield server, url, directory
    finally:
        server.stop("immediate")
        shutil.rmtree(directory)


@contextmanager
def running_stack() -> Iterator[Stack]:
    """A stack for as long as the block runs; whatever happens, no process outlives it."""
    with own_postgres() as (server, url, directory):
        world = World(url, directory)
        for child in world.children.values():
            child.environment = {**child.environment, **ENVIRONMENT}
        try:
            yield Stack(server, world.start())
        finally:
            world.close()


async def _migrate(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    try:
        for service in SERVICES:
            await migrate(connection, service, package_of(service))
    finally:
        await connection.close()


