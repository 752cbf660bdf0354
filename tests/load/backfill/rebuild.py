"""`make bench-rebuild`: the projection of 100,000 events made again from the log. Exit code 1 when a goal is missed."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import anyio
import psutil
from tests.load.backfill.rebuilding import Rebuilt, rebuild
from tests.load.figures import Figure, Goal, Report, conclude
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.ground import open_ground

EVENTS: Final = 100_000


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-rebuild", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="rounds, default 1")
    parser.add_argument("--events", type=int, default=EVENTS, help="events of the log, default 100,000")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.rounds < 1 or read.events < 1_000:
        parser.error("rounds from 1, events from 1,000")
    return read


async def rounds(count: int, events: int) -> list[Rebuilt | str]:
    """Do the rounds; one that fails is told and counted."""
    found: list[Rebuilt | str] = []
    async with open_ground() as ground:
        for number in range(count):
            sys.stderr.write(f"round {number + 1}\n")
            try:
                found.append(await rebuild(ground, events))
            except (MeasurementFailed, ExceptionGroup) as failure:
                found.append(str(failure)[:400])
    return found


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    found = anyio.run(rounds, arguments.rounds, arguments.events)
    done = [one for one in found if isinstance(one, Rebuilt)]
    missing = "; ".join(one for one in found if isinstance(one, str))
    figures = (
        Figure(
            "events projected again", "events/s", Goal(">=", 3_000.0),
            tuple(one.events / one.seconds for one in done), missing,
        ),
        Figure(
            "parts of the state that differ by a byte", "", Goal("<=", 0.0),
            tuple(float(len(one.differing)) for one in done), missing,
        ),
    )  # fmt: skip
    machine = {"cpus": psutil.cpu_count(), "python": platform.python_version()}
    report = Report(
        f"rebuild of {arguments.events:,} events", figures,
        {"machine": machine, "rounds": [asdict(one) for one in done]},
    )  # fmt: skip
    return conclude(report, json_path=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
