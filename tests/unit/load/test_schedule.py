"""When messages are due."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.load.schedule import arrivals, duration_s, offered_rate, ramp, share, steady


def _due(
    profile: tuple[object, ...], kind: str = "constant", *, each: int = 1, phase: float = 0.0
) -> list[float]:
    return list(arrivals(profile, kind, random.Random(7), events_each=each, phase=phase))  # type: ignore[arg-type]


def test_a_constant_rate_is_evenly_spaced() -> None:
    """Ten events a second in batches of two: a message every 200 ms."""
    assert _due(steady(10, 1), each=2) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


@given(st.floats(0, 5_000), st.floats(1, 5_000), st.floats(0.5, 20), st.integers(0, 10))
def test_a_ramp_offers_the_events_under_its_line(
    first: float, last: float, length_s: float, steps: int
) -> None:
    """As many events are due as the rate's integral says, in order, within the time."""
    profile = ramp(first, last, length_s, steps)
    due = _due(profile)
    assert abs(len(due) - (first + last) / 2 * length_s) <= 1 + 1e-6 * len(due)
    assert all(before <= after for before, after in pairwise(due))
    assert not due or 0 <= due[0] <= due[-1] <= length_s + 1e-6


def test_a_smooth_ramp_thickens() -> None:
    """From 0 to 100 over 10 s, half of all events are due in the last 2.93 s."""
    due = _due(ramp(0, 100, 10))
    late = [moment for moment in due if moment >= 10 / 2**0.5]
    assert len(late) == pytest.approx(len(due) / 2, abs=2)


def test_stairs_end_at_the_last_rate() -> None:
    """Four stairs from 10 to 40 are 10, 20, 30, 40, each a quarter of the time."""
    profile = ramp(10, 40, 8, 4)
    assert [(piece.duration_s, piece.rate_from, piece.rate_to) for piece in profile] == [
        (2, 10, 10),
        (2, 20, 20),
        (2, 30, 30),
        (2, 40, 40),
    ]
    assert duration_s(profile) == 8
    assert [offered_rate(profile, at_s) for at_s in (0, 3.9, 7.9, 9)] == [10, 20, 40, 0]


def test_poisson_arrivals_have_the_rate_and_the_scatter_of_poisson() -> None:
    """Gaps of an exponential law: mean and deviation are both the inverse of the rate."""
    due = _due(steady(1_000, 20), "poisson")
    gaps = [after - before for before, after in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.001, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)


def test_a_seed_gives_the_same_arrivals_again() -> None:
    """What was seen once can be run again."""
    assert _due(steady(100, 2), "poisson") == _due(steady(100, 2), "poisson")


def test_senders_take_turns() -> None:
    """Shares with shifted phases add up to the even spacing of one sender."""
    profile = share(steady(100, 1), 4)
    together = sorted(moment for part in range(4) for moment in _due(profile, phase=part / 4))
    assert together == pytest.approx(_due(steady(100, 1)))
