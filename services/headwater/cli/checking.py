"""Checks the entries of a large export in several processes: each takes some megabytes of lines."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headwater.audit.blocks import Block, block_of
from headwater.audit.entries import Entry
from headwater.audit.exports import Front, read_entries

PART_BYTES: Final = 2 * 1024 * 1024
"""Lines that a process is given at once."""
PROCESSES_MAX: Final = 8
AHEAD: Final = 2
"""Parts that wait for each process: what bounds the memory."""


def checked_blocks(path: Path, front: Front, console: Console) -> Iterator[Entry | Block]:
    """Yield the entries of an export in order, as blocks where nothing about them is out of the ordinary.

    Raises: NoExport, at a line that is no entry.
    """
    processes = min(PROCESSES_MAX, os.cpu_count() or 1)
    with (
        path.open("rb") as file,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
        bar(console, "verifying", front.header.size) as advance,
    ):
        parts = _parts(file, front)
        ahead: deque[tuple[bytes, Future[Block | None]]] = deque()
        ahead.extend((part, pool.submit(block_of, part)) for part in islice(parts, processes * AHEAD))
        while ahead:
            part, checked = ahead.popleft()
            ahead.extend((more, pool.submit(block_of, more)) for more in islice(parts, 1))
            block = checked.result()
            if block is None:
                yield from read_entries(line for line in part.split(b"\n") if line)
            else:
                yield block
            advance(part.count(b"\n"))


def _parts(file: BinaryIO, front: Front) -> Iterator[bytes]:
    for _ in islice(file, front.lines):
        pass
    while part := file.read(PART_BYTES):
        yield part + file.readline()


@contextmanager
def bar(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Draw a progress bar for a block, on a terminal alone; yield how to move it on."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        yield partial(bars.advance, bars.add_task(what, total=total))
