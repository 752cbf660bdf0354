"""`make bench-audit`: what proving the audit costs, and how fast it is verified. Exit code 1 when a goal is missed.

The cost is that of real processes: a backlog of events drains through the log, identity, the projector and two
connector accounts, with the audit being numbered, hashed and signed, and without, right after each other, each round
beginning with the other one. Verifying reads an export as a user has it.
"""

from __future__ import annotations

import argparse
import gc
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import psutil
from tests.load.audit import cost, million
from tests.load.audit.cost import Pair
from tests.load.audit.million import Export, Verified
from tests.load.figures import Figure, Goal, Report, conclude, print_table, shown
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.ground import METERED, open_ground

VERIFY: Final = "verify"
COST: Final = "cost"
CASES: Final = (VERIFY, COST)
GOAL_ENTRIES: Final = 1_000_000
VERIFY_S: Final = Goal("<=", 10.0)
COST_SHARE: Final = Goal("<=", 8.0)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done a round: entries verified, events drained."""

    entries: int
    events: int


FULL: Final = Size(GOAL_ENTRIES, 20_000)
SHORT: Final = Size(200_000, 6_000)
"""For a look in between; the time of verifying is scaled up to a million."""


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-audit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, default 3")
    parser.add_argument("--only", choices=CASES, help="one case alone")
    parser.add_argument("--short", action="store_true", help="a fifth of the work, for a look in between")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.rounds < 1:
        parser.error("rounds from 1")
    return read


def verify_rounds(size: Size, rounds: int) -> list[Verified | str]:
    """Verify one export once a round."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-audit-"))
    try:
        sys.stderr.write(f"writing an export of {size.entries} entries\n")
        export = million.write_export(directory, size.entries)
        return [_verified(export, number) for number in range(rounds)]
    except MeasurementFailed as failure:
        return [str(failure)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _verified(export: Export, number: int) -> Verified:
    sys.stderr.write(f"round {number + 1}: {VERIFY}\n")
    gc.collect()
    return million.measure(export)


async def cost_rounds(size: Size, rounds: int) -> list[Pair | str]:
    """Drain with and without, once each a round; what fails is told and counted."""
    found: list[Pair | str] = []
    async with open_ground() as ground:
        for number in range(rounds):
            sys.stderr.write(f"round {number + 1}: {COST}\n")
            try:
                found.append(await cost.measure(ground, size.events, kept_first=bool(number % 2)))
            except (MeasurementFailed, AssertionError, ExceptionGroup) as failure:
                sys.stderr.write(f"{COST}: {failure!r}\n")
                found.append(str(failure)[:400])
    return found


def figures_of(
    verified: Sequence[Verified | str], pairs: Sequence[Pair | str], cases: Sequence[str]
) -> list[Figure]:
    """Return the figures of the cases that were asked for; one that was not measured in full fails."""
    found: list[Figure] = []
    if VERIFY in cases:
        found.append(_figure("1 million entries verified", "s", VERIFY_S, verified, _million_s))
    if COST in cases:
        found.append(_figure("throughput that the proofs cost", "%", COST_SHARE, pairs, _throughput_cost))
        found.append(_figure("CPU that the proofs cost", "%", COST_SHARE, pairs, _cpu_cost))
    return found


def _figure(name: str, unit: str, goal: Goal, rounds: Sequence[Any], read: Callable[[Any], float]) -> Figure:
    missing = next((one for one in rounds if isinstance(one, str)), "" if rounds else "was not run")
    return Figure(name, unit, goal, tuple(read(one) for one in rounds if not isinstance(one, str)), missing)


def _million_s(one: Verified) -> float:
    return one.seconds * GOAL_ENTRIES / one.entries


def _throughput_cost(one: Pair) -> float:
    return one.throughput_cost


def _cpu_cost(one: Pair) -> float:
    return one.cpu_cost


def print_pairs(pairs: Sequence[Pair | str]) -> None:
    """Print what the drains took, medians."""
    whole = [one for one in pairs if not isinstance(one, str)]
    if not whole:
        return
    rows = []
    for name, drains in (
        ("with proofs", [one.kept for one in whole]),
        ("without", [one.bare for one in whole]),
    ):
        rates = statistics.median(one.rate for one in drains)
        costs = [statistics.median(one.cpu_us[part] for one in drains) for part in METERED]
        entries = statistics.median(one.audited / one.events for one in drains)
        rows.append([name, shown(rates), shown(entries), *(shown(value) for value in costs)])
    columns = ("backlog", "events/s", "entries/event", *METERED)
    print_table("Event to CRM, two accounts: medians; CPU in us per event", columns, rows)


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    size = SHORT if arguments.short else FULL
    cases = [arguments.only] if arguments.only else list(CASES)
    verified = verify_rounds(size, arguments.rounds) if VERIFY in cases else []
    pairs: list[Pair | str] = []
    if COST in cases:
        pairs = anyio.run(cost_rounds, size, arguments.rounds, backend_options={"use_uvloop": True})
        print_pairs(pairs)
    details = {
        "rounds": arguments.rounds,
        "short": arguments.short,
        "machine": {"cpus": psutil.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        VERIFY: [one if isinstance(one, str) else asdict(one) for one in verified],
        COST: [one if isinstance(one, str) else asdict(one) for one in pairs],
    }  # fmt: skip
    report = Report("Audit", figures_of(verified, pairs, cases), details)
    return conclude(report, json_path=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
