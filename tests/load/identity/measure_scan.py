"""Measures the scan: `python -m tests.load.identity.measure_scan --records 200000 --cores 1`; up to a few minutes.

The file is made by the generator beside the data from a seed, and thinned to the share of duplicates asked
for: each person's first record stays, of the others as many as it takes. The scan runs as its own process,
as the command runs it; memory is that of all its processes together, sampled.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from tests.load.figures import Figure, Goal, Report, conclude
from tests.load.identity import metrics, sets

RECORDS_PER_PERSON: Final = 2.42
"""Of the generator, as its weights make it."""
SAMPLE_S: Final = 0.1
NOT_COMPARED: Final = frozenset({"cluster_id", "source"})
GOALS: Final = {(200_000, 1): (15.0, 2_000.0), (1_000_000, 2): (90.0, 2_000.0)}
"""Seconds and MB by records and cores. Source: issue 5."""


@dataclass(frozen=True, slots=True)
class Run:
    """One scan: how long, how much memory at most, its figures."""

    seconds: float
    memory_mb: float
    report: dict[str, Any]


def make_file(into: Path, *, records: int, duplicates: float, seed: int) -> tuple[Path, dict[str, str]]:
    """Make a file of about *records* records; return it and the true cluster of each record."""
    per_person = 1 / (1 - duplicates)
    people = round(records / min(per_person, RECORDS_PER_PERSON))
    kept_share = (per_person - 1) / (RECORDS_PER_PERSON - 1)
    source = sets.generate(into, people=people, seed=seed) / "records.csv"
    path = into / f"scan_{records}_{round(duplicates * 100)}_{seed}.csv"
    chance, truth = random.Random(seed), dict[str, str]()
    seen: set[str] = set()
    with (
        source.open(encoding="utf-8", newline="") as rows,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        reader = csv.DictReader(rows)
        names = [name for name in reader.fieldnames or () if name not in NOT_COMPARED]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        for row in reader:
            if row["cluster_id"] in seen and chance.random() >= kept_share:
                continue
            seen.add(row["cluster_id"])
            truth[row["rec_id"]] = row["cluster_id"]
            writer.writerow(row)
    return path, truth


def run(path: Path, into: Path, *, cores: int, learn: bool) -> Run:
    """Scan a file in a process of its own."""
    command = [
        *(sys.executable, "-m", "headwater.identity.bulk", str(path)),
        *("--into", str(into), "--cores", str(cores)),
        *(["--learn"] if learn else []),
    ]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        memory = _Memory(process.pid)
        memory.start()
        assert process.stdout is not None
        last = [line for line in process.stdout if not line.startswith('{"progress"')][-1]
        process.wait()
        seconds = time.perf_counter() - started
        memory.end()
    return Run(seconds, memory.most_mb, json.loads(last)["report"])


class _Memory(threading.Thread):
    """Samples the resident memory of a process and its children; what they share counts for each."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._ended, self.most_mb = pid, threading.Event(), 0.0

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.most_mb = max(self.most_mb, self._now_mb())

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _now_mb(self) -> float:
        try:
            parent = psutil.Process(self._pid)
            family = [parent, *parent.children(recursive=True)]
            return sum(one.memory_info().rss for one in family) / 2**20
        except psutil.NoSuchProcess:
            return 0.0


def quality(into: Path, truth: dict[str, str]) -> metrics.Rates:
    """Return precision and recall of the clusters that a scan wrote."""
    with (into / "clusters.csv").open(encoding="utf-8", newline="") as file:
        predicted = {row["record_id"]: row["group_id"] for row in csv.DictReader(file)}
    return metrics.pairwise(predicted, truth)


def figures(done: Run, rates: metrics.Rates, *, records: int, cores: int) -> list[Figure]:
    """Return the figures with their goals; a size without a goal of its own takes that of the rate."""
    seconds, memory = GOALS.get((records, cores), (records * 15 / 200_000, 2_000.0))
    name = f"{records:,} records on {cores} core{'s' if cores > 1 else ''}"
    return [
        Figure(f"scan, {name}", "s", Goal("<=", seconds), (done.seconds,)),
        Figure(f"memory, {name}", "MB", Goal("<=", memory), (done.memory_mb,)),
        Figure(f"pairwise F1, {name}", "", Goal(">=", 0.88), (rates.f1,)),
    ]


def main(arguments: Sequence[str]) -> int:
    """Make the file, scan it, print the figures."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(options.files or scratch)
        path, truth = make_file(
            made, records=options.records, duplicates=options.duplicates, seed=options.seed
        )
        into = Path(scratch) / "scan"
        done = run(path, into, cores=options.cores, learn=options.learn)
        rates = quality(into, truth)
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in done.report["seconds"].items())
    sys.stdout.write(
        f"{done.report['records']:,} records, {done.report['duplicate_rate']:.1%} duplicates found,"
        f" P {rates.precision:.4f} R {rates.recall:.4f}; seconds: {stages}\n"
    )
    report = Report(
        "Identity scan",
        figures(done, rates, records=options.records, cores=options.cores),
        details={"report": done.report, "seed": options.seed, "duplicates": options.duplicates},
    )
    return conclude(report, json_path=Path(options.json) if options.json else None)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.load.identity.measure_scan", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument(
        "--duplicates", type=float, default=0.3, help="share of records beyond a person's first"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("--files", default="", help="keep generated files in this folder")
    parser.add_argument("--json", default="")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
