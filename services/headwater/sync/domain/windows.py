"""The log of one sliding window of a vendor: what may have arrived in it, by the nanosecond. Pure.

A vendor counts arrivals, and nobody here knows when a call arrived: only that it was after the
sending and before the answer. So an amount is held from the moment it is granted until *window*
after its answer. Whatever the network does, what the vendor counts is then a part of what is held,
and no sliding window ever holds more than the limit.

Must not know of calls, classes or headers: that is `limiting`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NS_PER_S: Final = 1_000_000_000
GRAINS: Final = 256
"""Release times are rounded up to this part of a window, which bounds what a log remembers."""
DRIFT_PARTS: Final = 2_000
"""One part in so many of a window is added to it: clocks of machines run apart by up to 500 in a million
(the bound that NTP keeps), and vendors count in milliseconds."""


@dataclass(frozen=True, slots=True)
class WindowRule:
    """At most *limit* in any *window_ns*.

    Args:
        key: names the window across restarts: the same for the same unit, width and classes.
        classes: endpoint classes that count.
        tokens: whether amounts are tokens; calls otherwise.
    """

    key: str
    limit: int
    window_ns: int
    classes: frozenset[str]
    tokens: bool = False

    @property
    def held_ns(self) -> int:
        """How long after its latest arrival an amount is held."""
        return self.window_ns + self.window_ns // DRIFT_PARTS

    @property
    def grain_ns(self) -> int:
        """What release times are rounded up to."""
        return max(1, self.window_ns // GRAINS)


class WindowLog:
    """What one window holds now.

    `own` counts our calls, those under way among them; `foreign` what the vendor says others used.
    """

    __slots__ = ("_amounts", "_due", "_foreign", "foreign", "granted", "open", "own", "rule", "vendor_limit")

    def __init__(self, rule: WindowRule) -> None:
        self.rule = rule
        self.own = 0
        self.open = 0
        self.foreign = 0
        self.granted = 0
        self.vendor_limit: int | None = None
        self._due: list[int] = []
        self._amounts: dict[int, int] = {}
        self._foreign: list[tuple[int, int]] = []

    def expire(self, now_ns: int) -> None:
        """Let go of what left the window by now."""
        while self._due and self._due[0] <= now_ns:
            self.own -= self._amounts.pop(heapq.heappop(self._due))
        while self._foreign and self._foreign[0][0] <= now_ns:
            self.foreign -= heapq.heappop(self._foreign)[1]

    def has_room(self, amount: int) -> bool:
        """Say whether *amount* fits; the vendor's own limit, where it told one, counts for all its users."""
        limit = self.rule.limit
        total = limit if self.vendor_limit is None else max(amount, self.vendor_limit)
        return self.own + amount <= min(limit, total) and self.own + self.foreign + amount <= total

    def next_release_ns(self) -> int | None:
        """Return when something leaves the window; None while all that is in it is under way."""
        times = [heap[0] for heap in (self._due,) if heap] + [pair[0] for pair in self._foreign[:1]]
        return min(times, default=None)

    def take(self, amount: int) -> None:
        """Hold *amount* for a call that may be sent now."""
        self.own += amount
        self.open += amount
        self.granted += amount

    def give_back(self, amount: int) -> None:
        """Let go of *amount*: its call was certainly never sent."""
        self.own -= amount
        self.open -= amount

    def arrived(self, amount: int, latest_ns: int) -> None:
        """Hold *amount*, so far under way, for one window from its latest possible arrival."""
        self.open -= amount
        self.own -= amount
        self.hold(amount, latest_ns + self.rule.held_ns)

    def hold(self, amount: int, release_ns: int) -> None:
        """Hold *amount* of our own until *release_ns*, rounded up."""
        grain = self.rule.grain_ns
        release_ns = -(-release_ns // grain) * grain
        self.own += amount
        if release_ns in self._amounts:
            self._amounts[release_ns] += amount
        else:
            self._amounts[release_ns] = amount
            heapq.heappush(self._due, release_ns)

    def told(self, now_ns: int, vendor_used: int, own_at_most: int) -> None:
        """Count as foreign what the vendor has in its window beyond all that can be ours, or is counted so.

        Args:
            own_at_most: ours and foreign amounts that the vendor can have counted when it answered.
        """
        beyond = vendor_used - own_at_most
        if beyond > 0:
            self.foreign += beyond
            heapq.heappush(self._foreign, (now_ns + self.rule.held_ns, beyond))

    def held(self) -> Iterable[tuple[int, int]]:
        """Yield release time and amount of what is held and not under way, the earliest first."""
        return [(release_ns, self._amounts[release_ns]) for release_ns in sorted(self._due)]
