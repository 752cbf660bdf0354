"""The pace of an account: no sliding window ever holds more calls than the vendor allows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.policy.document import Window
from headwater.sync.delivery.gate import pacing


@given(st.integers(2, 100_000), st.floats(0.05, 86_400))
def test_burst_and_refill_stay_within_the_window(calls: int, window_s: float) -> None:
    """What a bucket admits at most in one window is what the vendor allows, and no less."""
    burst, period_s = pacing(Window(calls=calls, window_s=window_s))
    admitted = burst + burst / period_s * window_s
    assert calls - 1e-6 * calls <= admitted <= calls + 1e-6 * calls
    assert burst >= 1


@given(st.floats(0.05, 86_400))
def test_one_call_a_window_is_one_call_a_window(window_s: float) -> None:
    """The smallest limit refills once a window."""
    assert pacing(Window(calls=1, window_s=window_s)) == (1.0, window_s)
