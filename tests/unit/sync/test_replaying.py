"""How fast a replay may go."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, moment

from headwater.sync.domain.replaying import (
    BURST_S,
    PORTION_MAX,
    RATE_MAX,
    RATE_MIN,
    ReplayState,
    after_portion,
    portion,
)

RATES = st.floats(RATE_MIN, RATE_MAX)


def test_the_first_delivery_goes_at_once_and_the_next_after_its_share() -> None:
    """Two a second: one now, the next in half a second."""
    first = portion(2.0, NOON, NOON)
    assert (first.count, first.next_time) == (1, moment(0.5))
    assert portion(2.0, first.next_time, moment(0.4)).count == 0
    assert portion(2.0, first.next_time, moment(0.5)).count == 1


def test_a_stall_is_caught_up_for_a_second_at_most() -> None:
    """After an hour without a worker the rate is not made up for."""
    assert portion(10.0, NOON, moment(3600)).count == 11


def test_a_clock_set_back_holds_up_for_one_share() -> None:
    """A replay does not stand still until the clock is where it was."""
    assert portion(2.0, moment(3600), NOON).next_time == moment(0.5)


def test_a_portion_is_bounded() -> None:
    """One transaction takes no more, whatever the rate."""
    assert portion(1000.0, NOON, moment(10)).count == PORTION_MAX


@given(RATES, st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_span_sees_more_than_the_rate_and_its_burst(rate_per_s: float, pauses: list[float]) -> None:
    """Whatever the pauses between the looks: counted from every look on."""
    now, due = NOON, NOON
    looks: list[tuple[dt.datetime, int]] = []
    for pause_s in pauses:
        now += dt.timedelta(seconds=pause_s)
        taken = portion(rate_per_s, due, now)
        due = taken.next_time
        looks.append((now, taken.count))
    for start, (begin, _) in enumerate(looks):
        total = 0
        for end, count in looks[start:]:
            total += count
            allowed = ((end - begin).total_seconds() + BURST_S) * rate_per_s + 1
            assert total <= allowed * (1 + 1e-6) + 1e-3


@given(RATES, st.floats(0, 100))
def test_what_is_due_is_taken_and_the_next_time_moves_on(rate_per_s: float, late_s: float) -> None:
    """So a worker that takes portions as long as there are some comes to an end."""
    now = moment(late_s)
    taken = portion(rate_per_s, NOON, now)
    assert taken.count >= 1
    assert taken.next_time > now or taken.count == PORTION_MAX


def test_a_replay_is_done_when_fewer_are_left_than_wanted() -> None:
    """Exactly as many says nothing yet."""
    assert after_portion(3, 2) is ReplayState.DONE
    assert after_portion(3, 3) is ReplayState.RUNNING
