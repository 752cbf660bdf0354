"""One process of the stack kept running: started, seen ready, restarted with growing pauses, ended gently.

Owns the process and its log. Must not know what the process does.
"""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import anyio
from anyio.abc import Process, TaskStatus
from anyio.streams.text import TextReceiveStream

from headwater.cli.stack.processes import ProcessId
from headwater.cli.stack.services import Service
from headwater.cli.stack.state import Child
from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import read_ready_line

LOG_BYTES_MAX: Final = 16 * 1024 * 1024
"""A log larger than this is put aside (one generation) when its process starts."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a child may take, and how fast it is started again."""

    ready_timeout_s: float = 30.0
    stop_grace_s: float = 30.0
    """Above what a service with several processes gives itself (`HEADWATER_END_S` and 8 s)."""
    pause_first_s: float = 0.2
    pause_cap_s: float = 10.0
    settled_s: float = 30.0
    """A child that served for so long starts again without a pause when it dies."""
    first_tries: int = 3
    """Tries of the first start before the whole stack is given up."""


def restart_pause_s(patience: Patience, failures: int) -> float:
    """Return the pause before the next start after *failures* in a row, from 1."""
    return min(patience.pause_cap_s, patience.pause_first_s * 2.0 ** min(failures - 1, 30))


class ChildRunner:
    """Keeps one service running; run `keep` in a task group."""

    def __init__(
        self, service: Service, logs: Path, changed: Callable[[str, Child | None], None], patience: Patience
    ) -> None:
        self._service = service
        self._log_path = logs / f"{service.name}.log"
        self._changed = changed
        self._patience = patience
        self._process: Process | None = None
        self._stopping = False
        self._renewing = False
        self._wake = anyio.Event()
        self._ended = anyio.Event()
        self._restarts = 0
        self._identity: ProcessId | None = None

    async def keep(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the process until `stop`; started() is told at the first readiness.

        Raises:
            StartRefused: it would not start at all.
        """
        failures = 0
        served_once = False
        try:
            while not self._is_stopping():
                began = anyio.current_time()
                ready = await self._run_once(None if served_once else task_status)
                served_once = served_once or ready
                if self._is_stopping():
                    return
                if self._renewing:
                    self._renewing = False
                    continue
                if ready and anyio.current_time() - began > self._patience.settled_s:
                    failures = 0
                failures += 1
                if not served_once and failures >= self._patience.first_tries:
                    raise StartRefused(f"{self._service.name} does not start: {log_end(self._log_path)}")
                self._restarts += 1
                pause_s = restart_pause_s(self._patience, failures)
                _log.warning("%s ended; starting it again in %.1f s", self._service.name, pause_s)
                with anyio.move_on_after(pause_s):
                    await self._wake.wait()
        finally:
            if not served_once and self._stopping:
                task_status.started()
            self._changed(self._service.name, None)
            self._ended.set()

    async def renew(self, service: Service) -> None:
        """End the process and start it with another environment."""
        self._service = service
        self._renewing = True
        if self._identity is not None:
            self._changed(service.name, Child(self._identity, restarts=self._restarts))
        await self._end_process()

    async def stop(self) -> None:
        """End the process for good and wait until it is gone."""
        self._stopping = True
        self._wake.set()
        await self._end_process()
        await self._ended.wait()

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        with anyio.move_on_after(self._patience.stop_grace_s):
            await process.wait()
            return
        process.kill()
        await process.wait()

    async def _run_once(self, first: TaskStatus[None] | None) -> bool:
        """Start the process and wait for its end; return whether it had become ready."""
        with open_log(self._log_path) as log:
            async with self._started(log) as process:
                self._identity = identity = ProcessId.of(process.pid)
                self._changed(self._service.name, Child(identity, restarts=self._restarts))
                ready = await self._await_ready(process, log)
                if ready:
                    self._changed(self._service.name, Child(identity, ready=True, restarts=self._restarts))
                    if first is not None:
                        first.started()
                    await self._drain(process, log)
                elif not self._stopping:
                    await self._end_process()
                await process.wait()
                return ready

    @asynccontextmanager
    async def _started(self, log: IO[bytes]) -> AsyncIterator[Process]:
        process = await anyio.open_process(
            self._service.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=self._service.environment,
            start_new_session=True,  # a terminal's Ctrl-C reaches the supervisor, which ends things in order
        )
        self._process = process
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await self._end_process()
                await process.aclose()
            self._process = None

    async def _await_ready(self, process: Process, log: IO[bytes]) -> bool:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._lines = TextReceiveStream(process.stdout)
        said = ""
        with anyio.move_on_after(self._patience.ready_timeout_s):
            async for text in self._lines:
                log.write(text.encode())
                said += text
                if any(read_ready_line(line) for line in said.split("\n")[:-1]):
                    return True
        return False

    async def _drain(self, process: Process, log: IO[bytes]) -> None:
        """Carry what the process says on stdout to its log until it closes stdout."""
        del process
        async for text in self._lines:
            log.write(text.encode())


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending; one that grew too large is put aside first."""
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab", buffering=0)


def log_end(path: Path, lines: int = 3) -> str:
    """Return the last lines of a log on one line, for a message."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "it said nothing"
    shown = " | ".join(_sentence(line) for line in text.splitlines()[-lines:])
    return f"{shown or 'it said nothing'} (log: {path})"


def _sentence(line: str) -> str:
    """Return the message of a line of JSON log, the line itself where it is none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line[:300]
    return str(entry.get("message", line))[:300] if isinstance(entry, dict) else line[:300]
