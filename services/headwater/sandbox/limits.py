"""Owns the arithmetic of vendor limits: sliding windows, the daily count, long calls. Pure: `now` comes in."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headwater.sandbox.accounts import AccountOptions

Meter = Literal["general", "search", "none"]

DAY_MS = 86_400_000
SEARCH_WINDOW_MS = 1_000


@dataclass(frozen=True, slots=True)
class Limited:
    """A call that must be turned away: by which rule, and when there is room again."""

    policy: Literal["window", "search", "daily", "long_calls", "execution"]
    retry_after_ms: int

    @property
    def retry_after_s(self) -> int:
        """Whole seconds to wait, at least one."""
        return max(1, math.ceil(self.retry_after_ms / 1000))


@dataclass(slots=True)
class SlidingWindow:
    """Arrival times of admitted calls within a trailing width."""

    width_ms: int
    times: deque[int] = field(default_factory=deque)

    def used(self, now_ms: int) -> int:
        """Calls admitted in the half-open window (now - width, now]."""
        while self.times and self.times[0] <= now_ms - self.width_ms:
            self.times.popleft()
        return len(self.times)

    def wait_ms(self, now_ms: int, most: int | None) -> int | None:
        """None when one more call fits under `most`, else the time until it does."""
        if most is None or self.used(now_ms) < most:
            return None
        if most <= 0:
            return self.width_ms
        return self.times[len(self.times) - most] + self.width_ms - now_ms

    def add(self, now_ms: int) -> None:
        """Count one admitted call."""
        self.times.append(now_ms)


@dataclass(slots=True)
class LimitState:
    """What the limits of one account remember; rebuilt from the call log after a restart."""

    general: SlidingWindow
    search: SlidingWindow = field(default_factory=lambda: SlidingWindow(SEARCH_WINDOW_MS))
    second: SlidingWindow = field(default_factory=lambda: SlidingWindow(1_000))
    day: int = 0
    day_calls: int = 0
    in_flight: dict[int, int] = field(default_factory=dict)
    taken: deque[tuple[int, int]] = field(default_factory=deque)
    """When calls ended and how long they took, in milliseconds; the oldest first."""

    def day_used(self, now_ms: int) -> int:
        """What admitted calls took since midnight UTC: calls, or tokens."""
        return self.day_calls if self.day == now_ms // DAY_MS else 0

    def admit(self, meter: Meter, now_ms: int, options: AccountOptions, cost: int = 1) -> Limited | None:
        """Count the call and return None, or name the limit that turns it away.

        Args:
            cost: what the call takes of the day, where the vendor counts it in tokens.
        """
        refused = self._refusal(meter, now_ms, options)
        if refused is None:
            self._count(meter, now_ms, cost)
        return refused

    def took(self, now_ms: int, duration_ms: int) -> None:
        """Remember how long a call took."""
        self.taken.append((now_ms, duration_ms))

    def execution_ms(self, now_ms: int) -> int:
        """Time that the calls of the trailing window took."""
        while self.taken and self.taken[0][0] <= now_ms - self.general.width_ms:
            self.taken.popleft()
        return sum(duration for _, duration in self.taken)

    def restore(self, calls: Iterable[tuple[int, Meter]], day_calls: int, now_ms: int) -> None:
        """Take up the state that a predecessor left in the call log."""
        for arrival_ms, meter in calls:
            self._count(meter, arrival_ms)
        self.day, self.day_calls = now_ms // DAY_MS, day_calls

    def _refusal(self, meter: Meter, now_ms: int, options: AccountOptions) -> Limited | None:
        if meter == "none":
            return None
        long_calls = sum(now_ms - start >= options.long_call_ms for start in self.in_flight.values())
        if options.long_calls_max is not None and long_calls >= options.long_calls_max:
            return Limited("long_calls", 1_000)
        most = options.execution_ms_max
        if most is not None and self.execution_ms(now_ms) >= most:
            return Limited(
                "execution", self.taken[0][0] + self.general.width_ms - now_ms if self.taken else 1_000
            )
        if self.day_used(now_ms) >= options.calls_daily_max:
            return Limited("daily", DAY_MS - now_ms % DAY_MS)
        if meter == "search":
            wait = self.search.wait_ms(now_ms, options.search_calls_max)
            return None if wait is None else Limited("search", wait)
        wait = self.general.wait_ms(now_ms, options.calls_max)
        return None if wait is None else Limited("window", wait)

    def _count(self, meter: Meter, now_ms: int, cost: int = 1) -> None:
        if meter == "none":
            return
        (self.search if meter == "search" else self.general).add(now_ms)
        self.second.add(now_ms)
        self.day_calls = self.day_used(now_ms) + cost
        self.day = now_ms // DAY_MS


def most_in_window(times_ms: Iterable[int], width_ms: int) -> int:
    """The largest number of times inside any half-open window of the width."""
    window = SlidingWindow(width_ms)
    most = 0
    for time_ms in times_ms:
        window.add(time_ms)
        most = max(most, window.used(time_ms))
    return most
