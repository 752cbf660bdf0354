"""`make test-realcrm`: a real BottleCRM as sink and polled source. Exit code 1 when a goal is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import anyio
from tests.load.figures import Goal, conclude_rounds
from tests.load.ingest.stages import MeasurementFailed
from tests.realcrm.delivery import Delivered, measure, say, told

GOAL_CONTACTS: Final = 2_000
DUPLICATES_SHARE: Final = 0.15
GOAL_DEALS: Final = 300
FIGURES: Final[Sequence[tuple[str, str, Goal, Callable[[Delivered], float]]]] = (
    ("people sent who are in BottleCRM", "share", Goal(">=", 1.0), lambda one: one.held_contacts / one.contacts),
    ("deals sent that are in BottleCRM", "share", Goal(">=", 1.0), lambda one: one.held_deals / one.deals),
    ("records too many, or two of one key or address", "", Goal("<=", 0.0), lambda one: float(one.surplus)),
    ("contacts of which every field is as worked out", "share", Goal(">=", 1.0), lambda one: one.contacts_equal),
    ("deals of which every field and link is as worked out", "share", Goal(">=", 1.0), lambda one: one.deals_equal),
    ("deliveries neither done nor superseded", "", Goal("<=", 0.0), lambda one: float(one.stuck)),
    ("calls that were refused by 429", "", Goal(">=", 20.0), lambda one: float(one.busy)),
    ("restarts of BottleCRM under way", "", Goal(">=", 3.0), lambda one: float(one.restarts)),
    ("answers lost after BottleCRM had done the work", "", Goal(">=", 1.0), lambda one: float(one.lost)),
    ("writes to BottleCRM caused by polling our own", "", Goal("<=", 0.0), lambda one: float(one.echoes_written)),
    ("changes by people in BottleCRM that came back", "share", Goal(">=", 1.0), lambda one: one.polled_share),
)  # fmt: skip


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make test-realcrm", description=__doc__)
    parser.add_argument(
        "--contacts", type=int, default=GOAL_CONTACTS, help="statements about people, default 2,000"
    )
    parser.add_argument("--deals", type=int, default=GOAL_DEALS, help="deals, default 300")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if not 200 <= read.contacts <= 10_000 or not 20 <= read.deals <= 1_000:
        parser.error("contacts from 200 to 10,000, deals from 20 to 1,000")
    return read


async def once(contacts: int, deals: int) -> Delivered | str:
    """Do the run; one that fails is told."""
    try:
        return await measure(contacts, round(contacts * DUPLICATES_SHARE), deals)
    except (MeasurementFailed, RuntimeError, TimeoutError, ExceptionGroup) as failure:
        say(repr(failure))
        return str(failure)[:400]


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    done = anyio.run(once, arguments.contacts, arguments.deals)
    return conclude_rounds("BottleCRM", [done], FIGURES, json_path=arguments.json, told=told)


if __name__ == "__main__":
    sys.exit(main())
