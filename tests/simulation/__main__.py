"""The command line of the simulation: many seeds, ablations, a replay; exit code 1 when something did not hold."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tests.simulation.ablations import ABLATIONS
from tests.simulation.bundles import read_bundle, write_bundle
from tests.simulation.catching import Catch, hunt_by_name
from tests.simulation.engine import PRODUCT
from tests.simulation.plan import Plan, make_plan
from tests.simulation.process import Parts
from tests.simulation.running import Verdict, judge, judge_seed
from tests.simulation.shrinking import shrink

T = TypeVar("T")
R = TypeVar("R")


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=True)
    if asked.replay:
        return _replay(asked.replay, console)
    found: dict[str, Any] = {}
    good = _seeds(asked, console, found) if asked.seeds else True
    if asked.ablations:
        good &= _ablate(asked, console, found)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds (300; 0 for none)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side (2)")
    parser.add_argument("--ablations", action="store_true", help="hunt every ablation as well")
    parser.add_argument(
        "--ablation-seeds", type=int, default=100, help="seeds within which one is to be caught"
    )
    parser.add_argument("--bundles", type=Path, default=Path("simulation-bundles"), help="where failures go")
    parser.add_argument("--failures-max", type=int, default=20, help="stop after so many failing seeds")
    parser.add_argument(
        "--shrink", action="store_true", help="make failing plans smaller before they are written"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--replay", type=Path, help="replay one bundle, twice, and compare the hashes")
    return parser


def _spread(jobs: int, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results of *work*, in *jobs* processes."""
    if jobs <= 1:
        yield from map(work, items)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(work, items, chunksize=1)


def _seeds(asked: argparse.Namespace, console: Console, found: dict[str, Any]) -> bool:
    began = time.perf_counter()
    failed: list[Verdict] = []
    done = calls = steps = 0
    with Progress(console=console) as progress:
        bar = progress.add_task("seeds", total=asked.seeds)
        for verdict in _spread(asked.jobs, judge_seed, range(asked.start, asked.start + asked.seeds)):
            done, calls, steps = done + 1, calls + verdict.calls, steps + verdict.steps
            progress.update(bar, advance=1, description=f"seeds, {len(failed)} failing")
            if not verdict.clean:
                failed.append(verdict)
                _tell(console, verdict)
                console.print(f"bundle: {_bundle(asked, verdict)}")
            if len(failed) >= asked.failures_max:
                break
    wall_s = time.perf_counter() - began
    console.print(
        f"{done} seeds, {len(failed)} failing, {calls} calls, {steps} steps, {done / wall_s:.1f} seeds/s"
    )
    found["seeds"] = {
        "start": asked.start, "done": done, "calls": calls, "wall_s": wall_s, "seeds_per_s": done / wall_s,
        "failing": {v.seed: [f"{i.invariant}: {i.where}" for i in v.violations] for v in failed},
    }  # fmt: skip
    return not failed


def _tell(console: Console, verdict: Verdict) -> None:
    for item in verdict.violations[:3]:
        console.print(f"seed {verdict.seed}: {item.invariant}: {item.where}", markup=False, highlight=False)


def _bundle(asked: argparse.Namespace, verdict: Verdict) -> Path:
    plan = make_plan(verdict.seed)
    if asked.shrink:
        broken = {item.invariant for item in verdict.violations}
        plan = shrink(plan, partial(_breaks, broken))
    return write_bundle(asked.bundles, plan, judge(plan, keep=True))


def _breaks(broken: set[str], plan: Plan) -> bool:
    return bool(broken & {item.invariant for item in judge(plan).violations})


def _ablate(asked: argparse.Namespace, console: Console, found: dict[str, Any]) -> bool:
    table = Table("ablation", "lacks", "seeds", "invariants", "seen")
    caught: list[Catch] = []
    with Progress(console=console) as progress:
        bar = progress.add_task("ablations", total=len(ABLATIONS))
        names = [item.name for item in ABLATIONS]
        for catch in _spread(asked.jobs, partial(hunt_by_name, seeds=asked.ablation_seeds), names):
            caught.append(catch)
            progress.update(bar, advance=1)
    for catch in sorted(caught, key=lambda item: names.index(item.name)):
        seeds = str(catch.seeds) if catch.invariants else f"not in {catch.seeds}"
        table.add_row(catch.name, catch.lacks, seeds, " ".join(catch.invariants), catch.where[:60])
    Console().print(table)
    found["ablations"] = {
        c.name: {"seeds": c.seeds, "invariants": c.invariants, "where": c.where} for c in caught
    }
    return all(catch.invariants for catch in caught)


def _replay(path: Path, console: Console) -> int:
    plan, digest, ablation = read_bundle(path)
    parts: Parts = next((item.parts for item in ABLATIONS if item.name == ablation), PRODUCT)
    verdicts = [judge(plan, parts, keep=True) for _ in range(2)]
    for line in verdicts[0].journal:
        sys.stdout.write(line + "\n")
    _tell(console, verdicts[0])
    same = {digest, *(item.digest for item in verdicts)} == {digest}
    console.print("the run is the one of the bundle, bit for bit" if same else "the run is another one")
    return 0 if same else 1


if __name__ == "__main__":
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    sys.exit(main())
