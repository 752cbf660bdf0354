"""Figures with goals, for every bench: medians over rounds, a verdict each, and ways to show them.

Owns the arithmetic and the printing. Must not measure anything or know what a figure is of.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeVar

import psutil
from rich.console import Console
from rich.table import Table

Sense = Literal[">=", "<="]
Round = TypeVar("Round")
"""What one round measured."""
BAR_WIDTH: Final = 420
BAR_STEP: Final = 30


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure has to reach."""

    sense: Sense
    bound: float

    def met_by(self, value: float) -> bool:
        """Return whether *value* reaches the goal; a value that is no number never does."""
        return value >= self.bound if self.sense == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.sense} {shown(self.bound)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One promise and what was seen.

    Args:
        rounds: one value per round; empty when nothing could be measured.
        missing: why nothing, or not everything, could be measured: then the figure fails.
    """

    name: str
    unit: str
    goal: Goal
    rounds: tuple[float, ...]
    missing: str = ""

    @property
    def value(self) -> float:
        """The median of the rounds; not a number when there are none."""
        return statistics.median(self.rounds) if self.rounds else float("nan")

    @property
    def passed(self) -> bool:
        """Whether the goal is met; what was not measured in full is not met."""
        return not self.missing and bool(self.rounds) and self.goal.met_by(self.value)

    def line(self) -> str:
        """Return the figure as one line for people and grep."""
        verdict = "PASS" if self.passed else "FAIL"
        if not self.rounds:
            return (
                f"{verdict}  {self.name}: not measured ({self.missing})  [{self.goal} {self.unit}]".rstrip()
            )
        spread = f"{shown(min(self.rounds))}-{shown(max(self.rounds))}"
        more = f"  ({self.missing})" if self.missing else ""
        return (
            f"{verdict}  {self.name}: {shown(self.value)} {self.unit}".rstrip()
            + f"  [{self.goal}]  rounds {spread}{more}"
        )

    def facts(self) -> dict[str, Any]:
        """Return the figure for a machine."""
        return {
            "name": self.name, "value": self.value if self.rounds else None, "unit": self.unit,
            "goal": str(self.goal), "passed": self.passed, "rounds": list(self.rounds), "missing": self.missing,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a run, with what else is worth keeping.

    Args:
        details: facts for the JSON file that no goal hangs on.
        bars: name to value, for the picture; one unit.
    """

    title: str
    figures: Sequence[Figure]
    details: Mapping[str, Any] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether there are figures and every one is met."""
        return bool(self.figures) and all(figure.passed for figure in self.figures)

    def write_json(self, path: Path) -> None:
        """Write everything to *path*."""
        facts = {
            "title": self.title,
            "passed": self.passed,
            "figures": [figure.facts() for figure in self.figures],
            "details": self.details,
        }
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    def write_picture(self, path: Path) -> None:
        """Write the bars as an SVG picture."""
        path.write_text(draw_bars(self.title, self.bars), encoding="utf-8")


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Return the ratio of each round: both sides of one round saw the same machine.

    Args:
        above, below: one value per round, in the order of rounds; rounds that only one side has are left out.
    """
    return tuple(one / other for one, other in zip(above, below, strict=False) if other > 0)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least *share* of *values* do not exceed; not a number of none.

    Args:
        share: above 0, up to 1.
    """
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def flatness(samples: Sequence[float]) -> float:
    """Return the median of the last fifth over the median of the second fifth: 1.0 is flat.

    The first fifth is left out: buffers and caches fill then. Not a number below ten samples.
    """
    fifth = len(samples) // 5
    if fifth < 2:
        return float("nan")
    early = statistics.median(samples[fifth : 2 * fifth])
    return statistics.median(samples[-fifth:]) / early if early > 0 else float("nan")


def shown(value: float) -> str:
    """Return a number with as many digits as it deserves."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    if 0.9 <= abs(value) < 1:
        return f"{value:.5g}"  # of a share near 1, what is missing counts
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def conclude(report: Report, *, json_path: Path | None, picture_path: Path | None = None) -> int:
    """Print a line per figure, write the files asked for, and return the exit code of the run."""
    for figure in report.figures:
        sys.stdout.write(figure.line() + "\n")
    sys.stdout.flush()
    if json_path is not None:
        report.write_json(json_path)
    if picture_path is not None:
        report.write_picture(picture_path)
    return 0 if report.passed else 1


def conclude_rounds(
    title: str,
    done: Sequence[Round | str],
    goals: Sequence[tuple[str, str, Goal, Callable[[Round], float]]],
    *,
    json_path: Path | None,
    told: Callable[[Round], dict[str, Any]],
) -> int:
    """Conclude rounds, each measured or why it could not be; return the exit code.

    Args:
        goals: name, unit and goal of each figure, and how it is read from a round.
        told: a round as the JSON has it.
    """
    whole = [one for one in done if not isinstance(one, str)]
    missing = next((one for one in done if isinstance(one, str)), "")
    figures = [
        Figure(name, unit, goal, tuple(read(one) for one in whole), missing)
        for name, unit, goal, read in goals
    ]
    details = {
        "machine": {"cpus": psutil.cpu_count(), "system": platform.platform()},
        "rounds": [one if isinstance(one, str) else told(one) for one in done],
    }
    return conclude(Report(title, figures, details), json_path=json_path)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], file: IO[str] | None = None
) -> None:
    """Print a table for people; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    console = Console(file=file)
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def draw_bars(title: str, bars: Mapping[str, float]) -> str:
    """Return an SVG picture of named values, the longest bar first."""
    largest = max(bars.values(), default=0.0) or 1.0
    rows = []
    for number, (name, value) in enumerate(sorted(bars.items(), key=lambda bar: -bar[1])):
        top = 50 + number * BAR_STEP
        width = BAR_WIDTH * value / largest
        rows.append(
            f'<text x="330" y="{top + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="340" y="{top}" width="{width:.1f}" height="20" fill="#2f6f9f"/>'
            f'<text x="{345 + width:.1f}" y="{top + 15}">{shown(value)}</text>'
        )
    height = 70 + len(bars) * BAR_STEP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{height}" font-family="sans-serif"'
        f' font-size="14"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="20" y="28" font-size="18">{escape(title)}</text>{"".join(rows)}</svg>\n'
    )
