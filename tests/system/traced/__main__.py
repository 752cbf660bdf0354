"""`make prove-traces`: 10,000 events through a whole Headwater at full sampling, under faults, and what was told of it.

Both CRMs answer 429 and 500, refuse single records and lose answers; services restart half-way. Then every span of the
store, every attempt of the database, every log line and every page of numbers is held to the oracles of `judging`.
Exit code 1 when one objects.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

from tests.load.figures import Figure, Goal, Report, conclude

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
"""Before grpc is imported: its fork handlers crash the children that start and end the embedded server."""

from tests.system.chaos.stack import own_postgres  # noqa: E402
from tests.system.traced.judging import FIND_S_MAX, judge  # noqa: E402
from tests.system.traced.running import Run, run, traced_world  # noqa: E402

SHOWN_MAX = 10


def report_of(done: Run, events: int, seed: int) -> tuple[Report, list[str]]:
    """Return the figures of a run, and its first violations in words."""
    violations = judge(done.history)
    told = [
        f"{oracle}: {item}" for oracle, items in violations.items() for item in items[:SHOWN_MAX]
    ] + done.produced.unexpected[:SHOWN_MAX]
    answered = len(done.produced.contexts) + len(done.produced.quarantined)
    slowest_ms = max(done.history.find_s.values(), default=float("nan")) * 1e3
    figures = [
        Figure("events recorded or quarantined", "", Goal(">=", events), (answered,)),
        Figure("faults that the CRMs answered with", "", Goal(">=", 10), (done.faults,)),
        Figure("tries made again", "", Goal(">=", 10), (sum(one.number > 1 for one in done.history.attempts),)),
        *(Figure(oracle, "", Goal("<=", 0), (len(items),)) for oracle, items in violations.items()),
        Figure("slowest search for an event", "ms", Goal("<=", FIND_S_MAX * 1e3), (slowest_ms,)),
    ]  # fmt: skip
    details = {
        "events": events,
        "seed": seed,
        "spans": len(done.history.spans),
        "attempts": len(done.history.attempts),
        "settled_s": done.settled_s,
        "search_ms_median": statistics.median(done.history.find_s.values()) * 1e3
        if done.history.find_s
        else None,
    }
    return Report("Traces", figures, details), told


def main() -> int:
    """Run, judge, print."""
    parser = argparse.ArgumentParser(prog="make prove-traces", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=8, help="of the events")
    parser.add_argument("--settle-s", type=float, default=900.0, help="longest wait for the last delivery")
    parser.add_argument("--json", type=Path, default=None, help="write everything to this file")
    given = parser.parse_args()
    with own_postgres() as (_, url, directory), traced_world(url, directory) as world:
        done = run(world, directory, given.events, given.seed, given.settle_s)
    report, told = report_of(done, given.events, given.seed)
    sys.stdout.write(
        "\n".join([*told, *(f"{name}: {value}" for name, value in report.details.items())]) + "\n"
    )
    return conclude(report, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main())
