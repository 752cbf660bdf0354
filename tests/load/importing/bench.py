"""`make bench-import`: 40,000 contacts into Salesforce in bulk, beside live changes. Exit code 1 when a goal is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import anyio
from tests.load.figures import Goal, conclude_rounds
from tests.load.importing.imports import CALLS_DAILY, Imported, measure
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.ground import open_ground

GOAL_CONTACTS: Final = 40_000
COLLECTION_RECORDS: Final = 200
FIGURES: Final[Sequence[tuple[str, str, Goal, Callable[[Imported], float]]]] = (
    ("the import, from the command's start to the last contact settled, scaled to 40,000", "s", Goal("<=", 60.0),
     lambda one: one.seconds * GOAL_CONTACTS / one.contacts),
    ("imported contacts in the org, each made once", "share", Goal(">=", 1.0), lambda one: one.delivered / one.contacts),
    ("of these, made by bulk jobs", "share", Goal(">=", 0.99), lambda one: one.bulk_share),
    (f"calls of the day's {CALLS_DAILY:,} used, live changes included", "", Goal("<=", float(CALLS_DAILY)),
     lambda one: float(one.calls)),
    ("calls of bulk jobs, of those that collections of 200 would take", "share", Goal("<=", 1.0),
     lambda one: one.bulk_calls / (one.contacts / COLLECTION_RECORDS)),
    ("p99 of live changes beside the import, of that alone", "x", Goal("<=", 1.2), lambda one: one.ratio),
)  # fmt: skip


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-import", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="rounds, default 1")
    parser.add_argument(
        "--contacts", type=int, default=GOAL_CONTACTS, help="imported contacts, default 40,000"
    )
    parser.add_argument(
        "--parts", type=int, default=1, help="files they come in; live changes alone between, default 1"
    )
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.rounds < 1 or read.parts < 1 or not 4_000 <= read.contacts <= GOAL_CONTACTS:
        parser.error("rounds and parts from 1, contacts from 4,000 to 40,000")
    return read


async def rounds(count: int, contacts: int, parts: int) -> list[Imported | str]:
    """Do the rounds; one that fails is told and counted."""
    found: list[Imported | str] = []
    async with open_ground() as ground:
        for number in range(count):
            sys.stderr.write(f"round {number + 1}\n")
            try:
                found.append(await measure(ground, contacts, parts))
            except (MeasurementFailed, TimeoutError, ExceptionGroup) as failure:
                sys.stderr.write(f"{failure!r}\n")
                found.append(str(failure)[:400])
    return found


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    done = anyio.run(
        rounds, arguments.rounds, arguments.contacts, arguments.parts, backend_options={"use_uvloop": True}
    )
    return conclude_rounds(
        "Import",
        done,
        FIGURES,
        json_path=arguments.json,
        told=lambda one: {**asdict(one), "ratio": one.ratio},
    )


if __name__ == "__main__":
    sys.exit(main())
