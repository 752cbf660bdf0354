"""May a call go now? Windows, token costs, caps on calls side by side, and pauses the vendor ordered. Pure.

Time comes in as integer nanoseconds of a clock that never goes back. The rules:

    window       the amount is held from the grant until one window after the answer (`windows`)
    lost call    no answer came: it may still arrive for *lost_ns* after we gave it up
    cap          calls of a class side by side; a lost one may still run, and counts for *lost_ns*
    429          nothing of the classes that share a window goes for the time the vendor states, or for
                 a window, doubled at each further 429; a storm of answers counts as one
    after it     one call at a time, then twice as many after each that is answered well
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from headwater.connectors.base import LimitFacts
from headwater.policy.account import Limits, Window
from headwater.sync.domain.windows import NS_PER_S, WindowLog, WindowRule

CLASSES: Final = ("write", "read", "search", "auth")
HTTP_TOO_MANY: Final = 429
PAUSE_NS_MAX: Final = 300 * NS_PER_S
"""Longest pause of our own choice; what the vendor states is obeyed whatever it is."""
STRIKES_MAX: Final = 16
"""429s in a row that are counted; more change nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an account's calls are held to."""

    windows: tuple[WindowRule, ...]
    costs: Mapping[str, int]
    concurrency: int
    class_concurrency: Mapping[str, int]
    lost_ns: int

    def cost(self, endpoint_class: str) -> int:
        """Return the tokens of one call."""
        return self.costs.get(endpoint_class, 1)


def rules_of(limits: Limits) -> Rules:
    """Return the rules that a policy states."""
    return Rules(
        windows=tuple(_window_rule(window) for window in limits.all_windows),
        costs={str(name): cost for name, cost in limits.costs.items()},
        concurrency=limits.concurrency,
        class_concurrency={str(name): cap for name, cap in limits.class_concurrency.items()},
        lost_ns=int(limits.lost_call_s * NS_PER_S),
    )


def _window_rule(window: Window) -> WindowRule:
    classes = frozenset(window.classes or CLASSES)
    unit, limit = ("calls", window.calls) if window.calls is not None else ("tokens", window.tokens or 1)
    named = "+".join(sorted(window.classes)) or "all"
    width = int(window.window_s * NS_PER_S)
    return WindowRule(f"{unit}/{window.window_s:g}s/{named}", limit, width, classes, unit == "tokens")


@dataclass(frozen=True, slots=True)
class Granted:
    """One call may go.

    Args:
        number: counts the grants of this limiter, from 1.
        amounts: what is held in each window, in the order of the rules; 0 where the call does not count.
        seen: what the vendor can have counted in each window before this call, were it to arrive at once.
    """

    number: int
    endpoint_class: str
    amounts: tuple[int, ...]
    seen: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """The call must wait.

    Args:
        time_ns: when to ask again; None: when a call under way ends.
        full: indexes of the windows that lack room.
    """

    time_ns: int | None
    full: frozenset[int] = frozenset()


class Limiter:
    """The state of one account's limits; every method is told the time, none waits."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.logs = tuple(WindowLog(rule) for rule in rules.windows)
        self.pauses: dict[str, int] = {}
        self.strikes = 0
        self.numbered = 0
        self._running = 0
        self._by_class: dict[str, int] = dict.fromkeys(CLASSES, 0)
        self._lost: list[tuple[int, str]] = []
        self._slow: int | None = None
        self._paused_at = 0

    def reserve(
        self, now_ns: int, cost: int, endpoint_class: str, spared: Collection[int] = ()
    ) -> Granted | WaitUntil:
        """Grant one call of *cost* tokens, or say when to ask again.

        Args:
            spared: indexes of windows that an older waiter waits for: taken as full.
        """
        until = self.pauses.get(endpoint_class, 0)
        if now_ns < until:
            return WaitUntil(until)
        if (capped := self._capped(now_ns, endpoint_class)) is not None:
            return capped
        amounts = tuple(self._amount(log.rule, cost, endpoint_class) for log in self.logs)
        if (waiting := self._short(now_ns, amounts, spared)) is not None:
            return waiting
        seen = tuple(log.own + log.foreign - log.granted for log in self.logs)
        for log, amount in zip(self.logs, amounts, strict=True):
            log.take(amount)
        self.numbered += 1
        self._running += 1
        self._by_class[endpoint_class] += 1
        return Granted(self.numbered, endpoint_class, amounts, seen)

    def _amount(self, rule: WindowRule, cost: int, endpoint_class: str) -> int:
        if endpoint_class not in rule.classes:
            return 0
        return cost if rule.tokens else 1

    def _capped(self, now_ns: int, endpoint_class: str) -> WaitUntil | None:
        while self._lost and self._lost[0][0] <= now_ns:
            self._by_class[heapq.heappop(self._lost)[1]] -= 1
        most = self.rules.concurrency if self._slow is None else min(self._slow, self.rules.concurrency)
        if self._running >= most:
            return WaitUntil(None)
        cap = self.rules.class_concurrency.get(endpoint_class)
        if cap is not None and self._by_class[endpoint_class] >= cap:
            return WaitUntil(self._lost[0][0] if self._lost else None)
        return None

    def _short(self, now_ns: int, amounts: tuple[int, ...], spared: Collection[int]) -> WaitUntil | None:
        full: list[int] = []
        times: list[int | None] = []
        for index, (log, amount) in enumerate(zip(self.logs, amounts, strict=True)):
            if not amount:
                continue
            log.expire(now_ns)
            if index in spared or not log.has_room(amount):
                full.append(index)
                times.append(log.next_release_ns())
        if not full:
            return None
        known = [time_ns for time_ns in times if time_ns is not None]
        return WaitUntil(max(known) if len(known) == len(times) else None, frozenset(full))

    def give_back(self, grant: Granted) -> None:
        """Undo *grant*: its call was certainly not sent."""
        for log, amount in zip(self.logs, grant.amounts, strict=True):
            log.give_back(amount)
        self._running -= 1
        self._by_class[grant.endpoint_class] -= 1

    def answered(self, now_ns: int, grant: Granted) -> None:
        """Note that the answer to *grant* has begun: it arrived before now. To be told once."""
        self._arrived(grant, now_ns)

    def ended(self, grant: Granted) -> None:
        """Free the place of an answered call."""
        self._running -= 1
        self._by_class[grant.endpoint_class] -= 1

    def lost(self, now_ns: int, grant: Granted) -> None:
        """Note that *grant*'s call was given up without an answer: it may arrive, and run, for a while yet."""
        self._arrived(grant, now_ns + self.rules.lost_ns)
        self._running -= 1
        heapq.heappush(self._lost, (now_ns + self.rules.lost_ns, grant.endpoint_class))

    def _arrived(self, grant: Granted, latest_ns: int) -> None:
        for log, amount in zip(self.logs, grant.amounts, strict=True):
            if amount:
                log.arrived(amount, latest_ns)

    def observe(self, now_ns: int, grant: Granted, status: int, facts: LimitFacts) -> bool:
        """Take in what an answer said; return whether it began a pause."""
        self._feed(now_ns, grant, facts)
        if status == HTTP_TOO_MANY:
            return self._strike(now_ns, grant, facts.retry_after_s)
        if grant.number > self._paused_at:
            self.strikes = 0
            if self._slow is not None:
                self._slow = self._slow * 2 if self._slow < self.rules.concurrency else None
        return False

    def _feed(self, now_ns: int, grant: Granted, facts: LimitFacts) -> None:
        if facts.window_remaining is None:
            return
        index = self._told_of(grant, facts.window_s)
        if index is None:
            return
        log = self.logs[index]
        if facts.window_limit is not None:
            log.vendor_limit = facts.window_limit
        log.expire(now_ns)
        total = log.rule.limit if log.vendor_limit is None else log.vendor_limit
        log.told(now_ns, total - facts.window_remaining, grant.seen[index] + log.granted)

    def _told_of(self, grant: Granted, window_s: float | None) -> int | None:
        """Return the window that a header speaks of: of the class called, and of the width it states."""
        fitting = [
            index
            for index, amount in enumerate(grant.amounts)
            if amount
            and (window_s is None or self.rules.windows[index].window_ns == int(window_s * NS_PER_S))
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _strike(self, now_ns: int, grant: Granted, retry_after_s: float | None) -> bool:
        begins = grant.number > self._paused_at
        if begins:
            self.strikes = min(STRIKES_MAX, self.strikes + 1)
            self._paused_at = self.numbered
            self._slow = 1
        if retry_after_s is not None:
            pause_ns = int(retry_after_s * NS_PER_S)
        else:
            pause_ns = min(PAUSE_NS_MAX, self._narrowest_ns(grant) << max(0, self.strikes - 1))
        for endpoint_class in self._sharing(grant.endpoint_class):
            self.pauses[endpoint_class] = max(self.pauses.get(endpoint_class, 0), now_ns + pause_ns)
        return begins

    def _narrowest_ns(self, grant: Granted) -> int:
        widths = [
            rule.window_ns for rule, amount in zip(self.rules.windows, grant.amounts, strict=True) if amount
        ]
        return min(widths, default=NS_PER_S)

    def _sharing(self, endpoint_class: str) -> frozenset[str]:
        """Return the classes that a window holds together with this one."""
        together = [rule.classes for rule in self.rules.windows if endpoint_class in rule.classes]
        return frozenset({endpoint_class}).union(*together)

    def slow_start(self) -> None:
        """Begin with one call at a time: nothing is known of how the vendor fares."""
        self._slow = 1
