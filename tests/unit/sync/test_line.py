"""The low-water mark of the queue: nothing is walked twice, nothing is left behind for long."""

from __future__ import annotations

import datetime as dt

from tests.unit.sync.tenant import NOON, key

from headwater.sync.domain.lanes import Lane
from headwater.sync.store.line import OVERLAP, SWEEP_S, Line

OLD = NOON - dt.timedelta(minutes=5)


def end(
    line: Line, look_s: float, *due_times: dt.datetime, waiting: bool = True, lane: Lane = Lane.LIVE
) -> float | None:
    """End a look that claimed rows of *lane* with these due times, the last one last."""
    reached = {lane: (due_times[-1], key(len(due_times) - 1))} if due_times else {}
    return line.end(reached, [lane] if waiting else [], NOON, look_s)


def begun(line: Line, now_s: float) -> dt.datetime:
    """Return behind which due time a look in the live lane begins."""
    return line.begin(now_s)[0][0]


def test_a_look_begins_behind_what_was_claimed() -> None:
    """Of a backlog the place of the last row is the mark."""
    line = Line()
    line.begin(0.0)
    end(line, 0.001, OLD, OLD + dt.timedelta(seconds=1))
    assert line.begin(0.1)[0] == (OLD + dt.timedelta(seconds=1), key(1))


def test_the_mark_stays_behind_the_present() -> None:
    """A row takes its due time before it commits: the last moments are looked at again."""
    line = Line()
    line.begin(0.0)
    end(line, 0.001, NOON)
    assert begun(line, 0.1) == NOON - OVERLAP


def test_an_emptied_lane_is_looked_at_from_the_present_on() -> None:
    """Its dead entries are not walked again."""
    line = Line()
    line.begin(0.0)
    end(line, 0.001, OLD, waiting=False)
    assert begun(line, 0.1) == NOON - OVERLAP


def test_a_lane_that_was_not_asked_keeps_its_mark() -> None:
    """Rows wait there that were not claimed."""
    line = Line()
    line.begin(0.0)
    end(line, 0.001, OLD)
    line.begin(0.1)
    end(line, 0.101)
    assert begun(line, 0.2) == OLD


def test_stragglers_are_swept_up_each_second() -> None:
    """A look from the beginning finds what came in behind the mark."""
    line = Line()
    line.begin(0.0)
    end(line, 0.001, OLD)
    assert begun(line, SWEEP_S - 0.01) == OLD
    assert begun(line, SWEEP_S + 0.01) < OLD


def test_a_sweep_that_is_slow_comes_less_often() -> None:
    """Under a held snapshot it walks every dead entry; it never takes more than a small share of the time."""
    line = Line()
    line.begin(0.0)
    end(line, 0.5, OLD)
    assert begun(line, 10.0) == OLD
    end(line, 10.0, OLD)
    assert begun(line, 11.0) < OLD


def test_nobody_falls_asleep_over_a_row_behind_the_mark() -> None:
    """A look that was no sweep asks for another one at the sweep's time; after a sweep nothing is left to look for."""
    line = Line()
    line.begin(0.0)
    assert end(line, 0.0, waiting=False) is None
    line.begin(0.4)
    assert end(line, 0.4, waiting=False) == 0.6


def test_a_lane_that_only_a_sweep_saw_waiting_is_looked_at_from_the_beginning() -> None:
    """Nobody asked for its rows then; the next look would begin behind them, and never find them."""
    line = Line()
    line.begin(0.0)
    end(line, 0.001, waiting=False)
    line.begin(SWEEP_S + 0.1)
    end(line, SWEEP_S + 0.1, waiting=True, lane=Lane.RETRY)
    assert line.begin(SWEEP_S + 0.2)[Lane.RETRY - 1][0] < OLD
