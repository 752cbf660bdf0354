"""Figures: medians of ratios inside a round, verdicts, and what counts as not measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tests.load.figures import (
    Figure,
    Goal,
    Report,
    conclude,
    conclude_rounds,
    draw_bars,
    flatness,
    percentile,
    ratios,
)


def test_ratio_is_taken_inside_each_round() -> None:
    """A machine that was slow for both sides of a round does not move the ratio."""
    assert ratios([60.0, 6.0], [100.0, 10.0]) == (0.6, 0.6)


def test_ratio_leaves_out_a_round_without_its_other_side() -> None:
    """A round that measured nothing below the line gives no ratio."""
    assert ratios([60.0, 6.0], [100.0, 0.0]) == (0.6,)


def test_value_is_the_median_of_the_rounds() -> None:
    """One wild round does not decide."""
    assert Figure("x", "", Goal(">=", 1), (0.1, 2.0, 3.0)).value == 2.0


@pytest.mark.parametrize(
    ("goal", "value", "passed"),
    [
        (Goal(">=", 0.6), 0.6, True),
        (Goal(">=", 0.6), 0.599, False),
        (Goal("<=", 12), 12.0, True),
        (Goal("<=", 12), 12.01, False),
        (Goal("<=", 12), math.nan, False),
    ],
)
def test_goal_is_met_at_its_bound_and_not_beyond(goal: Goal, value: float, passed: bool) -> None:  # noqa: FBT001
    """The bound itself is good enough, a value that is no number never is."""
    assert Figure("x", "", goal, (value,)).passed is passed


def test_figure_fails_when_something_is_missing_though_the_value_is_good() -> None:
    """A peer that could not be measured might have been the best one."""
    figure = Figure("x", "", Goal(">=", 1), (5.0,), "pg-boss is not installed")
    assert not figure.passed
    assert "FAIL" in figure.line()
    assert "pg-boss is not installed" in figure.line()


def test_figure_without_rounds_is_a_line_that_fails() -> None:
    """What could not be measured does not vanish."""
    assert Figure("x", "s", Goal("<=", 1), (), "no case").line().startswith("FAIL  x: not measured (no case)")


def test_report_without_figures_does_not_pass() -> None:
    """An empty run proves nothing."""
    assert not Report("empty", ()).passed


def test_conclusion_is_an_exit_code_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One failed figure makes the run fail; the file says which."""
    report = Report("r", (Figure("a", "", Goal(">=", 1), (2.0,)), Figure("b", "", Goal(">=", 1), (0.5,))))
    assert conclude(report, json_path=tmp_path / "r.json", picture_path=tmp_path / "r.svg") == 1
    facts = json.loads((tmp_path / "r.json").read_text())
    assert [figure["passed"] for figure in facts["figures"]] == [True, False]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["PASS", "FAIL"]


@pytest.mark.parametrize(
    ("done", "code"), [((3.0, 5.0), 0), ((3.0, "the database was away"), 1), (("away",), 1), ((1.0,), 1)]
)
def test_rounds_are_concluded_with_those_that_could_not_be_measured(
    done: tuple[float | str, ...], code: int, tmp_path: Path
) -> None:
    """One that failed fails the figure, whatever the others reached, and is told."""
    goals = [("rate", "1/s", Goal(">=", 2.0), float)]
    kept = tmp_path / "r.json"
    assert conclude_rounds("Rounds", done, goals, json_path=kept, told=lambda one: {"rate": one}) == code
    assert json.loads(kept.read_text())["details"]["rounds"] == [
        one if isinstance(one, str) else {"rate": one} for one in done
    ]


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_percentile_is_the_smallest_value_not_exceeded_by_the_share(share: float, value: float) -> None:
    """Of 1..100 the 99th percentile is 99."""
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value


def test_flatness_sees_growth_after_the_start() -> None:
    """What grows by half between the second and the last fifth is seen; the first fifth is not looked at."""
    steady = [1.0] * 10 + [100.0] * 40
    assert flatness(steady) == 1.0
    assert flatness([1.0] * 10 + [100.0] * 30 + [150.0] * 10) == 1.5


def test_flatness_of_a_few_samples_is_not_known() -> None:
    """Nine samples prove nothing."""
    assert math.isnan(flatness([1.0] * 9))


def test_picture_holds_every_bar_escaped() -> None:
    """Names from outside do not break the picture."""
    picture = draw_bars("t", {"a < b": 1.0, "c": 2.0})
    assert picture.index("c</text>") < picture.index("a &lt; b")
