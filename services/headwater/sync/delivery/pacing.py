"""Spreads the starts of calls inside a window, so that a full allowance is not sent in one burst.

The limiter keeps the limit; a pacer only smooths what it lets through. Behind a port, because
aiolimiter's float arithmetic can spin for ever under virtual time: simulations take `Unpaced`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from aiolimiter import AsyncLimiter

from headwater.sync.domain.limiting import Rules
from headwater.sync.domain.windows import NS_PER_S

BURST_SHARE: Final = 0.25
"""Share of a window that may start at once after a quiet time."""
PACED_S_MAX: Final = 60.0
"""Wider windows are not spread: there a burst is what a backlog wants."""
HEADROOM: Final = 1.5
"""How much faster than the limit starts may follow each other, so that what was missed is caught up."""


class Pacer(Protocol):
    """Lets calls start one by one."""

    async def wait_turn(self, endpoint_class: str, cost: int) -> None:
        """Return when a call may start; cancelled, it has used nothing."""
        ...


class Unpaced:
    """Lets every call start at once."""

    async def wait_turn(self, endpoint_class: str, cost: int) -> None:
        """Return."""


class BucketPacer:
    """One leaky bucket for each window."""

    def __init__(self, rules: Rules) -> None:
        self._rules = [rule for rule in rules.windows if rule.window_ns <= PACED_S_MAX * NS_PER_S]
        self._buckets: Sequence[AsyncLimiter] = [
            AsyncLimiter(*bucket(rule.limit, rule.window_ns / NS_PER_S)) for rule in self._rules
        ]

    async def wait_turn(self, endpoint_class: str, cost: int) -> None:
        """Wait for every bucket that the class counts in."""
        for rule, limiter in zip(self._rules, self._buckets, strict=True):
            amount = (cost if rule.tokens else 1) if endpoint_class in rule.classes else 0
            if amount:
                await limiter.acquire(min(float(amount), limiter.max_rate))


def bucket(limit: int, window_s: float) -> tuple[float, float]:
    """Return size of a window's bucket, and the seconds in which all of it drains."""
    size = max(1.0, limit * BURST_SHARE)
    return size, size / (limit / window_s * HEADROOM)
