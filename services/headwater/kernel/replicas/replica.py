"""One of the processes: started, seen ready, waited for, ended. Decides nothing about starting it again."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from headwater.kernel.lifecycle import read_ready_line

LINE_CHARS_MAX: Final = 64 * 1024
"""A longer line on a child's stdout is cut."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How one life of a process ended.

    Args:
        exit_code: negative: the number of the signal that killed it.
        was_ready: it had said that it serves.
    """

    exit_code: int
    was_ready: bool


class Replica:
    """One process; `live` runs it once."""

    def __init__(
        self, index: int, command: Sequence[str], environment: Mapping[str, str], *, grace_s: float
    ) -> None:
        self.index = index
        self._command = tuple(command)
        self._environment = dict(environment)
        self._grace_s = grace_s
        self._process: Process | None = None
        self.killed = False
        """True once it had to be killed because it did not end in time."""

    @property
    def pid(self) -> int | None:
        """Id of the process that runs now."""
        return self._process.pid if self._process is not None else None

    async def live(self, on_ready: Callable[[dict[str, Any]], None], *, ready_s: float) -> Ended:
        """Run the process from its start to its end.

        Args:
            on_ready: told what the process announces, once.
            ready_s: a process that is not ready by then is ended.

        Cancellation: the process is ended, and gone on return.
        """
        ready = anyio.Event()

        def announced(facts: dict[str, Any]) -> None:
            ready.set()
            on_ready(facts)

        async with self._started() as process, anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_unless, ready, ready_s)
            await _follow(process, announced)
            exit_code = await process.wait()
            tasks.cancel_scope.cancel()
        return Ended(exit_code, ready.is_set())

    async def end(self) -> None:
        """Ask the process to end, kill it when it does not in time; return when it is gone."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with anyio.move_on_after(self._grace_s, shield=True):
            await process.wait()
            return
        _log.error("process %d (replica %d) did not end: killing it", process.pid, self.index)
        self.killed = True
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()

    async def _end_unless(self, ready: anyio.Event, ready_s: float) -> None:
        with anyio.move_on_after(ready_s):
            await ready.wait()
            return
        _log.error("replica %d is not ready after %g s: ending it", self.index, ready_s)
        await self.end()

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[Process]:
        process = await anyio.open_process(
            self._command,
            stdin=subprocess.PIPE,  # held open: its end tells the child that this process is gone
            stdout=subprocess.PIPE,
            stderr=None,
            env=self._environment,
            start_new_session=True,  # a terminal's Ctrl-C reaches the supervisor, which ends things in order
        )
        self._process = process
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await self.end()
                await process.aclose()
            self._process = None


async def _follow(process: Process, on_ready: Callable[[dict[str, Any]], None]) -> None:
    """Read what the process says until it closes stdout; pass on everything but its readiness."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    announced = False
    rest = ""
    async for text in TextReceiveStream(process.stdout, errors="replace"):
        *lines, rest = (rest + text).split("\n")
        rest = rest[:LINE_CHARS_MAX]
        for line in lines:
            facts = None if announced else read_ready_line(line)
            if facts is not None:
                announced = True
                on_ready(facts)
            else:
                sys.stderr.write(line + "\n")
