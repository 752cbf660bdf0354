"""`make bench-tracing`: what tracing costs: nothing sampled, 1 %, 100 %, and 1 % with a receiver that never answers.

Everything runs in slices of a second or so, the ways in another order in each turn, so that all see the same machine; and in
the same processes, so that all see the same luck with memory and batches: tracing is switched off and on by a signal that
only the bench's launcher knows, the share by the producer's decision, which stands in each event, and the receiver of spans
stops answering. The processes are new in each round.

What is compared with what: 1 % and 100 % with tracing off, as an operator has it who names no endpoint; off with
off once more is the noise. The blocked endpoint
with an endpoint that answers, both at 1 %: what spans cost has its goal already, this one says what a dead receiver adds; in
several pairs of neighbours a turn, since a hundredth is less than what the machine does by itself within some seconds.

A figure is the median over rounds; a round's is the median over turns of the ratio of one slice to the slice with which it
is compared. Pace is wall time: events a second until the last is at the CRM, or answered by ingest. CPU is user and system
time of our processes an event, with all that is exported after the slice; other load on the machine disturbs it less.
Beside it: what one span costs, ours and the SDK's, and what counting a settled delivery for /metrics costs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import anyio
from tests.load.figures import Figure, Goal, Report, conclude, print_table, shown
from tests.load.ingest import ground as ingest_ground
from tests.load.sync import ground as sync_ground
from tests.load.tracing import spans, whole
from tests.load.tracing.counting import cost_us
from tests.load.tracing.doors import SHAPES, Seen, measure_round, open_door
from tests.load.tracing.ways import ALL, BESIDE, BLOCKED, FEW, OFF, open_receiver

WHOLE: Final = "event to CRM"
GOALS: Final = {FEW: 3.0, ALL: 20.0, BLOCKED: 1.0}
"""Per cent that a way may cost: of pace, of CPU."""
AGAINST: Final = {BESIDE: BESIDE, BLOCKED: BESIDE}
"""The way with which a way is compared, where it is not tracing off."""
COUNTING: Final = "counting"
COUNTING_US: Final = 0.3
SPAN: Final = "span"
SELECTABLE: Final = (*SHAPES, WHOLE, SPAN, COUNTING)
USUAL: Final = ("stream", WHOLE, SPAN, COUNTING)
"""What is measured unless told: where many events are under way. A unary call of one event has a span for itself alone."""

TITLE: Final = f"Medians; lost and more turn by turn, against tracing off; of {BLOCKED} against {BESIDE}"

Results = dict[tuple[str, str], Seen]


async def measure(
    rounds: int, seconds: float, turns: int, events: int, shapes: Sequence[str]
) -> tuple[Results, whole.Whole]:
    """Return what was seen by (shape, way), and more of the whole path.

    Args:
        seconds: of each ingest shape and way in a round.
        turns: of the whole path in a round.
        events: of each slice of the whole path.
    """
    seen: Results = {}
    path = whole.Whole()
    async with open_receiver() as receiver:
        if doors_shapes := [shape for shape in SHAPES if shape in shapes]:
            async with ingest_ground.open_ground() as ground:
                for number in range(rounds):
                    async with open_door(ground, receiver) as door:
                        for shape in doors_shapes:
                            sys.stderr.write(f"round {number + 1}: ingest, {shape}\n")
                            await measure_round(door, receiver, shape, seconds, seen)
        if WHOLE in shapes:
            async with sync_ground.open_ground() as sync:
                for number in range(rounds):
                    sys.stderr.write(f"round {number + 1}: {WHOLE}\n")
                    await whole.measure_round(sync, receiver, number, turns, events, path)
    seen.update({(WHOLE, way): found for way, found in path.seen.items()})
    return seen, path


def figures_of(seen: Mapping[tuple[str, str], Seen]) -> list[Figure]:
    """Return what each way costs, in per cent of the pace and of the CPU an event takes."""
    found = []
    for shape in dict.fromkeys(shape for shape, _ in seen):
        for name, bound in GOALS.items():
            against = AGAINST.get(name, OFF)
            way, base = seen[shape, name], seen[shape, against]
            goal = Goal("<=", bound)
            what = f"{shape}: {name} against {against}"
            found.append(Figure(f"{what}, pace lost", "%", goal, way.pace_lost(base)))
            found.append(Figure(f"{what}, CPU more", "%", goal, way.cpu_more(base)))
    return found


def _middle(rounds: Sequence[Sequence[float]]) -> float:
    return statistics.median([turn for turns in rounds for turn in turns])


def _show(seen: Mapping[tuple[str, str], Seen]) -> None:
    if not seen:
        return
    rows = [
        [
            f"{shape}: {way}",
            *(shown(_middle(turns)) for turns in (found.pace_per_s, found.cpu_us)),
            *(
                shown(statistics.median(costs(seen[shape, AGAINST.get(way, OFF)])))
                for costs in (found.pace_lost, found.cpu_more)
            ),
        ]
        for (shape, way), found in seen.items()
    ]
    columns = ("way", "events/s", "CPU us an event", "pace lost %", "CPU more %")
    print_table(TITLE, columns, rows)


def _show_path(path: whole.Whole) -> None:
    if not path.slices:
        return
    rows = [
        [
            way,
            *(shown(path.of(way, name)) for name in whole.METERED),
            *(shown(count) for count in path.spans(way)),
        ]
        for way in path.slices
    ]
    columns = ("way", *(f"{name} us" for name in whole.METERED), "spans", "attributes", "links")
    print_table(f"{WHOLE}, an event: CPU by process, and what the receiver took", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    parser = argparse.ArgumentParser(
        prog="make bench-tracing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each way and shape in a round")
    parser.add_argument("--turns", type=int, default=4, help="of the whole path in a round")
    parser.add_argument("--events", type=int, default=3_000, help="of each slice of the whole path")
    parser.add_argument("--only", default="", help=f"of: {', '.join(SELECTABLE)}; all but unary unless told")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    shapes = [shape for shape in SELECTABLE if given.only in shape] if given.only else list(USUAL)
    if not shapes:
        parser.error(f"--only selects none of: {', '.join(SELECTABLE)}")
    options = {"use_uvloop": True}
    asked = (given.rounds, given.seconds, given.turns, given.events, shapes)
    seen, path = anyio.run(measure, *asked, backend_options=options)
    _show(seen)
    _show_path(path)
    figures = figures_of(seen)
    if SPAN in shapes:
        figures += spans.figures(given.rounds)
    if COUNTING in shapes:
        costs = tuple(cost_us() for _ in range(given.rounds))
        figures.append(Figure("counting a settled delivery", "us", Goal("<=", COUNTING_US), costs))
    details: dict[str, Any] = {
        f"{shape}, {way}": {"pace_per_s": found.pace_per_s, "cpu_us": found.cpu_us}
        for (shape, way), found in seen.items()
    }
    details |= {
        f"{WHOLE}, {way}, slices": [asdict(one) for one in found] for way, found in path.slices.items()
    }
    return conclude(Report("Tracing", figures, details), json_path=given.json)


if __name__ == "__main__":
    sys.exit(main())
