"""A deterministic asyncio event loop: virtual time, seeded order, several simulated processes on one thread.

Owns which ready callback runs next and what time it is. Every callback belongs to the process whose context
scheduled it (a context variable, inherited by tasks and timers), so that a process can be stopped between any
two of its callbacks, as SIGSTOP does, and let go on later. Refuses threads, sockets, pipes and signals: what
is not in the simulation must not be in its result.

Order does not follow the order of scheduling: each callback draws its place from the seed, its task's number
and its own number within the task, so it is the same in each run even where a library iterates over a set.
"""
# ruff: noqa: ARG002 - overriding methods take what they are given

from __future__ import annotations

import asyncio
import contextvars
import heapq
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

STEPS_AT_ONE_INSTANT_MAX: Final = 200_000
"""Callbacks without virtual time moving: beyond it something spins."""

PATIENCE_BITS: Final = 6
"""Nobody waits at one instant while more than about two to the power of this many callbacks overtake it: asyncio
serves first what came first, and a place drawn once for all could be the last for ever."""

PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="")
"""The simulated process that a callback belongs to; empty for the world outside of them."""


class Spinning(Exception):
    """Callbacks kept running and virtual time stood still."""


class Deadlocked(Exception):
    """Nothing is ready, nothing is scheduled, and the run is not over."""


class RealEffectRefused(Exception):
    """Something reached for a thread, a socket, a pipe or a signal."""


class _Numbered:
    """How many callbacks a task has had, and its own number."""

    __slots__ = ("count", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop under virtual time.

    Args:
        seed: decides the order of callbacks that are ready at one instant.
        wall_time_s_max: how long a run may take in truth; a run beyond it ends with `Spinning`.
    """

    def __init__(self, seed: int, wall_time_s_max: float = 60.0) -> None:
        super().__init__()
        self._seed = seed
        self._now = 0.0
        self._ready: list[Any] = []  # a heap of (age, place, serial, handle)
        self._serial = 0
        self._tasks_seen = 0
        self._others = _Numbered(0)
        self._numbers: dict[asyncio.Task[Any], _Numbered] = {}
        self._stopped: dict[str, list[tuple[int, int, int, asyncio.Handle]]] = {}
        self._steps_here = 0
        self._wall_end = time.monotonic() + wall_time_s_max
        self.steps = 0
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]  # typeshed's protocol is private

    def time(self) -> float:
        """Return the virtual time in seconds since the run's begin."""
        return self._now

    # Who runs when

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        self._tasks_seen += 1
        number = _Numbered(self._tasks_seen)
        task = _NumberedTask(coro, loop=loop, number=number, numbers=self._numbers, **options)
        task.add_done_callback(self._numbers.pop)
        return task

    def call_soon(  # type: ignore[override]  # the arguments' types are the callback's business
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run *callback* at this instant, in its seeded place."""
        handle = asyncio.Handle(callback, args, self, context or contextvars.copy_context())
        self._add(handle)
        return handle

    def _add(self, handle: asyncio.Handle) -> None:
        # hash() of whole numbers is the same in every process, and cheap
        owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]  # noqa: SLF001
        number = (self._numbers.get(owner) if isinstance(owner, asyncio.Task) else None) or self._others
        number.count += 1
        self._serial += 1
        place = hash((self._seed, number.number, number.count))
        entry = (self.steps >> PATIENCE_BITS, place, self._serial, handle)
        process = _context_of(handle).get(PROCESS, "")
        if process in self._stopped:
            self._stopped[process].append(entry)
        else:
            heapq.heappush(self._ready, entry)

    def _run_once(self) -> None:
        self._fire_timers()
        if not self._ready:
            if self._stopping:  # type: ignore[attr-defined]
                return
            self._jump()
            self._fire_timers()
        if not self._ready:
            return
        self._check_pace()
        handle = heapq.heappop(self._ready)[-1]
        if not handle.cancelled():
            handle._run()  # noqa: SLF001 - as BaseEventLoop does

    def _check_pace(self) -> None:
        """Raises: Spinning, before the next callback is taken: what is left can still be cleaned up."""
        self.steps += 1
        self._steps_here += 1
        if self._steps_here > STEPS_AT_ONE_INSTANT_MAX:
            self._steps_here = 0  # the tasks' cleaning up has its own allowance
            raise Spinning(f"{STEPS_AT_ONE_INSTANT_MAX} callbacks at {self._now} s")
        if self.steps % 1024 == 0 and time.monotonic() > self._wall_end:
            self._wall_end = math.inf
            raise Spinning(f"the run took too long; virtual time {self._now:.3f} s")

    def _fire_timers(self) -> None:
        scheduled = self._scheduled  # type: ignore[attr-defined]
        while scheduled and (scheduled[0].cancelled() or scheduled[0].when() <= self._now):
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # noqa: SLF001
            if not handle.cancelled():
                self._add(handle)

    def _jump(self) -> None:
        scheduled = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not scheduled or scheduled[0].when() == math.inf:
            raise Deadlocked(f"at {self._now:.3f} s nothing is left to run")
        self._now = max(self._now, scheduled[0].when())
        self._steps_here = 0

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer in the heap: it is skipped when its turn comes."""

    # Processes

    def stop_process(self, process: str) -> None:
        """Let nothing of *process* run from now on."""
        held = self._stopped.setdefault(process, [])
        kept: list[Any] = []
        for entry in self._ready:
            (held if _context_of(entry[-1]).get(PROCESS, "") == process else kept).append(entry)
        heapq.heapify(kept)
        self._ready = kept

    def continue_process(self, process: str) -> None:
        """Let *process* go on: everything it missed is due now."""
        for entry in self._stopped.pop(process, []):
            heapq.heappush(self._ready, entry)

    # What a simulation has no use for

    def call_soon_threadsafe(  # type: ignore[override]  # as above
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Refuse: there are no other threads."""
        _refuse(f"call_soon_threadsafe of {callback}")

    def run_in_executor(  # type: ignore[override]  # as above
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> NoReturn:
        """Refuse: there are no threads."""
        _refuse(f"run_in_executor of {func}")

    async def create_connection(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there is no network."""
        _refuse("create_connection")

    async def create_server(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there is no network."""
        _refuse("create_server")

    async def create_datagram_endpoint(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there is no network."""
        _refuse("create_datagram_endpoint")

    async def getaddrinfo(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there is no network."""
        _refuse("getaddrinfo")

    async def subprocess_exec(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there are no processes but the simulated ones."""
        _refuse("subprocess_exec")

    async def subprocess_shell(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there are no processes but the simulated ones."""
        _refuse("subprocess_shell")

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""


class _NumberedTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose number is known before its first step is scheduled.

    Its number is its hash as well: sets of tasks, which cancellation walks, have one order in every run.
    """

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        number: _Numbered,
        numbers: dict[asyncio.Task[Any], _Numbered],
        **options: Any,
    ) -> None:
        self._hash = number.number
        numbers[self] = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        """Return the number."""
        return self._hash

    __eq__ = object.__eq__


def _context_of(handle: asyncio.Handle) -> contextvars.Context:
    context: contextvars.Context = handle._context  # type: ignore[attr-defined]  # noqa: SLF001 - public from 3.12
    return context


def _refuse(what: str) -> NoReturn:
    raise RealEffectRefused(f"{what}: not in a simulation")
