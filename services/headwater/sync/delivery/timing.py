"""How long the calls of a block were at the vendor: what its health is judged by.

Owns the one stopwatch of a running task. The gate runs it from a call's permission to its end, so waiting at
our own gate is in none of it: a full window must not look like a slow vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from headwater.sync.domain.windows import NS_PER_S


@dataclass(slots=True)
class VendorTime:
    """Time at the vendor so far; calls side by side count once.

    Args:
        total_ns: of the calls that are over.
        under_way: calls at the vendor now.
        since_ns: since when there is one.
    """

    total_ns: int = 0
    under_way: int = 0
    since_ns: int = 0

    @property
    def total_s(self) -> float:
        """Seconds at the vendor, of calls that are over."""
        return self.total_ns / NS_PER_S

    def begin(self, now_ns: int) -> None:
        """Note that a call may go."""
        if not self.under_way:
            self.since_ns = now_ns
        self.under_way += 1

    def end(self, now_ns: int) -> None:
        """Note that a call is over."""
        self.under_way -= 1
        if not self.under_way:
            self.total_ns += now_ns - self.since_ns


_running: Final[ContextVar[VendorTime | None]] = ContextVar("vendor_time", default=None)
"""Of the block that the running task, or one it was started by, is in."""


@contextmanager
def vendor_time() -> Iterator[VendorTime]:
    """Count the calls of the block, those of tasks started in it among them."""
    counted = VendorTime()
    mark = _running.set(counted)
    try:
        yield counted
    finally:
        _running.reset(mark)


@contextmanager
def at_vendor(ticks: Callable[[], int]) -> Iterator[None]:
    """Count the block as time at the vendor, for whoever asked."""
    counted = _running.get()
    if counted is None:
        yield
        return
    counted.begin(ticks())
    try:
        yield
    finally:
        counted.end(ticks())
