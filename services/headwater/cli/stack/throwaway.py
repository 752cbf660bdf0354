"""A database and ingest for one run of something, in a directory that is gone afterwards. Owns both processes.

No supervisor, nothing restarted: what is measured is what was started.
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import anyio

from headwater.cli.migrating import migrate_all
from headwater.cli.stack.child import log_end
from headwater.cli.stack.ports import keep_ports
from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import read_ready_line
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.errors import EmbeddedServerFault

READY_TIMEOUT_S: Final = 30.0
STOP_GRACE_S: Final = 15.0
_FOREIGN: Final = (
    "HEADWATER_DATABASE_URL",
    "HEADWATER_INGEST_ADDRESS",
    "HEADWATER_INGEST_HTTP_ADDRESS",
    "HEADWATER_SYNC_ADDRESS",
)
"""Variables that would lead the throw-away service to something that is not."""


@dataclass(frozen=True, slots=True)
class Throwaway:
    """What runs for the block."""

    address: str
    ingest_pid: int
    postgres_pid: int


@contextmanager
def throwaway_ingest(environment: Mapping[str, str]) -> Iterator[Throwaway]:
    """Start PostgreSQL and ingest for the block, end them and delete their data afterwards.

    Args:
        environment: ingest's settings are taken from it, save where its database and address are concerned.

    Raises:
        StartRefused: one of them does not start; says why.
    """
    directory = Path(tempfile.mkdtemp(prefix="headwater-load-"))
    directory.chmod(0o755)  # Postgres, started by root, runs as another account and must be able to enter
    try:
        server = EmbeddedPostgres(directory / "postgres")
        try:
            url = server.start()
            anyio.run(migrate_all, url)
            port = keep_ports(directory / "ports.json", ("ingest",))["ingest"]
            with _ingest(directory, url, f"127.0.0.1:{port}", environment) as process:
                yield Throwaway(f"127.0.0.1:{port}", process.pid, server.pid or 0)
        except EmbeddedServerFault as error:
            raise StartRefused(str(error)) from error
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _ingest(
    directory: Path, url: str, address: str, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    own = {name: value for name, value in environment.items() if name not in _FOREIGN}
    own |= {"HEADWATER_DATABASE_URL": url, "HEADWATER_INGEST_ADDRESS": address}
    log = directory / "ingest.log"
    with log.open("ab", buffering=0) as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "headwater.ingest"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=own,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        if not _is_ready(process.stdout):
            raise StartRefused(f"ingest does not start: {log_end(log)}")
        yield process
    finally:
        _end(process)


def _is_ready(said: IO[bytes]) -> bool:
    """Wait for the line by which a service says that it serves; go on reading, so that it never blocks on stdout."""
    answers: queue.Queue[bool] = queue.Queue()

    def read() -> None:
        for line in said:
            if read_ready_line(line.decode("utf-8", "replace")):
                answers.put(True)
        answers.put(False)

    threading.Thread(target=read, name="ingest-stdout", daemon=True).start()
    try:
        return answers.get(timeout=READY_TIMEOUT_S)
    except queue.Empty:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
