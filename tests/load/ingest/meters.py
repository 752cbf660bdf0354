"""What a process tree used: CPU, memory; and what Postgres wrote. Reads, never acts."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

_CPUCLOCK_SCHED = 2
_HAS_PROCESS_CLOCKS = platform.system() == "Linux"

if TYPE_CHECKING:
    import asyncpg

WAL_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals at one moment; two of them make a measurement."""

    server_cpu_s: float
    postgres_cpu_s: float
    wal_bytes: int

    def since(self, before: Usage) -> Usage:
        """Return what was used between *before* and this."""
        return Usage(
            self.server_cpu_s - before.server_cpu_s,
            self.postgres_cpu_s - before.postgres_cpu_s,
            self.wal_bytes - before.wal_bytes,
        )


def processes(pid: int) -> list[psutil.Process]:
    """Return a process and all that descend from it, those that are gone left out.

    By parent ids alone: `psutil.Process.children` compares start times too, which a clock that steps breaks.
    """
    children: dict[int, list[psutil.Process]] = {}
    roots = []
    for process in psutil.process_iter():
        try:
            children.setdefault(process.ppid(), []).append(process)
        except psutil.NoSuchProcess:
            continue
        if process.pid == pid:
            roots.append(process)
    found = []
    while roots:
        found.append(roots.pop())
        roots += children.get(found[-1].pid, [])
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process tree: a member that ended is counted by who waited for it."""
    total = 0.0
    for process in processes(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def process_cpu_s(pid: int) -> float:
    """Return the CPU time of one process, its ended threads too; to the nanosecond where the system tells it so."""
    if _HAS_PROCESS_CLOCKS:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)  # as clock_getcpuclockid(3) makes it
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process tree."""
    return sum(_resident(process)[0] for process in processes(pid))


def private_bytes(pid: int) -> int:
    """Return the resident memory of a process tree that is not shared.

    For Postgres: each backend's resident size grows towards shared_buffers as it touches them, which is no leak.
    """
    return sum(resident - shared for resident, shared in map(_resident, processes(pid)))


def _resident(process: psutil.Process) -> tuple[int, int]:
    try:
        info = process.memory_info()
    except psutil.NoSuchProcess:
        return 0, 0
    return info.rss, getattr(info, "shared", 0)


def listening(pid: int, port: int) -> int:
    """Return how many processes of a tree listen on a port: the server processes."""
    found = 0
    for process in processes(pid):
        try:
            connections = process.net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        found += any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)
    return found


async def read_usage(connection: asyncpg.Connection, server_pid: int, postgres_pid: int) -> Usage:
    """Take all totals; *server_pid* 0 when no server of ours is part of the case."""
    return Usage(
        cpu_s(server_pid) if server_pid else 0.0,
        cpu_s(postgres_pid),
        await connection.fetchval(WAL_POSITION),
    )
