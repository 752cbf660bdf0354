"""`make bench-tracing`: what tracing costs: nothing sampled, 1 %, 100 %, and 1 % with a receiver that never answers.

Ingest by its stream and by unary calls: a process for each way, new in each round, in turns of a slice, so that all see
the same machine and no process's luck with its memory counts.
The whole path, event to CRM: a backlog drained once a round for each way, on a new database. Goals hang on the pace of a
round against the pace of the same round with tracing off; CPU per event stands beside it, which other load disturbs less.
Beside it: what counting a settled delivery for /metrics costs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
from tests.load.figures import Figure, Goal, Report, conclude, print_table, shown
from tests.load.ingest import ground as ingest_ground
from tests.load.sync import backlog
from tests.load.sync import ground as sync_ground
from tests.load.tracing.counting import cost_us
from tests.load.tracing.doors import SHAPES, Seen, measure_round, open_doors, shuffled
from tests.load.tracing.ways import ALL, BLOCKED, FEW, OFF, WAYS, open_receivers, settings_of

WHOLE: Final = "event to CRM"
GOALS: Final = {FEW: 3.0, ALL: 20.0}
"""Per cent of the pace that a way may cost against tracing off."""
BLOCKED_GOAL: Final = 1.0
"""Per cent of the pace that a receiver which never answers may cost against one that does."""
COUNTING: Final = "counting"
COUNTING_US: Final = 0.3
SELECTABLE: Final = (*SHAPES, WHOLE, COUNTING)
USUAL: Final = ("stream", WHOLE, COUNTING)
"""What is measured unless told: where many events are under way. A unary call of one event has a span for itself alone."""
TRACED: Final = ("ingest", "identity", "sync")

Results = dict[tuple[str, str], Seen]


async def measure(rounds: int, seconds: float, events: int, shapes: Sequence[str]) -> Results:
    """Return what was seen by (shape, way).

    Args:
        seconds: of each ingest shape and way in a round.
        events: of the backlog of each round.
    """
    seen: Results = {}
    async with open_receivers() as receivers:
        if doors_shapes := [shape for shape in SHAPES if shape in shapes]:
            async with ingest_ground.open_ground() as ground:
                for number in range(rounds):
                    async with open_doors(ground, receivers) as doors:
                        for shape in doors_shapes:
                            sys.stderr.write(f"round {number + 1}: ingest, {shape}\n")
                            await measure_round(doors, shape, seconds, seen)
        if WHOLE in shapes:
            async with sync_ground.open_ground() as whole:
                for number in range(rounds):
                    await _drain_each_way(whole, receivers, number, events, seen)
    return seen


async def _drain_each_way(
    ground: sync_ground.Ground, receivers: Mapping[str, str], number: int, events: int, seen: Results
) -> None:
    names = list(WAYS)
    for name in shuffled(names, f"{WHOLE} {number}"):
        sys.stderr.write(f"round {number + 1}: {WHOLE}, {name}\n")
        extra = {"HEADWATER_SYNC_PROCESSES": "1", **settings_of(WAYS[name], receivers)}
        drained = await backlog.drain(ground, events, extra=extra, sampled=WAYS[name].share)
        found = seen.setdefault((WHOLE, name), Seen())
        found.pace_per_s.append([drained.rate])
        found.cpu_us.append([sum(drained.cpu_us[service] for service in TRACED)])


def figures_of(seen: Mapping[tuple[str, str], Seen]) -> list[Figure]:
    """Return what each way costs, in per cent of the pace and of the CPU an event takes."""
    found = []
    for shape in dict.fromkeys(shape for shape, _ in seen):
        pairs = [(name, OFF, bound) for name, bound in GOALS.items()] + [(BLOCKED, FEW, BLOCKED_GOAL)]
        for name, against, bound in pairs:
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
                shown(statistics.median(costs(seen[shape, OFF])))
                for costs in (found.pace_lost, found.cpu_more)
            ),
        ]
        for (shape, way), found in seen.items()
    ]
    columns = ("way", "events/s", "CPU us an event", "pace lost %", "CPU more %")
    print_table("Medians; lost and more against tracing off, turn by turn", columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    parser = argparse.ArgumentParser(prog="make bench-tracing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each way and shape in a round")
    parser.add_argument("--events", type=int, default=6_000, help="of the backlog of each way in a round")
    parser.add_argument("--only", default="", help=f"of: {', '.join(SELECTABLE)}; all but unary unless told")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    shapes = [shape for shape in SELECTABLE if given.only in shape] if given.only else list(USUAL)
    if not shapes:
        parser.error(f"--only selects none of: {', '.join(SELECTABLE)}")
    options = {"use_uvloop": True}
    seen = anyio.run(measure, given.rounds, given.seconds, given.events, shapes, backend_options=options)
    _show(seen)
    figures = figures_of(seen)
    if COUNTING in shapes:
        costs = tuple(cost_us() for _ in range(given.rounds))
        figures.append(Figure("counting a settled delivery", "us", Goal("<=", COUNTING_US), costs))
    details = {
        f"{shape}, {way}": {"pace_per_s": found.pace_per_s, "cpu_us": found.cpu_us}
        for (shape, way), found in seen.items()
    }
    return conclude(Report("Tracing", figures, details), json_path=given.json)


if __name__ == "__main__":
    sys.exit(main())
