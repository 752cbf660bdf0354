"""Tasks over worker processes: spawned, one per core, each with its own state; on one core without any.

Owns processes and their end. Must not know what a task is.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

Done_co = TypeVar("Done_co", covariant=True)
_UNDER_WAY: Final = 2
"""Tasks handed out per worker: one that it works on, one that waits."""


class Work(Protocol[Done_co]):
    """Something that can be pickled and works on a task, named by its key."""

    def begin(self) -> Callable[[str, Any], Done_co]:
        """Return what does the work in this process: it takes a key and a task."""
        ...


_run: Callable[[str, Any], Any] | None = None


def run_tasks(work: Work[Done_co], tasks: Mapping[str, Any], cores: int) -> Iterator[tuple[str, Done_co]]:
    """Yield each task's key and what it came to, as they end.

    Ends its workers when the caller stops reading; a worker whose parent dies ends itself.
    """
    if cores == 1 or len(tasks) <= 1:
        run = work.begin()
        for key, task in tasks.items():
            with _no_collector():
                done = run(key, task)
            yield key, done
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(cores, len(tasks)), mp_context=context, initializer=_begin, initargs=(work,)
    )
    try:
        yield from _all(pool, tasks, _UNDER_WAY * cores)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _all(pool: ProcessPoolExecutor, tasks: Mapping[str, Any], under_way: int) -> Iterator[tuple[str, Any]]:
    waiting = iter(tasks.items())
    pending: dict[Future[Any], str] = {}
    while True:
        for key, task in islice(waiting, under_way - len(pending)):
            pending[pool.submit(_work, key, task)] = key
        if not pending:
            return
        finished, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in finished:
            yield pending.pop(future), future.result()


def _begin(work: Work[Any]) -> None:
    global _run  # noqa: PLW0603 - a worker process has one piece of work
    _run = work.begin()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(key: str, task: Any) -> Any:
    assert _run is not None  # noqa: S101 - set by the initializer
    with _no_collector():
        return _run(key, task)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Hold the cycle collector back: a task makes many values and no cycles, and leaves them all at its end."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
