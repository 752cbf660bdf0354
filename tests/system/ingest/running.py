"""An ingest service as its own processes, for tests that end it, starve it or abuse it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import psutil


@dataclass(frozen=True, slots=True)
class RunningIngest:
    """A service that said it is ready."""

    process: subprocess.Popen[str]
    port: int
    pids: tuple[int, ...]
    """Those that serve: of one process its own, of several those of the supervised."""

    @property
    def address(self) -> str:
        """Return host:port."""
        return f"127.0.0.1:{self.port}"

    def rss_bytes(self) -> int:
        """Memory of the serving processes."""
        return sum(psutil.Process(pid).memory_info().rss for pid in self.pids)

    def descriptors(self) -> int:
        """Open files and sockets of the serving processes."""
        return sum(psutil.Process(pid).num_fds() for pid in self.pids)


@contextmanager
def running_ingest(
    url: str,
    *,
    processes: int = 1,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
    **given: Mapping[str, str] | str,
) -> Iterator[RunningIngest]:
    """Start the service on a free port; kill what is left of it at the end.

    Args:
        given: further settings by name without HEADWATER_INGEST_, as `drain_s="2"`.
    """
    environment = {
        **os.environ,
        "HEADWATER_DATABASE_URL": url,
        "HEADWATER_INGEST_ADDRESS": "127.0.0.1:0",
        "HEADWATER_SYNC_ADDRESS": "",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **{f"HEADWATER_INGEST_{name.upper()}": str(value) for name, value in given.items()},
    }
    command = [sys.executable, "-m", "headwater.ingest", "--processes", str(processes)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield RunningIngest(process, ready["port"], tuple(ready.get("pids", (process.pid,))))
        finally:
            process.kill()
