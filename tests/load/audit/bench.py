"""`make bench-audit`: what proving the audit costs, and how fast it is verified. Exit code 1 when a goal is missed.

The cost is held against real processes: a backlog of events drains through the log, identity, the projector and two
connector accounts; then its very entries are written once more and proved, alone, so that nothing but the audit is
metered. Verifying reads an export as a user has it.
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
from tests.load.audit.cost import Costs
from tests.load.audit.million import Export, Verified
from tests.load.figures import Figure, Goal, Report, conclude, print_table, shown
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.ground import open_ground

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


async def cost_rounds(size: Size, rounds: int) -> list[Costs | str]:
    """Drain once a round, and meter its audit alone; what fails is told and counted."""
    found: list[Costs | str] = []
    async with open_ground() as ground:
        for number in range(rounds):
            sys.stderr.write(f"round {number + 1}: {COST}\n")
            try:
                found.append(await cost.measure(ground, size.events))
            except (MeasurementFailed, AssertionError, ExceptionGroup) as failure:
                sys.stderr.write(f"{COST}: {failure!r}\n")
                found.append(str(failure)[:400])
    return found


def figures_of(
    verified: Sequence[Verified | str], costs: Sequence[Costs | str], cases: Sequence[str]
) -> list[Figure]:
    """Return the figures of the cases that were asked for; one that was not measured in full fails."""
    found: list[Figure] = []
    if VERIFY in cases:
        found.append(_figure("1 million entries verified", "s", VERIFY_S, verified, _million_s))
    if COST in cases:
        found.append(_figure("throughput that the audit costs", "%", COST_SHARE, costs, _audit_share))
        found.append(_figure("of it, the proofs", "%", COST_SHARE, costs, _proofs_share))
    return found


def _figure(name: str, unit: str, goal: Goal, rounds: Sequence[Any], read: Callable[[Any], float]) -> Figure:
    missing = next((one for one in rounds if isinstance(one, str)), "" if rounds else "was not run")
    return Figure(name, unit, goal, tuple(read(one) for one in rounds if not isinstance(one, str)), missing)


def _million_s(one: Verified) -> float:
    return one.seconds * GOAL_ENTRIES / one.entries


def _audit_share(one: Costs) -> float:
    return one.audit_share


def _proofs_share(one: Costs) -> float:
    return one.proofs_share


def print_costs(costs: Sequence[Costs | str]) -> None:
    """Print what the drains and their audit took, medians."""
    whole = [one for one in costs if not isinstance(one, str)]
    if not whole:
        return

    def middle(read: Callable[[Costs], float]) -> str:
        return shown(statistics.median(read(one) for one in whole))

    rows = [
        ["the drain", middle(lambda one: sum(one.drained.cpu_us.values())), middle(lambda one: one.drained.wal_bytes),
         middle(lambda one: one.drained.seconds)],
        ["of it, writing the audit", middle(lambda one: one.written.cpu_us), middle(lambda one: one.written.wal_bytes),
         middle(lambda one: one.written.seconds)],
        ["on top, proving it", middle(lambda one: one.proved.cpu_us), middle(lambda one: one.proved.wal_bytes),
         middle(lambda one: one.proved.seconds)],
    ]  # fmt: skip
    entries = middle(lambda one: one.drained.audited / one.drained.events)
    rate = middle(lambda one: one.drained.rate)
    title = f"Event to CRM, two accounts, {rate} events/s, {entries} entries of the audit an event: medians"
    print_table(title, ("what", "CPU us/event", "WAL bytes/event", "seconds"), rows)
    print(f"share of the WAL: {middle(lambda one: one.wal_share)} %")  # noqa: T201


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    size = SHORT if arguments.short else FULL
    cases = [arguments.only] if arguments.only else list(CASES)
    verified = verify_rounds(size, arguments.rounds) if VERIFY in cases else []
    costs: list[Costs | str] = []
    if COST in cases:
        costs = anyio.run(cost_rounds, size, arguments.rounds, backend_options={"use_uvloop": True})
        print_costs(costs)
    details = {
        "rounds": arguments.rounds,
        "short": arguments.short,
        "machine": {"cpus": psutil.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        VERIFY: [one if isinstance(one, str) else asdict(one) for one in verified],
        COST: [one if isinstance(one, str) else asdict(one) for one in costs],
    }  # fmt: skip
    report = Report("Audit", figures_of(verified, costs, cases), details)
    return conclude(report, json_path=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
