"""The embedded server's settings, from the size of the machine. Pure; must not read the machine itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB

SHARED_BUFFERS_BYTES: Final = 1 * GIB
"""Enough to keep the hot end of log and ledger; more belongs to the system's page cache."""

SHARED_BUFFERS_BYTES_MIN: Final = 128 * MIB
LARGE_MEMORY_BYTES: Final = 8 * GIB
WAL_BYTES_MAX: Final = 8 * GIB
"""Checkpoints are then driven by time, not by volume, at the rates measured (88,000 rows/s)."""

WAL_BYTES_MIN: Final = 256 * MIB
MAX_CONNECTIONS: Final = 200


@dataclass(frozen=True, slots=True)
class Machine:
    """What the settings depend on."""

    memory_bytes: int
    disk_free_bytes: int
    lz4: bool


def tuned_settings(machine: Machine) -> Mapping[str, str]:
    """Settings for a server that holds events: durable, few checkpoints, bounded connections."""
    wal_bytes = max(WAL_BYTES_MIN, min(WAL_BYTES_MAX, machine.disk_free_bytes // 10))
    settings = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "shared_buffers": _megabytes(_shared_buffers_bytes(machine.memory_bytes)),
        "effective_cache_size": _megabytes(machine.memory_bytes // 2),
        "max_connections": str(MAX_CONNECTIONS),
        "wal_buffers": "64MB",
        "max_wal_size": _megabytes(wal_bytes),
        "min_wal_size": _megabytes(max(80 * MIB, wal_bytes // 8)),
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "autovacuum_naptime": "10s",  # a queue turns all its rows over within a minute
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
    }
    if machine.lz4:
        settings["wal_compression"] = "lz4"
    return settings


def log_settings(directory: str) -> Mapping[str, str]:
    """Log into files named by the hour of the day, each truncated when its hour comes again: 24 at most."""
    return {
        "logging_collector": "on",
        "log_directory": directory,
        "log_filename": "postgresql-%H.log",
        "log_rotation_age": "60min",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_line_prefix": "%m [%p] %a %d ",
        "log_lock_waits": "on",
        "log_min_error_statement": "error",
        "log_parameter_max_length_on_error": "0",
    }


def render(settings: Mapping[str, str]) -> str:
    """The text of a postgresql.conf."""
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    return "\n".join(["# Written anew at every start. Change settings with ALTER SYSTEM.", *lines, ""])


def _shared_buffers_bytes(memory_bytes: int) -> int:
    if memory_bytes >= LARGE_MEMORY_BYTES:
        return SHARED_BUFFERS_BYTES
    return max(SHARED_BUFFERS_BYTES_MIN, memory_bytes // 8)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes // MIB}MB"
