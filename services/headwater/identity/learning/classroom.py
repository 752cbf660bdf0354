"""Runs the process that learns, on a directory of its own. Owns its start and its end; must not know a database."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Final

import anyio
from anyio import to_thread
from anyio.abc import ByteReceiveStream
from anyio.streams.text import TextReceiveStream

from headwater.identity.domain.teaching import Lesson
from headwater.identity.learning.spool import Spool, StoredAnswer, Task
from headwater.identity.weights_ports import Assignment, Progress
from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unavailable

PREFIX: Final = "headwater-learning-"
STALE_S: Final = 7_200.0
"""A directory that old is of a service that died: no run takes as long."""
_REMOVE_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ProcessClassroom:
    """Keeps `weights_ports.Classroom` with a process for each lesson.

    Args:
        scratch: where directories are made; the system's place for them where empty.
    """

    clock: Clock
    scratch: str = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Path]:
        """Make a directory that nobody else may read, for a block; those that dead services left go first."""
        scratch = self.scratch or tempfile.gettempdir()
        await to_thread.run_sync(_sweep, scratch, self.clock.now().timestamp() - STALE_S)
        directory = await to_thread.run_sync(tempfile.mkdtemp, "", PREFIX, scratch)
        try:
            yield Path(directory)
        finally:
            with anyio.move_on_after(_REMOVE_TIMEOUT_S, shield=True):
                await to_thread.run_sync(shutil.rmtree, directory, True)

    async def put(self, directory: Path, stored: Sequence[bytes]) -> None:
        """Put records of an object down."""
        await to_thread.run_sync(_append, directory, stored)

    async def teach(
        self, directory: Path, assignment: Assignment, progress: Progress
    ) -> tuple[Lesson, bytes]:
        """Learn in a process; see the port."""
        spool = Spool(directory)
        await to_thread.run_sync(_write, spool, assignment)
        command = [sys.executable, "-m", "headwater.identity.learning", str(directory)]
        async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None) as process:
            if process.stdout is not None:
                async for stage, count in _lines(process.stdout):
                    await progress(assignment.object, stage, count)
            code = await process.wait()
        if code:
            raise Unavailable(
                f"the process that learns ended with exit code {code}", reason="LEARNING_FAILED"
            )
        return await to_thread.run_sync(spool.read_lesson)


def _sweep(scratch: str, before_s: float) -> None:
    """Remove directories that were last written before a moment: they hold what records say."""
    for stale in Path(scratch).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if stale.stat().st_mtime < before_s:
                shutil.rmtree(stale)


def _append(directory: Path, stored: Sequence[bytes]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    Spool(directory).append_records(stored)


def _write(spool: Spool, assignment: Assignment) -> None:
    bounds = assignment.bounds
    task = Task(
        assignment.object,
        assignment.number,
        assignment.active_number,
        tuple(assignment.shared),
        assignment.seed,
        assignment.population,
        bounds.pairs_min,
        bounds.answers_min,
        bounds.moved_bits_max,
        bounds.moved_bits_min,
    )
    spool.write_task(task, [StoredAnswer(*one) for one in assignment.answers], assignment.active)


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[tuple[str, int]]:
    """Yield what the process says: a stage and a count a line."""
    rest = ""
    async for text in TextReceiveStream(stream):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            told = json.loads(line)
            yield told["stage"], told["count"]
