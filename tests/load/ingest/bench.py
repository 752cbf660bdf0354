"""`make bench-ingest`: raw limits, a no-op server, ours and its peers in one run, interleaved, with goals.

Every case is measured once a round, on one Postgres; figures are medians over rounds of ratios inside a round.
Exit code 1 when a goal is missed or could not be measured.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import anyio
import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.load.figures import Figure, Report, conclude, print_table, shown
from tests.load.ingest.cases import CASES, PEERS, Bench, Case
from tests.load.ingest.goals import figures_of
from tests.load.ingest.ground import Ground, noop_server, open_ground
from tests.load.ingest.stages import Measurement, MeasurementFailed
from tests.load.security import bench as security

ROUNDS = 5
SECONDS = 3.0
SECONDS_MAX = 20.0
CREDENTIALS = "credentials"
"""What authentication and authorisation cost: `make bench-auth`, which is measured with its own callers."""
CREDENTIALS_S = 1.5
Results = dict[str, list[Measurement | str]]


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-ingest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds, default {ROUNDS}")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"window of a case, default {SECONDS:g}"
    )
    parser.add_argument(
        "--only", default="", help=f"cases whose name holds one of these, comma-separated; or {CREDENTIALS}"
    )
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--picture", type=Path, help="write the rates as an SVG picture")
    read = parser.parse_args(arguments)
    if read.rounds < 1 or not 0 < read.seconds <= SECONDS_MAX:
        parser.error(f"rounds from 1, seconds up to {SECONDS_MAX:g}")
    return read


def chosen(only: str) -> list[Case]:
    """Return the cases that a word of *only* selects; all when there is none."""
    words = [word.strip() for word in only.split(",") if word.strip()]
    return [case for case in CASES if not words or any(word in case.name for word in words)]


async def measure(cases: Sequence[Case], rounds: int, seconds: float) -> tuple[Results, int]:
    """Measure every case once a round; each round begins with another case. Returns results and processes."""
    results: Results = {case.name: [] for case in cases}
    with noop_server(1) as (otlp, _):
        async with open_ground() as ground:
            processes = await count_processes(ground, otlp)
            bench = Bench(ground, seconds, processes, otlp)
            with _progress() as progress:
                task = progress.add_task("", total=rounds * len(cases))
                for number in range(rounds):
                    start = number * 7 % len(cases)
                    for case in [*cases[start:], *cases[:start]]:
                        progress.update(task, description=f"round {number + 1}: {case.name}")
                        results[case.name].append(await _attempt(bench, case))
                        progress.advance(task)
    return results, processes


async def count_processes(ground: Ground, otlp: str) -> int:
    """Return how many processes of the service serve, as it is shipped."""
    async with ground.database(migrated=True) as url, ground.service(url, otlp=otlp) as service:
        return service.processes


async def _attempt(bench: Bench, case: Case) -> Measurement | str:
    try:
        return await bench.measure(case)
    except MeasurementFailed as failure:
        sys.stderr.write(f"{case.name}: {failure}\n")
        return str(failure)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<36}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def print_results(results: Results) -> None:
    """Print the medians of every case for people."""
    columns = (
        "case", "events/s", "min", "max", "p50 ms", "p99 ms", "client us", "server us", "postgres us",
        "WAL B", "RSS MiB", "refused",
    )  # fmt: skip
    rows = []
    for name, rounds in results.items():
        seen = [one for one in rounds if not isinstance(one, str)]
        if not seen:
            rows.append([name, "not measured", *[""] * (len(columns) - 2)])
            continue
        rates = [one.rate for one in seen]
        values = [
            statistics.median(rates), min(rates), max(rates),
            *(statistics.median([one.latency_ms.get(key, 0.0) for one in seen]) for key in ("p50", "p99")),
            *(statistics.median([getattr(one, key) for one in seen])
              for key in ("client_us", "server_us", "postgres_us", "wal_bytes")),
            max(one.rss_bytes for one in seen) / 2**20,
            sum(one.refused for one in seen),
        ]  # fmt: skip
        rows.append([name, *(shown(value) if value else "" for value in values)])
    print_table("Medians over the rounds; us = CPU per event", columns, rows)


def report_of(results: Results, processes: int, arguments: argparse.Namespace) -> Report:
    """Return figures and facts of a run."""
    details: dict[str, Any] = {
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "server_processes": processes,
        "machine": {
            "cpus": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "cases": {
            name: [one if isinstance(one, str) else {**asdict(one), "rate": one.rate} for one in rounds]
            for name, rounds in results.items()
        },
    }
    bars = {
        name: statistics.median([one.rate for one in rounds if not isinstance(one, str)])
        for name, rounds in results.items()
        if any(not isinstance(one, str) for one in rounds)
    }
    return Report("Ingest: events per second", figures_of(results, PEERS), details, bars)


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    cases = chosen(arguments.only)
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    results: Results = {}
    processes = 0
    if cases:
        results, processes = anyio.run(measure, cases, arguments.rounds, arguments.seconds)
        print_results(results)
    report = report_of(results, processes, arguments)
    if not arguments.only or CREDENTIALS in arguments.only:
        options = {"use_uvloop": True}
        seen = anyio.run(security.measure, arguments.rounds, CREDENTIALS_S, backend_options=options)
        security.show(seen)
        figures, details = security.figures_of(seen), {CREDENTIALS: security.details_of(seen)}
    report = replace(report, figures=[*report.figures, *figures], details={**report.details, **details})
    return conclude(report, json_path=arguments.json, picture_path=arguments.picture)


if __name__ == "__main__":
    sys.exit(main())
