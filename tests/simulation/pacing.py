"""A limiter for virtual time: whole nanoseconds, so that no rounding can leave a waiter spinning at one instant."""

from __future__ import annotations

from collections.abc import Callable

import anyio

_NS = 1_000_000_000


class VirtualLimiter:
    """A leaky bucket of *rate_max* calls that empties in *period_s*; stands where aiolimiter stands in the product."""

    def __init__(self, rate_max: float, period_s: float, pause_s: Callable[[], float]) -> None:
        self._pause_s = pause_s
        self._capacity_ns = int(period_s * _NS)
        self._call_ns = int(period_s * _NS / rate_max) + 1
        self._full_until_ns = 0

    async def acquire(self, amount: float = 1) -> None:
        """Wait until *amount* fits."""
        need_ns = min(int(amount * self._call_ns), self._capacity_ns)
        now_ns = int(anyio.current_time() * _NS)
        start_ns = max(self._full_until_ns, now_ns)
        self._full_until_ns = start_ns + need_ns
        wait_ns = self._full_until_ns - self._capacity_ns - now_ns
        if wait_ns > 0:
            await anyio.sleep((wait_ns + 1) / _NS)
        while (pause_s := self._pause_s()) > 0:  # noqa: ASYNC110 - a pause may be prolonged while it lasts
            await anyio.sleep(pause_s)


NEAR_S = 0.001
"""Difference below which two moments are one to the checker."""
