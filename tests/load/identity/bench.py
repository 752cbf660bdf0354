"""`make bench-identity`: our identity against Splink, recordlinkage, dedupe and exact keys; its goals; its speed.

Every system is a process of its own with one default configuration; no label is used, but for dedupe, which cannot do
without. Outcomes are kept in a folder as they come, so that a run can be made in slices (`--resume`). One line a
figure: value, goal, PASS or FAIL. Exit code 1 when a goal is missed or could not be measured.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil
from tests.load.figures import Figure, Report, conclude
from tests.load.identity import goals, name_pairs, systems, tables
from tests.load.identity.columns import prepare
from tests.load.identity.outcome import Outcome, from_facts, outcome_of
from tests.load.identity.sets_of_run import SEEDS, SetOfRun, fresh, labelled
from tests.load.identity.speed import Speed
from tests.load.ingest.stages import ROOT, environment

PARTS: Final = ("quality", "peers", "orders", "speed")
SHORT_SETS: Final = ("febrl1", "fodors_zagats")
SHORT_SIZE: Final = "2k"
SHORT_S: Final = 30.0
"""Of one system on one set in a short run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Args:
        sets: of quality and peers.
        ordered: the set whose orders of arrival are compared.
        contacts: sizes of the tenant whose speed is measured.
        timeout_s: of one system on one set; what takes longer is told.
        peers_on: sizes of generated sets that peers are run on.
    """

    parts: tuple[str, ...]
    sets: tuple[SetOfRun, ...]
    ordered: SetOfRun
    orders: int
    contacts: tuple[int, ...]
    asked: int
    timeout_s: float
    peers_on: tuple[str, ...]
    batch: int


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-identity", description=__doc__)
    parser.add_argument("--only", default="", help=f"parts of: {', '.join(PARTS)}; comma-separated")
    parser.add_argument("--short", action="store_true", help="small sets and few of them: under four minutes")
    parser.add_argument("--sets", default="", help="only sets whose name holds one of these, comma-separated")
    parser.add_argument("--sizes", default="15k,200k", help="records of the generated sets: 2k, 15k, 200k")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="of the generated sets")
    parser.add_argument(
        "--peers-on", default="15k,200k", help="sizes of generated sets that peers are run on"
    )
    parser.add_argument(
        "--contacts", default="100000,1000000", help="tenant sizes for speed; 10000000 by hand"
    )
    parser.add_argument("--orders", type=int, default=20, help="orders of arrival")
    parser.add_argument(
        "--batch", type=int, default=100, help="records a call of the service; 1 is record by record"
    )
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds of one system on one set")
    parser.add_argument("--keep", type=Path, help="keep sets and outcomes in this folder")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="take the outcomes and filled tenants that the folder has already; delete one to make it again",
    )
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.resume and read.keep is None:
        parser.error("--resume needs --keep")
    if unknown := set(_words(read.only)) - set(PARTS):
        parser.error(f"--only knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    if not plan_of(read).sets:
        parser.error("--sets selects none")
    return read


def plan_of(read: argparse.Namespace) -> Plan:
    """Return what the command line asks for."""
    sizes = (SHORT_SIZE,) if read.short else _words(read.sizes)
    seeds = [int(seed) for seed in _words(read.seeds)][: 1 if read.short else None]
    known = labelled(SHORT_SETS) if read.short else labelled()
    known += [one for size in sizes for one in fresh(size, seeds)]
    words = _words(read.sets)
    ordered = fresh(SHORT_SIZE, seeds[:1])[0] if read.short else labelled(("crm_synth_dev",))[0]
    return Plan(
        parts=_words(read.only) or PARTS,
        sets=tuple(one for one in known if not words or any(word in one.name for word in words)),
        ordered=ordered,
        orders=min(read.orders, 4) if read.short else read.orders,
        contacts=(10_000,) if read.short else tuple(map(int, _words(read.contacts))),
        asked=4_000 if read.short else 20_000,
        timeout_s=min(read.timeout, SHORT_S) if read.short else read.timeout,
        peers_on=(SHORT_SIZE,) if read.short else _words(read.peers_on),
        batch=read.batch,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


class Bench:
    """One run: makes sets, runs systems, keeps outcomes."""

    def __init__(self, plan: Plan, folder: Path, *, resume: bool) -> None:
        self._plan, self._folder, self._resume = plan, folder, resume
        self._prepared: dict[tuple[Path, bool], Path] = {}

    def outcomes(self) -> list[Outcome]:
        """Run what the plan names on every set, ours first."""
        found: list[Outcome] = []
        for one in self._plan.sets:
            for system in self._systems(one):
                found.append(self._outcome(one, system))
                shown = found[-1]
                sys.stderr.write(
                    f"{one.name}, {system}: {shown.failure or f'F1 {shown.pairs.f1:.4f}'} in {shown.wall_s:.0f} s\n"
                )
        return found

    def _systems(self, one: SetOfRun) -> list[str]:
        parts, chosen = self._plan.parts, list[str]()
        if "quality" in parts:
            chosen = [systems.STREAM, systems.BULK, systems.SERVICE, systems.EXACT]
        elif "peers" in parts:
            chosen = [systems.STREAM]
        if "peers" in parts and (not one.size or one.size in self._plan.peers_on):
            chosen += systems.PEERS
        return chosen

    def _outcome(self, one: SetOfRun, system: str) -> Outcome:
        kept = self._kept(one, system)
        if self._resume and kept.exists():
            return from_facts(json.loads(kept.read_text(encoding="utf-8")))
        folder = one.folder(self._folder)
        if system == systems.DAMPED and self._nothing_is_shared(folder):
            plain = self._kept(one, "splink")
            return replace(from_facts(json.loads(plain.read_text(encoding="utf-8"))), system=system)
        target = kept.with_suffix(".csv")
        run = systems.run(
            system, one.name, self._command(one, system, folder, target), target, self._plan.timeout_s
        )
        if system == "dedupe":
            run = replace(run, told={**run.told, "teacher": one.teacher})
        outcome = outcome_of(run, self._truth(folder))
        kept.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        return outcome

    def _kept(self, one: SetOfRun, system: str) -> Path:
        return self._folder / f"{one.name}@{system.replace(', ', '-').replace(' ', '-')}.json"

    def _nothing_is_shared(self, folder: Path) -> bool:
        """Say whether leaving out shared values changes nothing: what was run need not be run again."""
        whole, damped = self._columns(folder, damped=False), self._columns(folder, damped=True)
        return filecmp.cmp(whole, damped, shallow=False)

    def _command(self, one: SetOfRun, system: str, folder: Path, target: Path) -> list[str]:
        if system == systems.SERVICE:
            return systems.own("service", folder, target, "--batch", str(self._plan.batch))
        if system in {systems.STREAM, systems.BULK, systems.EXACT}:
            how = {systems.STREAM: "stream", systems.BULK: "bulk", systems.EXACT: "exact"}[system]
            return systems.own("own", folder, target, how)
        teacher = (
            self._columns(one.teacher_folder(self._folder), damped=False) if system == "dedupe" else None
        )
        return systems.peer(system, self._columns(folder, damped=system == systems.DAMPED), target, teacher)

    def _columns(self, folder: Path, *, damped: bool) -> Path:
        if (folder, damped) not in self._prepared:
            self._prepared[folder, damped] = prepare(folder, self._folder, damped=damped)
        return self._prepared[folder, damped]

    def _truth(self, folder: Path) -> dict[str, str]:
        path = self._columns(folder, damped=False).with_suffix(".truth.json")
        truth: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return truth

    def orders(self) -> list[Figure]:
        """Compare orders of arrival."""
        target, one = self._folder / "orders.json", self._plan.ordered
        command = systems.own("own", one.folder(self._folder), target, "orders")
        failure = self._told(command, f"--orders={self._plan.orders}")
        if failure:
            return [goals.unmeasured(f"orders of {one.name}", failure)]
        shares = json.loads(target.read_text(encoding="utf-8"))
        return goals.order_figures(one.name, self._plan.orders, shares)

    def speeds(self) -> tuple[list[Speed], list[Figure]]:
        """Measure the service's speed at each size."""
        found, figures = list[Speed](), list[Figure]()
        for contacts in self._plan.contacts:
            target = self._folder / f"speed-{contacts}.json"
            command = [sys.executable, "-m", "tests.load.identity.speed", str(target)]
            asked = (f"--contacts={contacts}", f"--asked={self._plan.asked}", f"--keep={self._folder}")
            failure = self._told(command, *asked, *(["--resume"] if self._resume else ()))
            if failure:
                figures.append(goals.unmeasured(f"speed at {contacts:,} contacts", failure))
                continue
            found.append(Speed(**json.loads(target.read_text(encoding="utf-8"))))
            figures += goals.speed_figures(found[-1])
        return found, figures

    @staticmethod
    def _told(command: Sequence[str], *more: str) -> str:
        """Run a program that tells its progress itself; return why it failed, if it did."""
        sys.stderr.write(f"{command[2]} {' '.join(more)}\n")
        ended = subprocess.run([*command, *more], cwd=ROOT, env=environment(), check=False)
        return f"exit code {ended.returncode}" if ended.returncode else ""


def measure(plan: Plan, folder: Path, *, resume: bool) -> Report:
    """Run the plan's parts, print their tables, return the figures."""
    bench = Bench(plan, folder, resume=resume)
    figures: list[Figure] = []
    outcomes = bench.outcomes() if {"quality", "peers"} & {*plan.parts} else []
    tables.print_outcomes(outcomes)
    if "quality" in plan.parts:
        names = {kind: name_pairs.rates(kind) for kind in name_pairs.KINDS}
        tables.print_names(names)
        figures += goals.quality_figures(plan.sets, outcomes) + goals.name_figures(names)
    if "peers" in plan.parts:
        compared = [one for one in plan.sets if not one.size or one.size in plan.peers_on]
        figures += goals.peer_figures(compared, outcomes)
    if "orders" in plan.parts:
        figures += bench.orders()
    speeds: list[Speed] = []
    if "speed" in plan.parts:
        speeds, answered = bench.speeds()
        figures += answered
    tables.print_speed(speeds)
    return Report("Identity", figures, _details(plan, outcomes, speeds))


def _details(plan: Plan, outcomes: Sequence[Outcome], speeds: Sequence[Speed]) -> dict[str, Any]:
    return {
        "plan": asdict(plan),
        "machine": {
            "cpus": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "outcomes": [asdict(one) for one in outcomes],
        "speeds": [asdict(one) for one in speeds],
    }


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    read = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended too
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as scratch:
        folder = read.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        report = measure(plan_of(read), folder.resolve(), resume=read.resume)
    return conclude(report, json_path=read.json)


if __name__ == "__main__":
    sys.exit(main())
