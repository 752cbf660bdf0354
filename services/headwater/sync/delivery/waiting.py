"""Waiting for room in an account's windows: by events and exact times, never by polling.

At most one waiter of each endpoint class stands here (the gate's doors keep the others in line), the
oldest first: a window that an older one waits for is closed to the younger, so dear calls are not starved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

from headwater.sync.domain.limiting import Granted, Limiter
from headwater.sync.domain.windows import NS_PER_S

SLEEP_S_MIN: Final = 0.0005
"""Event loops tell time in milliseconds: a shorter sleep would only spin."""


@dataclass(eq=False, slots=True)
class _Waiter:
    cost: int
    endpoint_class: str
    bell: anyio.Event = field(default_factory=anyio.Event)
    grant: Granted | None = None
    wait_ns: int | None = None


class LimiterQueue:
    """Those who wait for one limiter."""

    def __init__(self, limiter: Limiter, ticks: Callable[[], int]) -> None:
        self._limiter = limiter
        self._ticks = ticks
        self._waiters: list[_Waiter] = []

    async def reserve(self, cost: int, endpoint_class: str, wait_s_max: float) -> Granted:
        """Return a grant as soon as there is room.

        Raises:
            TimeoutError: room is known to come later than *wait_s_max* from now.
        Cancellation: nothing is held.
        """
        waiter = _Waiter(cost, endpoint_class)
        self._waiters.append(waiter)
        try:
            self._admit()
            while waiter.grant is None:
                _refuse_long(waiter, wait_s_max)
                await self._sleep(waiter)
                self._admit()
        except BaseException:
            if waiter.grant is not None:
                self._limiter.give_back(waiter.grant)
            raise
        finally:
            self._waiters.remove(waiter)
            self.ring()
        return waiter.grant

    async def _sleep(self, waiter: _Waiter) -> None:
        waiter.bell = anyio.Event()
        wait_ns = waiter.wait_ns
        timeout_s = None if wait_ns is None else max(SLEEP_S_MIN, wait_ns / NS_PER_S)
        with anyio.move_on_after(timeout_s):
            await waiter.bell.wait()

    def _admit(self) -> None:
        """Grant what can be granted, the oldest first."""
        now_ns = self._ticks()
        spared: set[int] = set()
        for waiter in self._waiters:
            if waiter.grant is not None:
                continue
            answer = self._limiter.reserve(now_ns, waiter.cost, waiter.endpoint_class, spared)
            if isinstance(answer, Granted):
                waiter.grant = answer
                waiter.bell.set()
            else:
                waiter.wait_ns = None if answer.time_ns is None else max(0, answer.time_ns - now_ns)
                spared |= answer.full

    def ring(self) -> None:
        """Let all look again: a call ended, or somebody stopped waiting."""
        for waiter in self._waiters:
            waiter.bell.set()

    def give_back(self, grant: Granted) -> None:
        """Undo a grant whose call was never sent."""
        self._limiter.give_back(grant)
        self.ring()

    def wait_s(self, cost: int, endpoint_class: str) -> float | None:
        """Return how long a call would have to wait now; None when only the end of another call tells."""
        answer = self._limiter.reserve(self._ticks(), cost, endpoint_class)
        if isinstance(answer, Granted):
            self._limiter.give_back(answer)
            return 0.0
        return None if answer.time_ns is None else max(0.0, (answer.time_ns - self._ticks()) / NS_PER_S)


def _refuse_long(waiter: _Waiter, wait_s_max: float) -> None:
    """Raises: TimeoutError."""
    if waiter.wait_ns is not None and waiter.wait_ns > wait_s_max * NS_PER_S:
        raise TimeoutError
