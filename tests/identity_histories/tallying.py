"""What a run of checked histories came to, as numbers; failing histories go to files."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.identity_histories.calls import write_history
from tests.identity_histories.checking import explain
from tests.identity_histories.driving import USUAL, Checked, Load, checked_histories, overlaps
from tests.identity_histories.model import IdentityModel
from tests.identity_histories.services import Service


@dataclass(slots=True)
class Tally:
    """Counts of one run.

    Args:
        unanswered: calls whose outcome nobody knew; of these, `applied` are needed to explain what was seen later.
        overlapping: pairs of calls of one history that were under way at once.
        seconds: recording and checking.
    """

    histories: int = 0
    calls: int = 0
    overlapping: int = 0
    unanswered: int = 0
    applied: int = 0
    rejected: int = 0
    undecided: int = 0
    steps_max: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, one: Checked) -> None:
        """Count a history."""
        self.histories += 1
        self.calls += len(one.history)
        self.overlapping += overlaps(one.history)
        self.unanswered += sum(each.answer is None for each in one.history)
        self.applied += sum(one.history[place].answer is None for place in one.verdict.order)
        self.rejected += one.verdict.outcome == "not linearizable"
        self.undecided += one.verdict.outcome == "undecided"
        self.steps_max = max(self.steps_max, one.verdict.steps)

    def line(self) -> str:
        """Return the counts as one line."""
        return (
            f"{self.histories:,} histories, {self.calls:,} calls, {self.overlapping:,} overlapping pairs, "
            f"{self.unanswered} unanswered of which {self.applied} took effect, {self.rejected} rejected, "
            f"{self.undecided} undecided, at most {self.steps_max:,} steps, {self.seconds:.0f} s"
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run.

    Args:
        histories: how many at the least.
        findings: where failing histories go.
        failures_max: stop after so many.
    """

    histories: int
    seed: int
    findings: Path
    load: Load = USUAL
    failures_max: int = 5


def run_name(seed: int) -> str:
    """Return a beginning for tenants' names that no other run has used."""
    return f"h{seed}-{random.SystemRandom().getrandbits(32):08x}"


async def tally_histories(
    service: Service,
    order: Order,
    title: str,
    console: Console | None = None,
    may_end: Callable[[], bool] = lambda: True,
) -> Tally:
    """Record and check histories until there are enough and the end is allowed, or too many failed."""
    tally, began = Tally(), time.monotonic()
    seeds = (order.seed * 1_000_003 + number for number in count())
    model = IdentityModel()
    with progress_on(console) as progress:
        bar = progress.add_task(title, total=order.histories)
        async with checked_histories(service, model, seeds, run_name(order.seed), order.load) as histories:
            async for one in histories:
                tally.add(one)
                if not one.verdict.good:
                    tally.failures.append(_keep(order.findings, one, tally))
                progress.update(bar, advance=1, description=f"{title}, {len(tally.failures)} failing")
                enough = tally.histories >= order.histories and may_end()
                if enough or len(tally.failures) >= order.failures_max:
                    break
    tally.seconds = time.monotonic() - began
    return tally


def _keep(folder: Path, one: Checked, tally: Tally) -> str:
    path = write_history(folder / f"history-{len(tally.failures)}.json", one.source, one.history)
    return f"{path}: {one.source}\n{explain(one.history, one.verdict)}"


def progress_on(console: Console | None) -> Progress:
    """Return a bar with counts; without a console one that is not shown."""
    return Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=console is None,
    )
