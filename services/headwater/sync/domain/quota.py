"""The quota of a vendor's day: ledger, alert, forecast of the hour it is used up, and which lanes may go on. Pure.

    lane       slowed from (default)
    backfill   60 %
    reconcile  75 %
    retry      90 %
    live       never: it may use the last call

A lane that is slowed may use the rest only as fast as the day passes: at half of the day, with a
share of 0.6, up to 80 %. So nothing is held back for good, and what is left at the end is used.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from headwater.connectors.base import LimitFacts
from headwater.policy.account import Limits
from headwater.sync.domain.lanes import Lane

RATE_MEMORY_S: Final = 300.0
"""Time constant of the recent rate: what was used before it counts for little."""
DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a policy grants for a day; 0 where nothing is stated."""

    calls: int
    tokens: int
    day_start: dt.timedelta
    alert_share: float
    lane_shares: Mapping[Lane, float]

    @property
    def in_tokens(self) -> bool:
        """Whether the vendor counts its day in tokens."""
        return self.tokens > 0


def allowance_of(limits: Limits) -> Allowance:
    """Return what a policy says about the day."""
    hours, minutes = limits.day_starts_utc.split(":")
    shares = limits.quota_shares
    return Allowance(
        limits.daily_calls,
        limits.daily_tokens,
        dt.timedelta(hours=int(hours), minutes=int(minutes)),
        limits.daily_alert_share,
        {
            Lane.LIVE: shares.live,
            Lane.RETRY: shares.retry,
            Lane.RECONCILE: shares.reconcile,
            Lane.BACKFILL: shares.backfill,
        },
    )


def day_of(now: dt.datetime, allowance: Allowance) -> dt.date:
    """Return the vendor's day: the UTC date on which it began."""
    return (now - allowance.day_start).date()


def day_end(day: dt.date, allowance: Allowance) -> dt.datetime:
    """Return when *day* ends."""
    return dt.datetime.combine(day, dt.time(), dt.UTC) + allowance.day_start + DAY


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was used of one day.

    Args:
        vendor_used: the vendor's own count, in its unit, at its last answer.
        vendor_limit: what the vendor says the day allows; None when it never did.
        since_told: ours, in the vendor's unit, since that answer's call began.
        rate_per_s: recent use, in the vendor's unit, at *rate_time*.
        refused: 429 answers of the day.
        alert_time: when the alert's share was passed; None before.
    """

    day: dt.date
    calls: int = 0
    tokens: int = 0
    vendor_used: int | None = None
    vendor_limit: int | None = None
    since_told: int = 0
    rate_per_s: float = 0.0
    rate_time: dt.datetime | None = None
    refused: int = 0
    alert_time: dt.datetime | None = None

    def used_of(self, allowance: Allowance) -> tuple[tuple[int, int], ...]:
        """Return used and allowed of every count that is limited: ours, then the vendor's of all its users."""
        pairs = [(self.calls, allowance.calls), (self.tokens, allowance.tokens)]
        if self.vendor_count is not None and self.vendor_limit:
            pairs.append((self.vendor_count, self.vendor_limit))
        return tuple(pair for pair in pairs if pair[1] > 0)

    def mark(self, allowance: Allowance) -> int:
        """Return our count in the vendor's unit."""
        return self.tokens if allowance.in_tokens else self.calls

    @property
    def vendor_count(self) -> int | None:
        """The vendor's count with ours since; None when it never told one."""
        return None if self.vendor_used is None else self.vendor_used + self.since_told

    def share(self, allowance: Allowance) -> float:
        """Return the largest used share; 0 where nothing limits the day."""
        return max((used / limit for used, limit in self.used_of(allowance)), default=0.0)


@dataclass(frozen=True, slots=True)
class Reserve:
    """What may be used of a day before its ledger is written again, and what follows from the ledger.

    Args:
        forecast_time: when the day is used up; None when it will last.
    """

    calls: int
    tokens: int
    forecast_time: dt.datetime | None = None


def on_day(ledger: Ledger, now: dt.datetime, allowance: Allowance) -> Ledger:
    """Return the ledger for *now*: a new one, with the pace of the old, when another day has begun.

    A clock that goes back does not bring the day before back.
    """
    today = day_of(now, allowance)
    if today <= ledger.day:
        return ledger
    return Ledger(
        today,
        vendor_limit=ledger.vendor_limit,
        rate_per_s=ledger.rate_per_s,
        rate_time=ledger.rate_time,
    )


def has_room(ledger: Ledger, cost: int, allowance: Allowance) -> bool:
    """Say whether one more call of *cost* tokens fits in the day."""
    if allowance.calls and ledger.calls + 1 > allowance.calls:
        return False
    if allowance.tokens and ledger.tokens + cost > allowance.tokens:
        return False
    if ledger.vendor_count is None or not ledger.vendor_limit:
        return True
    weight = cost if allowance.in_tokens else 1
    return ledger.vendor_count + weight <= ledger.vendor_limit


def count(ledger: Ledger, cost: int, now: dt.datetime, allowance: Allowance) -> Ledger:
    """Return the ledger with one more call; the alert is noted when its share is passed by it."""
    weight = cost if allowance.in_tokens else 1
    counted = replace(
        ledger,
        calls=ledger.calls + 1,
        tokens=ledger.tokens + cost,
        since_told=ledger.since_told + weight,
        rate_per_s=rate_at(ledger, now) + weight / RATE_MEMORY_S,
        rate_time=now,
    )
    return _alerted(counted, now, allowance)


def uncount(ledger: Ledger, cost: int, allowance: Allowance) -> Ledger:
    """Return the ledger without a call that was never sent."""
    weight = cost if allowance.in_tokens else 1
    return replace(
        ledger,
        calls=max(0, ledger.calls - 1),
        tokens=max(0, ledger.tokens - cost),
        since_told=max(0, ledger.since_told - weight),
        rate_per_s=max(0.0, ledger.rate_per_s - weight / RATE_MEMORY_S),
    )


def told(ledger: Ledger, facts: LimitFacts, mark: int, now: dt.datetime, allowance: Allowance) -> Ledger:
    """Return the ledger with what an answer said about the day.

    Args:
        mark: `Ledger.mark` when the answered call had been counted: later ones the vendor may not have seen.
    """
    if facts.daily_limit is not None:
        ledger = replace(ledger, vendor_limit=facts.daily_limit)
    if facts.daily_used is not None:
        since = max(0, ledger.mark(allowance) - mark)
        ledger = replace(ledger, vendor_used=facts.daily_used, since_told=since)
    return _alerted(ledger, now, allowance)


def refused(ledger: Ledger) -> Ledger:
    """Return the ledger with one more answer that said: too many."""
    return replace(ledger, refused=ledger.refused + 1)


def _alerted(ledger: Ledger, now: dt.datetime, allowance: Allowance) -> Ledger:
    if ledger.alert_time is None and ledger.share(allowance) >= allowance.alert_share:
        return replace(ledger, alert_time=now)
    return ledger


def rate_at(ledger: Ledger, now: dt.datetime) -> float:
    """Return the recent use per second, fading with time."""
    if ledger.rate_time is None:
        return 0.0
    idle_s = max(0.0, (now - ledger.rate_time).total_seconds())
    return ledger.rate_per_s * math.exp(-idle_s / RATE_MEMORY_S)


def forecast(ledger: Ledger, now: dt.datetime, allowance: Allowance) -> dt.datetime | None:
    """Return when the day's quota is used up at the recent rate; None when it will last."""
    rate = rate_at(ledger, now)
    in_unit = replace(allowance, calls=0) if allowance.in_tokens else allowance
    pairs = ledger.used_of(in_unit)
    if not pairs or rate <= 0:
        return None
    left = min(limit - used for used, limit in pairs)
    end = day_end(ledger.day, allowance)
    left_s = max(0, left) / rate
    return now + dt.timedelta(seconds=left_s) if left_s < (end - now).total_seconds() else None


def open_lanes(ledger: Ledger, now: dt.datetime, allowance: Allowance) -> frozenset[Lane]:
    """Return the lanes that may use the quota now."""
    used = ledger.share(allowance)
    passed = 1.0 - min(1.0, max(0.0, (day_end(ledger.day, allowance) - now) / DAY))
    return frozenset(
        lane for lane, share in allowance.lane_shares.items() if used < share + (1.0 - share) * passed
    )
