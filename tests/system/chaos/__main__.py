"""`make load-chaos`: a whole Headwater under load while its workers and its Postgres are killed, a hundred times.

Rounds of kills at random instants, each on a stack of its own, each held to every oracle once all is settled: nothing
acknowledged lost, nothing doubled in a CRM, order kept, audit whole. Exit code 1 when an oracle objects, when a kill
did not happen, or when a process died of another's death.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.load.figures import Figure, Goal, Report, conclude

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
"""Before grpc is imported: its fork handlers crash the children that start and end the embedded server."""

from tests.system.chaos.observing import observe  # noqa: E402
from tests.system.chaos.oracles import judge  # noqa: E402
from tests.system.chaos.running import PATIENT, disturb, tell  # noqa: E402
from tests.system.chaos.stack import POSTGRES, running_stack  # noqa: E402

VICTIMS: Final = ("sync", POSTGRES)
ROUND_KILLS_MAX: Final = 20
"""Kills of one stack: what they did is looked at before the next."""
SETTLE_S: Final = 120.0


@dataclass(slots=True)
class Seen:
    """What all rounds came to."""

    kills: int = 0
    events: int = 0
    violations: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def survive(victims: Sequence[str], seen: Seen) -> None:
    """Kill each of *victims* under load, wait until all is settled, and note what the oracles say."""
    with running_stack() as stack:
        tenant = stack.world.tenant(**PATIENT)
        run = disturb(stack, tenant, victims)
        fallen = [f"{name} ended by itself: {stack.world.logs()}" for name in stack.fallen()]
        tenant.wait_until_settled(SETTLE_S)
        history = observe(stack, tenant)
    found = [*fallen, *judge(run.journal, history)]
    seen.kills += len(run.strikes.instants)
    seen.events += len(run.journal.sent)
    seen.violations += found
    seen.told.append(tell(run, history, found))


def main() -> int:
    """Run all rounds and print the figures."""
    parser = argparse.ArgumentParser(prog="make load-chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="in all, of workers and Postgres in turn")
    parser.add_argument("--json", type=Path, default=None, help="write everything to this file")
    given = parser.parse_args()
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(given.kills)]
    rounds = [victims[at : at + ROUND_KILLS_MAX] for at in range(0, len(victims), ROUND_KILLS_MAX)]
    seen = Seen()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("kills", total=given.kills)
        for number, group in enumerate(rounds, 1):
            progress.console.print(f"round {number} of {len(rounds)}: {', '.join(group)}", soft_wrap=True)
            survive(group, seen)
            progress.advance(task, len(group))
    sys.stdout.write("\n".join(seen.told) + "\n")
    figures = [
        Figure("kills of workers and Postgres under load", "", Goal(">=", given.kills), (seen.kills,)),
        Figure("lost, doubled, out of order or unaudited", "", Goal("<=", 0), (len(seen.violations),)),
    ]
    details = {"events": seen.events, "rounds": seen.told}
    return conclude(Report("Kills", figures, details), json_path=given.json)


if __name__ == "__main__":
    sys.exit(main())
