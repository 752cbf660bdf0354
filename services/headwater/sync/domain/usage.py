"""What of an account's windows must outlive its actor: how it is written down, and taken over. Pure.

Before a call goes, the books say that it may have gone: they hold the log of every window and, as
*open*, the calls under way and a block of further ones that may start before the books are written
again. A successor takes the log as it stands and the open part as arrived at the latest moment
that is possible. An actor that ends in order writes its books without a block: then all is exact.

All times are written as what remains of them at the writing, by the database's clock; reading adds
the time since. Both round trips make what is read later than the truth, never earlier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.sync.domain.limiting import Granted, Limiter, Rules
from headwater.sync.domain.windows import WindowLog, WindowRule

BLOCK_SHARE: Final = 0.1
"""Share of a window that may be used between two writings of the books."""
BLOCK_CALLS_MAX: Final = 50
"""Calls that may go between two writings of the books; also what a crash adds to the day's count at most."""
DATABASE_TICK_NS: Final = 1_000
"""Postgres tells time in microseconds."""


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """One window in the books.

    Args:
        held: remaining time in ns, and amount.
        open: amount that may arrive at any moment until the writer's calls are over.
        limit: what the window allowed when it was written, for those who look.
        foreign: what others used.
    """

    held: tuple[tuple[int, int], ...]
    open: int
    limit: int
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """The windows and pauses of an account, as written.

    Args:
        windows: key of the rule to usage.
        pauses: endpoint class to what remains of its pause, ns.
        elapsed_ns: time since the writing.
        fresh: True when the account was never called.
    """

    windows: Mapping[str, WindowUsage] = field(default_factory=dict)
    pauses: Mapping[str, int] = field(default_factory=dict)
    strikes: int = 0
    elapsed_ns: int = 0
    fresh: bool = False


class Block:
    """The calls that may go before the books must be written again."""

    def __init__(self, rules: Rules) -> None:
        self.amounts = tuple(_block_amount(rule, rules) for rule in rules.windows)
        self.calls = BLOCK_CALLS_MAX
        self._covered = 0
        self._left: list[int] = []
        self._calls_left = 0

    def cover(self, grant: Granted) -> bool:
        """Say whether the books allow for *grant*, and count it."""
        if grant.number <= self._covered:
            return True
        fits = self._calls_left > 0 and all(
            amount <= left for amount, left in zip(grant.amounts, self._left, strict=True)
        )
        if fits:
            self._left = [left - amount for left, amount in zip(self._left, grant.amounts, strict=True)]
            self._calls_left -= 1
        return fits

    def written(self, covered: int) -> None:
        """Begin a new block: the books hold every grant up to number *covered*, and the block."""
        self._covered = covered
        self._left = list(self.amounts)
        self._calls_left = self.calls

    def closed(self) -> None:
        """Cover nothing more."""
        self._calls_left = 0


def _block_amount(rule: WindowRule, rules: Rules) -> int:
    dearest = max((rules.cost(item) for item in rule.classes), default=1) if rule.tokens else 1
    return max(dearest, int(rule.limit * BLOCK_SHARE))


def write_down(limiter: Limiter, now_ns: int, block: Sequence[int]) -> Usage:
    """Return the books of *limiter* with a block of these amounts per window; all 0 when no call will follow."""
    windows: dict[str, WindowUsage] = {}
    for log, amount in zip(limiter.logs, block, strict=True):
        log.expire(now_ns)
        held = tuple((release_ns - now_ns, held) for release_ns, held in log.held())
        windows[log.rule.key] = WindowUsage(held, log.open + amount, log.rule.limit, log.foreign)
    pauses = {name: until - now_ns for name, until in limiter.pauses.items() if until > now_ns}
    return Usage(windows, pauses, limiter.strikes)


def take_over(limiter: Limiter, usage: Usage, now_ns: int, latest_ns: int) -> None:
    """Put what a predecessor used into a new *limiter*.

    Args:
        now_ns: a moment after the books were read.
        latest_ns: how long from now on a call that the predecessor started may still arrive.
    """
    for log in limiter.logs:
        stored = usage.windows.get(log.rule.key)
        if stored is not None:
            _fill(log, stored, usage.elapsed_ns, now_ns, latest_ns)
        elif not usage.fresh:  # a window that the books do not know: what was used of it is not known either
            log.hold(log.rule.limit, now_ns + latest_ns + log.rule.held_ns)
    limiter.pauses = {
        name: now_ns + left - usage.elapsed_ns
        for name, left in usage.pauses.items()
        if left > usage.elapsed_ns
    }
    if limiter.pauses:
        limiter.slow_start()
        limiter.strikes = usage.strikes


def _fill(log: WindowLog, stored: WindowUsage, elapsed_ns: int, now_ns: int, latest_ns: int) -> None:
    for left_ns, amount in stored.held:
        if left_ns > elapsed_ns:
            log.hold(amount, now_ns + left_ns - elapsed_ns)
    if stored.open:
        log.hold(stored.open, now_ns + latest_ns + log.rule.held_ns)


def used_now(stored: WindowUsage, elapsed_ns: int) -> int:
    """Return what a window holds by now of the calls answered before the writing; for those who look."""
    return sum(amount for left_ns, amount in stored.held if left_ns > elapsed_ns)


def to_json(usage: Usage) -> dict[str, Any]:
    """Return *usage* as the books keep it."""
    windows = {
        key: {
            "held": [list(pair) for pair in item.held],
            "open": item.open,
            "limit": item.limit,
            "foreign": item.foreign,
        }
        for key, item in usage.windows.items()
    }
    return {"windows": windows, "pauses": dict(usage.pauses), "strikes": usage.strikes}


def from_json(stored: Mapping[str, Any], elapsed_ns: int) -> Usage:
    """Read what `to_json` wrote *elapsed_ns* ago; an empty object means that nobody ever called."""
    if not stored:
        return Usage(fresh=True)
    windows = {
        key: WindowUsage(
            tuple((int(left), int(amount)) for left, amount in item["held"]),
            item["open"],
            item["limit"],
            item["foreign"],
        )
        for key, item in stored["windows"].items()
    }
    elapsed_ns = max(0, elapsed_ns - DATABASE_TICK_NS)
    return Usage(windows, dict(stored["pauses"]), stored["strikes"], elapsed_ns)
