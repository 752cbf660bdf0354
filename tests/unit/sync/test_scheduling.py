"""When periodic jobs run: on a grid with jitter, missed runs together, whatever the clock does."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from headwater.sync.domain.scheduling import (
    FIRST_LASTING_S_MAX,
    FIRST_S_MAX,
    JITTER_SHARE,
    Job,
    Standing,
    after_run,
    first_standing,
    retry_pause_s,
    wait_s,
)

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = Job("acme", "poll/crm/contacts", "poll", 3600.0, "crm", "contacts")


def at(seconds: float) -> dt.datetime:
    """Return the moment *seconds* after noon."""
    return NOON + dt.timedelta(seconds=seconds)


class NoChance(random.Random):
    """Chance that always draws the least."""

    def uniform(self, a: float, b: float) -> float:
        """Return *a*."""
        del b
        return a


def test_a_new_job_begins_soon_but_not_with_all_others() -> None:
    """Somewhere within the first half minute."""
    firsts = {first_standing(HOUR, NOON, random.Random(seed)).next_time for seed in range(50)}
    assert len(firsts) > 40
    assert all(NOON <= first <= at(FIRST_S_MAX) for first in firsts)


def test_a_job_that_has_nothing_to_look_at_yet_begins_later() -> None:
    """As long after it is known as it says."""
    late = replace(HOUR, first_s=600.0)
    firsts = {first_standing(late, NOON, random.Random(seed)).next_time for seed in range(50)}
    assert all(at(600) <= first <= at(600 + FIRST_S_MAX) for first in firsts)


def test_a_job_that_lasts_begins_at_once_and_misses_nothing() -> None:
    """Until it runs, nothing is told; however long it ran, no run fell out."""
    stream = Job("acme", "stream/crm/contacts", "stream", 60.0, "crm", "topic")
    firsts = [first_standing(stream, NOON, random.Random(seed)).next_time for seed in range(50)]
    assert all(NOON <= first <= at(FIRST_LASTING_S_MAX) for first in firsts)
    standing = after_run(Standing(NOON, NOON), stream, at(5 * 3600), NoChance(), failed=False)
    assert (standing.missed_count, standing.next_time) == (0, at(5 * 3600 + 60))


def test_runs_that_were_missed_fall_together() -> None:
    """After three and a half hours away: one run, three missed, and the grid goes on."""
    standing = after_run(Standing(NOON, NOON), HOUR, at(3.5 * 3600), NoChance(), failed=False)
    assert standing.missed_count == 3
    assert standing.plan_time == at(4 * 3600)


def test_a_long_run_makes_no_drift() -> None:
    """The next planned time is on the grid, not a period after the end."""
    assert after_run(Standing(NOON, NOON), HOUR, at(600), NoChance(), failed=False).plan_time == at(3600)


def test_a_run_that_an_operator_ordered_does_not_move_the_grid() -> None:
    """The planned run still comes, and nothing counts as missed."""
    standing = Standing(at(1800), at(1800), asked=True)
    after = after_run(standing, HOUR, NOON, NoChance(), failed=False)
    assert (after.plan_time, after.missed_count, after.asked) == (at(1800), 0, False)


def test_a_paused_job_waits_until_it_is_ordered() -> None:
    """A pause holds whatever is due; an order does not wait for its end."""
    assert wait_s(Standing(NOON, NOON, paused=True), HOUR, at(9999)) is None
    assert wait_s(Standing(NOON, NOON, paused=True, asked=True), HOUR, NOON) == 0.0


def test_a_clock_put_back_does_not_stop_a_job() -> None:
    """What is planned further off than a period runs now, and the grid begins anew."""
    standing = Standing(at(86_400), at(86_400))
    assert wait_s(standing, HOUR, NOON) == 0.0
    assert after_run(standing, HOUR, NOON, NoChance(), failed=False).plan_time == at(3600)


def test_failures_are_tried_again_sooner_and_then_slower() -> None:
    """Pauses double up to the period; a success forgets them."""
    pauses = [retry_pause_s(failures, 3600.0, NoChance()) for failures in range(1, 13)]
    assert pauses[:3] == [2.5, 5.0, 10.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1800.0
    failed = after_run(Standing(NOON, NOON, failure_count=2), HOUR, at(1), NoChance(), failed=True)
    assert (failed.failure_count, failed.next_time) == (3, at(1 + 10.0))
    assert after_run(failed, HOUR, at(20), NoChance(), failed=False).failure_count == 0


@given(
    late_s=st.floats(-1e7, 1e7),
    every_s=st.floats(1, 86_400),
    failures=st.integers(0, 60),
    failed=st.booleans(),
    seed=st.integers(0, 9),
)
def test_the_next_run_is_always_ahead_and_within_a_period(
    late_s: float,
    every_s: float,
    failures: int,
    failed: bool,  # noqa: FBT001 - drawn
    seed: int,
) -> None:
    """Whatever the clock did: later than now, no further than a period and its jitter; missed runs never shrink."""
    job = Job("acme", "any", "poll", every_s)
    standing = Standing(NOON, NOON, failure_count=failures)
    now = at(late_s)
    after = after_run(standing, job, now, random.Random(seed), failed=failed)
    ahead_s = (after.next_time - now).total_seconds()
    assert -1e-3 <= ahead_s <= every_s * (1 + JITTER_SHARE) + 1e-3
    assert wait_s(after, job, now) is not None
    assert after.missed_count >= 0
