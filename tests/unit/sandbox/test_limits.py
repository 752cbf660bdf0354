"""The arithmetic of vendor limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.sandbox.accounts import AccountOptions
from headwater.sandbox.limits import DAY_MS, Limited, LimitState, SlidingWindow, most_in_window

OPTIONS = AccountOptions(
    calls_max=3, calls_window_ms=1_000, search_calls_max=1, calls_daily_max=10, long_calls_max=2
)


def _state() -> LimitState:
    return LimitState(SlidingWindow(OPTIONS.calls_window_ms))


def test_call_is_let_in_again_when_the_oldest_leaves_the_window() -> None:
    """The window slides: room comes back exactly one width after the oldest call."""
    state = _state()
    assert [state.admit("general", at, OPTIONS) for at in (0, 100, 200)] == [None, None, None]
    assert state.admit("general", 999, OPTIONS) == Limited("window", 1)
    assert state.admit("general", 1_000, OPTIONS) is None


def test_search_has_a_window_of_its_own() -> None:
    """Search calls are limited per second and do not use up the general window."""
    state = _state()
    assert state.admit("search", 0, OPTIONS) is None
    assert state.admit("search", 10, OPTIONS) == Limited("search", 990)
    assert state.general.used(10) == 0


def test_daily_limit_ends_at_midnight() -> None:
    """The daily count begins anew with the day."""
    state = _state()
    assert all(state.admit("general", n * 1_000, OPTIONS) is None for n in range(10))
    assert state.admit("general", 20_000, OPTIONS) == Limited("daily", DAY_MS - 20_000)
    assert state.admit("general", DAY_MS, OPTIONS) is None


def test_long_calls_in_flight_keep_others_out() -> None:
    """Only calls that have lasted for the long-call time count against the concurrency limit."""
    state = _state()
    state.in_flight = {1: 0, 2: 0}
    assert state.admit("general", OPTIONS.long_call_ms - 1, OPTIONS) is None
    assert state.admit("general", OPTIONS.long_call_ms, OPTIONS) == Limited("long_calls", 1_000)


@given(st.lists(st.integers(0, 400), max_size=200))
def test_no_window_ever_holds_more_than_admitted(gaps: list[int]) -> None:
    """Whatever the arrivals, the admitted calls never exceed the limit in any sliding window."""
    options = AccountOptions(calls_max=3, calls_window_ms=1_000, calls_daily_max=1_000)
    state, now, admitted = _state(), 0, []
    for gap in gaps:
        now += gap
        if state.admit("general", now, options) is None:
            admitted.append(now)
    assert most_in_window(admitted, 1_000) <= 3
