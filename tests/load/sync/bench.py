"""`make bench-sync`: the sync engine against its goals and against job queues doing the same durable work.

Every case is measured once a round on one Postgres, each round beginning with another case; figures are medians over
rounds, of ratios inside a round where two cases are compared. Exit code 1 when a goal is missed or could not be
measured.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import psutil
from tests.load.figures import Report, conclude, print_table, shown
from tests.load.ingest.stages import Measurement, MeasurementFailed
from tests.load.sync import backlog, isolation, latency, mechanic_cases, million
from tests.load.sync.backlog import Drained
from tests.load.sync.goals import BACKLOG, ISOLATION, MILLION, RATES, figures_of, pace_case
from tests.load.sync.ground import METERED, Ground, open_ground
from tests.load.sync.isolation import Isolated
from tests.load.sync.latency import Paced

ROUNDS: Final = 3
Run = Callable[[Ground], Awaitable[Any]]
Results = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done a round.

    Args:
        share: of each mechanics case's jobs.
        events: of the backlog.
        deliveries: of the case that looks at table sizes.
        window_s: of a latency or isolation window.
    """

    share: float
    events: int
    deliveries: int
    window_s: float


FULL: Final = Size(share=1.0, events=100_000, deliveries=1_000_000, window_s=20.0)
SHORT: Final = Size(share=0.3, events=10_000, deliveries=50_000, window_s=6.0)
"""For a look in between: about two minutes a round."""


def cases_of(size: Size) -> dict[str, Run]:
    """Return every case by name."""

    def queue(case: mechanic_cases.Case) -> Run:
        return lambda ground: mechanic_cases.measure(ground, case, size.share)

    def paced(rate: int) -> Run:
        return lambda ground: latency.pace(ground, rate, size.window_s)

    return {
        **{case.name: queue(case) for case in mechanic_cases.CASES},
        **{pace_case(rate): paced(rate) for rate in RATES},
        BACKLOG: lambda ground: backlog.drain(ground, size.events),
        ISOLATION: lambda ground: isolation.isolate(ground, size.window_s),
        MILLION: lambda ground: million.measure(ground, size.deliveries),
    }


def chosen(only: str, cases: Mapping[str, Run]) -> list[str]:
    """Return the names of the cases that a word of *only* selects; all when there is none."""
    words = [word.strip() for word in only.split(",") if word.strip()]
    return [name for name in cases if not words or any(word in name for word in words)]


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-sync", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds, default {ROUNDS}")
    parser.add_argument("--only", default="", help="cases whose name holds one of these, comma-separated")
    parser.add_argument("--short", action="store_true", help="a tenth of the work, for a look in between")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.rounds < 1:
        parser.error("rounds from 1")
    if not chosen(read.only, cases_of(FULL)):
        parser.error(f"--only selects none of: {', '.join(cases_of(FULL))}")
    return read


async def measure(names: Sequence[str], cases: Mapping[str, Run], rounds: int) -> Results:
    """Measure every case once a round; what fails is told and counted, and the rest goes on."""
    results: Results = {name: [] for name in names}
    async with open_ground() as ground:
        for number in range(rounds):
            start = number * 5 % len(names)
            for name in [*names[start:], *names[:start]]:
                sys.stderr.write(f"round {number + 1}: {name}\n")
                try:
                    results[name].append(await cases[name](ground))
                except (MeasurementFailed, AssertionError, ExceptionGroup) as failure:
                    sys.stderr.write(f"{name}: {failure!r}\n")
                    results[name].append(str(failure)[:400])
    return results


def print_results(results: Results) -> None:
    """Print medians for people."""
    whole = {name: [one for one in rounds if not isinstance(one, str)] for name, rounds in results.items()}
    _print_rates({name: seen for name, seen in whole.items() if seen and isinstance(seen[0], Measurement)})
    _print_costs(
        {name: seen for name, seen in whole.items() if seen and isinstance(seen[0], Drained | Paced)}
    )
    if seen := whole.get(ISOLATION):
        rows = [
            [one.fault, *(shown(value) for value in (one.baseline_p50_ms, one.faulted_p50_ms, one.baseline_p99_ms,
                                                     one.faulted_p99_ms, one.baseline_cores, one.faulted_cores,
                                                     one.others_cores))]
            for found in seen
            for one in found
            if isinstance(one, Isolated)
        ]  # fmt: skip
        columns = (
            "the eighth",
            "p50 before",
            "p50 ms",
            "p99 before",
            "p99 ms",
            "cores before",
            "cores",
            "others",
        )
        print_table("Seven connectors beside one in trouble, every round", columns, rows)


def _print_rates(results: Mapping[str, Sequence[Measurement]]) -> None:
    rows = [
        [name, *(shown(value) for value in (
            statistics.median([one.rate for one in seen]), min(one.rate for one in seen),
            max(one.rate for one in seen), statistics.median([one.client_us for one in seen]),
            statistics.median([one.postgres_us for one in seen]), statistics.median([one.wal_bytes for one in seen]),
        ))]
        for name, seen in results.items()
    ]  # fmt: skip
    if rows:
        columns = ("queue", "jobs/s", "min", "max", "worker us", "postgres us", "WAL B")
        print_table("Claim, no-op, outcome recorded: medians; us = CPU per job", columns, rows)


def _print_costs(results: Mapping[str, Sequence[Drained | Paced]]) -> None:
    rows = []
    for name, seen in results.items():
        costs = [statistics.median([one.cpu_us[part] for one in seen]) for part in METERED]
        rates = [one.rate for one in seen]
        tails = [
            statistics.median([one.settled_ms[key] for one in seen if isinstance(one, Paced)] or [0.0])
            for key in ("p50", "p95", "p99")
        ]
        values = (statistics.median(rates), *tails, *costs, sum(costs))
        rows.append([name, *(shown(value) if value else "" for value in values)])
    if rows:
        columns = ("whole path", "events/s", "p50 ms", "p95 ms", "p99 ms", *METERED, "sum")
        print_table("Event to CRM, two accounts: medians; CPU in us per event", columns, rows)


def report_of(results: Results, arguments: argparse.Namespace) -> Report:
    """Return figures and facts of a run."""
    details: dict[str, Any] = {
        "rounds": arguments.rounds,
        "short": arguments.short,
        "machine": {
            "cpus": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "cases": {name: [_facts(one) for one in rounds] for name, rounds in results.items()},
    }
    return Report("Sync", figures_of(results, list(results)), details)


def _facts(one: Any) -> Any:
    if isinstance(one, list):
        return [_facts(item) for item in one]
    if isinstance(one, Measurement):
        return {**asdict(one), "rate": one.rate}
    return asdict(one) if is_dataclass(one) and not isinstance(one, type) else one


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    cases = cases_of(SHORT if arguments.short else FULL)
    names = chosen(arguments.only, cases)
    results = anyio.run(measure, names, cases, arguments.rounds, backend_options={"use_uvloop": True})
    print_results(results)
    return conclude(report_of(results, arguments), json_path=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
