"""How an account stands against its vendor's limits, for operators. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from headwater.policy.account import Limits
from headwater.sync.domain.limiting import rules_of
from headwater.sync.domain.quota import Ledger, allowance_of, forecast
from headwater.sync.domain.usage import Usage, used_now


@dataclass(frozen=True, slots=True)
class WindowStanding:
    """One sliding window.

    Args:
        name: unit, width and classes, as `calls/10s/all`.
        used: by calls that were answered before the books were written last.
    """

    name: str
    limit: int
    used: int
    window_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's day and windows.

    Args:
        used: calls or tokens of the day, in the vendor's unit: ours, or everybody's where that is more.
        alert_time: when the policy's share of the day was passed; None before.
        forecast_time: when the day is used up at the recent rate; None when it lasts.
        refused: answers of the day that said: too many.
    """

    used: int
    alert_time: dt.datetime | None
    forecast_time: dt.datetime | None
    refused: int
    windows: tuple[WindowStanding, ...]


def stand(limits: Limits, ledger: Ledger, usage: Usage, now: dt.datetime) -> Standing:
    """Return what books and policy say together."""
    allowance = allowance_of(limits)
    return Standing(
        used=max(ledger.mark(allowance), ledger.vendor_count or 0),
        alert_time=ledger.alert_time,
        forecast_time=forecast(ledger, now, allowance),
        refused=ledger.refused,
        windows=tuple(
            WindowStanding(rule.key, rule.limit, _used(usage, rule.key), rule.window_ns / 1e9)
            for rule in rules_of(limits).windows
        ),
    )


def _used(usage: Usage, key: str) -> int:
    stored = usage.windows.get(key)
    return 0 if stored is None else used_now(stored, usage.elapsed_ns)


Books = Mapping[str, tuple[Usage, Ledger]]
"""Connector account to its books."""
