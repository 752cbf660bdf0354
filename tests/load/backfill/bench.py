"""`make bench-backfill`: 200,000 records read again while live traffic runs. Exit code 1 when a goal is missed."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
import psutil
from tests.load.backfill.crossing import Crossed, cross
from tests.load.figures import Figure, Goal, Report, conclude, percentile
from tests.load.sync.ground import open_ground

RECORDS: Final = 200_000
NONE: Final = Goal("<=", 0.0)


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-backfill", description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS, help="records of the CRM, default 200,000")
    parser.add_argument("--rate", type=float, default=200.0, help="records read a second, default 200")
    parser.add_argument("--live", type=float, default=25.0, help="live events a second, default 25")
    parser.add_argument("--kills", type=int, default=2, help="SIGKILLs of sync, default 2")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.records < 1_000 or read.rate <= 0 or read.live <= 0 or read.kills < 0:
        parser.error("records from 1,000; rates above 0")
    return read


async def run(arguments: argparse.Namespace) -> Crossed:
    """Measure."""
    async with open_ground() as ground:
        return await cross(ground, arguments.records, arguments.rate, arguments.live, arguments.kills)


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    done = anyio.run(run, arguments, backend_options={"use_uvloop": True})
    figures = [
        Figure("live p99 beside the backfill, of that without it", "x", Goal("<=", 1.2), (done.ratio,)),
        Figure("records lost", "", NONE, (float(done.lost),)),
        Figure("events and records doubled", "", NONE, (float(done.doubled),)),
        Figure("SIGKILLs gone on from", "", Goal(">=", float(arguments.kills)), (float(done.kills),)),
        Figure(
            "records read a second, of those asked for", "x", Goal(">=", 0.5),
            (done.records / done.seconds / arguments.rate,),
        ),
    ]  # fmt: skip
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    details = {
        "machine": {"cpus": psutil.cpu_count(), "python": platform.python_version()},
        "records": done.records,
        "seconds at work": done.seconds,
        "live beside, ms": {name: percentile(done.beside_ms, share) for name, share in shares.items()},
        "live alone, ms": {name: percentile(done.alone_ms, share) for name, share in shares.items()},
        "live events": [len(done.beside_ms), len(done.alone_ms)],
    }
    sys.stderr.write(f"{details}\n")
    return conclude(Report("Backfill", figures, details), json_path=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
