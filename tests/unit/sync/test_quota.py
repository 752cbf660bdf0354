"""The day's quota: counted, told of in time, and left to what is urgent."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base import LimitFacts
from headwater.policy.account import Limits
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.quota import (
    Allowance,
    Ledger,
    allowance_of,
    count,
    day_end,
    day_of,
    forecast,
    has_room,
    on_day,
    open_lanes,
    told,
    uncount,
)

MIDNIGHT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
NOON = MIDNIGHT + dt.timedelta(hours=12)


def allowance(**limits: Any) -> Allowance:
    """Return the allowance of a policy."""
    return allowance_of(Limits.model_validate({"window": {"calls": 1, "window_s": 1}, **limits}))


HUNDRED = allowance(daily_calls=100)


def test_a_call_counts_once_and_not_at_all_when_it_was_not_sent() -> None:
    """Calls, tokens and the pace go up together, and back."""
    tokens = allowance(daily_tokens=1_000)
    one = count(Ledger(MIDNIGHT.date()), 40, NOON, tokens)
    assert (one.calls, one.tokens, one.mark(tokens)) == (1, 40, 40)
    none = uncount(one, 40, tokens)
    assert (none.calls, none.tokens, none.rate_per_s) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("ledger", "rules", "fits"),
    [
        (Ledger(MIDNIGHT.date(), calls=99), HUNDRED, True),
        (Ledger(MIDNIGHT.date(), calls=100), HUNDRED, False),
        (Ledger(MIDNIGHT.date(), tokens=961), allowance(daily_tokens=1_000), False),
        (Ledger(MIDNIGHT.date(), tokens=960), allowance(daily_tokens=1_000), True),
        (Ledger(MIDNIGHT.date(), calls=3, vendor_used=49, vendor_limit=50, since_told=1), HUNDRED, False),
        (Ledger(MIDNIGHT.date(), calls=10_000), allowance(), True),
    ],
)
def test_a_day_has_room_until_one_of_its_counts_is_used_up(
    ledger: Ledger, rules: Allowance, *, fits: bool
) -> None:
    """Ours against the policy, everybody's against the vendor's own limit."""
    assert has_room(ledger, 40, rules) is fits


def test_calls_under_way_are_added_to_the_vendors_count() -> None:
    """An answer knows nothing of the calls that were counted after its own."""
    ledger = Ledger(MIDNIGHT.date(), calls=5)
    heard = told(ledger, LimitFacts(daily_used=70, daily_limit=100), 2, NOON, HUNDRED)
    assert heard.vendor_count == 73


def test_the_alert_is_raised_once_when_its_share_is_passed() -> None:
    """At the call that makes it 60 %, with the time."""
    ledger = Ledger(MIDNIGHT.date())
    for number in range(1, 81):
        ledger = count(ledger, 1, MIDNIGHT + dt.timedelta(minutes=number), HUNDRED)
    assert ledger.alert_time == MIDNIGHT + dt.timedelta(minutes=60)


def test_the_forecast_follows_the_recent_rate() -> None:
    """At one call a second for half an hour, 1,800 more of them last half an hour more."""
    rules = allowance(daily_calls=3_600)
    ledger = Ledger(MIDNIGHT.date())
    for second in range(1_800):
        ledger = count(ledger, 1, MIDNIGHT + dt.timedelta(seconds=second), rules)
    now = MIDNIGHT + dt.timedelta(seconds=1_800)
    lasts = forecast(ledger, now, rules)
    assert lasts is not None
    assert abs((lasts - now).total_seconds() - 1_800) < 60


def test_there_is_no_forecast_when_the_day_will_last() -> None:
    """A slow account never runs out."""
    ledger = count(Ledger(MIDNIGHT.date()), 1, NOON, HUNDRED)
    assert forecast(ledger, NOON + dt.timedelta(hours=2), HUNDRED) is None


@pytest.mark.parametrize(
    ("used", "lanes"),
    [
        (59, {Lane.LIVE, Lane.RETRY, Lane.RECONCILE, Lane.BACKFILL}),
        (60, {Lane.LIVE, Lane.RETRY, Lane.RECONCILE}),
        (75, {Lane.LIVE, Lane.RETRY}),
        (90, {Lane.LIVE}),
        (99, {Lane.LIVE}),
        (100, set()),
    ],
)
def test_what_is_least_urgent_is_slowed_first(used: int, lanes: set[Lane]) -> None:
    """At the day's beginning each lane ends at its own share."""
    assert open_lanes(Ledger(MIDNIGHT.date(), calls=used), MIDNIGHT, HUNDRED) == lanes


@given(st.integers(0, 99), st.integers(0, 86_399), st.integers(0, 86_399))
def test_slowed_lanes_open_again_as_the_day_passes(used: int, one_s: int, other_s: int) -> None:
    """What is open stays open when time passes and nothing is used; urgent lanes are open before others."""
    ledger = Ledger(MIDNIGHT.date(), calls=used)
    early, late = sorted((one_s, other_s))
    at = [open_lanes(ledger, MIDNIGHT + dt.timedelta(seconds=each), HUNDRED) for each in (early, late)]
    assert at[0] <= at[1]
    order = [Lane.BACKFILL, Lane.RECONCILE, Lane.RETRY, Lane.LIVE]
    assert all((lane not in at[0]) or (above in at[0]) for lane, above in itertools.pairwise(order))


def test_half_of_the_day_lets_a_backfill_use_four_fifths() -> None:
    """The rest is spread evenly over the rest of the day."""
    for used, opens in ((79, True), (80, False)):
        assert (Lane.BACKFILL in open_lanes(Ledger(MIDNIGHT.date(), calls=used), NOON, HUNDRED)) is opens


def test_a_vendors_day_may_begin_at_any_time() -> None:
    """Pacific time's midnight is 8 in the morning."""
    rules = allowance(daily_calls=1, day_starts_utc="08:00")
    before = MIDNIGHT + dt.timedelta(hours=7, minutes=59)
    assert day_of(before, rules) == dt.date(2026, 2, 28)
    assert day_end(dt.date(2026, 2, 28), rules) == MIDNIGHT + dt.timedelta(hours=8)


def test_a_new_day_begins_with_nothing_used_and_a_clock_gone_back_changes_nothing() -> None:
    """The vendor's limit and the pace stay; a jump into yesterday does not bring its count back."""
    ledger = Ledger(MIDNIGHT.date(), calls=50, vendor_used=60, vendor_limit=100, rate_per_s=0.5)
    following = on_day(ledger, MIDNIGHT + dt.timedelta(days=1), HUNDRED)
    assert (following.calls, following.vendor_used, following.vendor_limit) == (0, None, 100)
    assert on_day(following, NOON, HUNDRED) is following
