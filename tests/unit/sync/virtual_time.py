"""Runs asynchronous code under virtual time: a wait lasts no longer than it takes to say so."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import anyio


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that, instead of waiting, moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready at once; else it is later."""
        ready = super().select(0)
        if timeout is None and not ready:
            raise RuntimeError("everybody waits for ever")
        if not ready and timeout is not None:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nobody has anything to do."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._jumping.now_s


def run_virtually(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run *main* to its end under virtual time."""
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": VirtualLoop})


def virtual_ns() -> int:
    """Return the loop's time in nanoseconds."""
    return round(anyio.current_time() * 1_000_000_000)
