"""`make bench-vault`: rotation of the key of 10,000 stored secrets while deliveries run. Exit code 1 when a goal is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import anyio
from tests.load.figures import Goal, conclude_rounds
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.ground import open_ground
from tests.load.vault.rotations import Rotated, measure

GOAL_SECRETS: Final = 10_000
NONE: Final = Goal("<=", 0.0)
FIGURES: Final[Sequence[tuple[str, str, Goal, Callable[[Rotated], float]]]] = (
    ("a key is rotated, scaled to 10,000 secrets", "s", Goal("<=", 60.0), lambda one: one.seconds * GOAL_SECRETS / one.secrets),
    ("deliveries that failed meanwhile", "", NONE, lambda one: float(one.failed)),
    ("token refreshes meanwhile, each kept in the vault", "", Goal(">=", 4.0), lambda one: float(one.refreshed)),
    ("killed half-way: data keys that were wrapped twice or never", "", NONE, lambda one: float(abs(one.secrets - one.at_kill - one.resumed))),
    ("data keys under an old key afterwards", "", NONE, lambda one: float(one.left)),
    ("secrets that do not open without the old keys", "", NONE, lambda one: float(one.unopened)),
)  # fmt: skip


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-vault", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="rounds, default 1")
    parser.add_argument("--secrets", type=int, default=GOAL_SECRETS, help="stored secrets, default 10,000")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.rounds < 1 or not 1_000 <= read.secrets <= GOAL_SECRETS:
        parser.error("rounds from 1, secrets from 1,000 to 10,000")
    return read


async def rounds(count: int, secrets: int) -> list[Rotated | str]:
    """Do the rounds; one that fails is told and counted."""
    found: list[Rotated | str] = []
    async with open_ground() as ground:
        for number in range(count):
            sys.stderr.write(f"round {number + 1}\n")
            try:
                found.append(await measure(ground, secrets))
            except (MeasurementFailed, AssertionError, ExceptionGroup) as failure:
                sys.stderr.write(f"{failure!r}\n")
                found.append(str(failure)[:400])
    return found


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    done = anyio.run(rounds, arguments.rounds, arguments.secrets, backend_options={"use_uvloop": True})
    return conclude_rounds("Vault", done, FIGURES, json_path=arguments.json, told=asdict)


if __name__ == "__main__":
    sys.exit(main())
