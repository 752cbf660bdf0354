"""The pace of an account: up by steps, halved at signs of overload, always within what the policy allows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.policy.account import Adaptive, Limits, Window
from headwater.sync.domain.adaptive import Answer, Pace, Sign, after, felt, first_pace

LIMITS = Limits(window=Window(calls=100, window_s=1), concurrency=8, batch_records=100)
ADAPTIVE = Adaptive()


def answer(sign: Sign, began_s: float, took_s: float, records: int) -> Answer:
    """Return an answer to a call that did not wait at our gate."""
    return Answer(sign, began_s, began_s + took_s, took_s, records)


def answers(pace: Pace, *signs: Sign, took_s: float = 0.1, records: int = 100) -> Pace:
    """Return the pace after answers one after another."""
    began_s = max(0.0, pace.cut_s)
    for sign in signs:
        pace = after(pace, answer(sign, began_s, took_s, records), LIMITS, ADAPTIVE)
        began_s += took_s
    return pace


@given(
    st.lists(
        st.tuples(st.sampled_from(Sign), st.floats(0, 1e5), st.floats(0, 300), st.integers(1, 1000)),
        max_size=60,
    )
)
def test_the_pace_stays_within_the_policy(seen: list[tuple[Sign, float, float, int]]) -> None:
    """Whatever is answered, in whatever order: at least one record in one slot, at most what is allowed."""
    pace = first_pace(LIMITS)
    for sign, began_s, took_s, records in seen:
        before = pace
        pace = after(pace, answer(sign, began_s, took_s, records), LIMITS, ADAPTIVE)
        assert 1 <= pace.records <= LIMITS.batch_records
        assert 1 <= pace.slots <= LIMITS.concurrency
        assert pace.slots <= before.slots + 1
        assert pace.records <= before.records + ADAPTIVE.records_step
        assert pace.slots >= before.slots // 2


def test_a_429_halves_the_slots_and_leaves_the_batches() -> None:
    """Smaller batches would need more calls."""
    pace = answers(first_pace(LIMITS), Sign.THROTTLED)
    assert (pace.slots, pace.records) == (4, 100)


def test_a_timeout_halves_both() -> None:
    """It says nothing of calls a second, all of load."""
    pace = answers(first_pace(LIMITS), Sign.TIMED_OUT)
    assert (pace.slots, pace.records) == (4, 50)


def test_a_latency_far_above_the_usual_halves_both() -> None:
    """Above the multiple of the usual latency of such a batch; below it nothing happens."""
    usual = answers(first_pace(LIMITS), *[Sign.ANSWERED] * 5, took_s=0.5)
    assert answers(usual, Sign.ANSWERED, took_s=1.9).slots == 8
    slow = after(usual, answer(Sign.ANSWERED, 10.0, 2.1, 100), LIMITS, ADAPTIVE)
    assert (slow.slots, slow.records) == (4, 50)


def test_a_vendor_that_stays_slow_becomes_usual() -> None:
    """After some time the pace rises again, though every answer takes ten times as long as once."""
    pace = answers(first_pace(LIMITS), *[Sign.ANSWERED] * 5, took_s=0.3)
    for number in range(200):
        pace = after(pace, answer(Sign.ANSWERED, 100.0 + 10 * number, 3.0, 100), LIMITS, ADAPTIVE)
    assert (pace.slots, pace.records) == (8, 100)


def test_slots_that_fail_together_cut_once() -> None:
    """Answers to calls that began before the cut tell of the pace before it."""
    pace = first_pace(LIMITS)
    for _ in range(8):
        pace = after(pace, answer(Sign.THROTTLED, 1.0, 0.5, 100), LIMITS, ADAPTIVE)
    assert pace.slots == 4
    assert after(pace, answer(Sign.THROTTLED, 1.6, 0.5, 100), LIMITS, ADAPTIVE).slots == 2


def test_the_pace_rises_a_slot_for_each_round_of_healthy_answers() -> None:
    """Four slots, four answers, one slot more; each answer gives the batch its step."""
    cut = answers(first_pace(LIMITS), Sign.TIMED_OUT)
    assert answers(cut, *[Sign.ANSWERED] * 3).slots == 4
    assert answers(cut, *[Sign.ANSWERED] * 4).slots == 5
    assert answers(cut, *[Sign.ANSWERED] * 4).records == 90


def test_a_wait_at_our_own_gate_is_no_sign_of_overload() -> None:
    """A batch that took long, but not at the vendor, is as healthy as any; a cut counts from its end."""
    usual = answers(first_pace(LIMITS), *[Sign.ANSWERED] * 5, took_s=0.3)
    waited = after(usual, Answer(Sign.ANSWERED, 10.0, 35.0, 0.3, 100), LIMITS, ADAPTIVE)
    assert (waited.slots, waited.records) == (8, 100)
    cut = after(waited, Answer(Sign.TIMED_OUT, 40.0, 60.0, 5.0, 100), LIMITS, ADAPTIVE)
    assert cut.cut_s == 60.0


def test_after_a_429_one_record_goes_first() -> None:
    """Alone, until the vendor answers; whatever the pace is, it is in force again then."""
    pace = answers(first_pace(LIMITS), Sign.THROTTLED)
    assert [pace.room(busy) for busy in (0, 1)] == [1, 0]
    again = answers(pace, Sign.THROTTLED)
    assert (again.room(0), felt(again, pace.cut_s).room(0)) == (1, 1)
    assert answers(pace, Sign.ANSWERED).room(1) == 100


def test_a_record_that_goes_first_and_comes_to_no_call_lets_the_others_go() -> None:
    """A row that needs no write must not make the rest go one by one."""
    pace = answers(first_pace(LIMITS), Sign.THROTTLED)
    assert felt(pace, pace.cut_s).room(1) == 100
