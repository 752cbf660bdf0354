"""Measures quality: `python -m tests.load.identity.quality --set febrl3 --fresh 6000:101`; no label is used.

One default configuration for every set: normalise, learn weights from the set itself, look up, score,
group. Prints one line per set, with CPU seconds, and writes them as JSON when asked.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.load.identity import metrics, sets
from tests.load.identity.sets import Labelled

from headwater.identity.domain.clustering.bulk import resolve_all
from headwater.identity.domain.clustering.linkage import Members, Rules
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.sharing import shared_values
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.clustering.tiers import Merging, mergeable
from headwater.identity.domain.scoring.learning import learn

SEED = 1


@dataclass(frozen=True, slots=True)
class Line:
    """What one set gave."""

    name: str
    records: int
    precision: float
    recall: float
    f1: float
    b_cubed: float
    largest: int
    largest_true: int
    merge_precision: float
    merge_recall: float
    read_s: float
    learn_s: float
    resolve_s: float
    memory_mb: int


def prepare(labelled: Labelled) -> Memory:
    """Return an empty memory with the weights that the set's own records teach."""
    parts = [record.parts for record in labelled.records]
    weights = learn(labelled.object, parts, random.Random(SEED), shared=shared_values(parts))
    return Memory(weights, Rules())


def measure(labelled: Labelled, read_s: float) -> Line:
    """Resolve a set and compare it with the truth."""
    started = time.process_time()
    memory = prepare(labelled)
    learnt = time.process_time()
    groups = resolve_all(labelled.records, memory).groups
    done = time.process_time()
    predicted = {record: group[0] for group in groups for record in group}
    pairwise = metrics.pairwise(predicted, labelled.truth)
    merge = merge_rates(groups, memory, labelled.truth)
    return Line(
        labelled.name,
        len(labelled.records),
        pairwise.precision,
        pairwise.recall,
        pairwise.f1,
        metrics.b_cubed(predicted, labelled.truth).f1,
        metrics.largest(predicted),
        metrics.largest(labelled.truth),
        merge.precision,
        merge.recall,
        read_s,
        learnt - started,
        done - learnt,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def merge_rates(groups: Iterable[Members], memory: Memory, truth: Mapping[str, str]) -> metrics.Rates:
    """Return precision and recall of the pairs that the merge tier joins."""
    merging = Merging(memory.parts, memory.shared)
    joined: dict[str, str] = {}
    for group in groups:
        for part in mergeable(group, memory.edges, merging):
            joined.update(dict.fromkeys(part, part[0]))
    return metrics.pairwise(joined, truth)


def orders(labelled: Labelled, seeds: Sequence[int]) -> list[float]:
    """Return, for an order of arrival per seed, the share of groups that are those of the bulk run."""
    memory = prepare(labelled)
    bulk = resolve_all(labelled.records, memory).groups
    shares: list[float] = []
    for seed in seeds:
        arriving = list(labelled.records)
        random.Random(seed).shuffle(arriving)
        stream = Stream(Memory(memory.weights, memory.rules))
        for record in arriving:
            stream.resolve(record)
        shares.append(metrics.identical(bulk, stream.groups()))
    return shares


def pair_cost_us(labelled: Labelled) -> float:
    """Return the microseconds of CPU that scoring one candidate pair costs."""
    memory = prepare(labelled)
    for record in labelled.records:
        memory.add(record)
    pairs = [(one.record_id, other) for one in labelled.records[:2_000] for other in memory.candidates(one)]
    started = time.process_time()
    for one, other in pairs:
        memory.compare(one, other)
    return (time.process_time() - started) / max(1, len(pairs)) * 1e6


def main(arguments: Sequence[str]) -> int:
    """Run the sets that *arguments* name."""
    options = _options(arguments)
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as scratch:
        into = Path(options.into or scratch)
        folders = [sets.er_directory() / name for name in options.set]
        for fresh in options.fresh:
            people, seed = map(int, fresh.split(":"))
            folders.append(sets.generate(into, people=people, seed=seed))
        for folder in folders:
            started = time.process_time()
            labelled = sets.read_set(folder, options.region)
            read_s = time.process_time() - started
            line = measure(labelled, read_s)
            lines.append(line)
            _say(_shown(line))
            if options.orders:
                first = options.order_from
                shares = orders(labelled, range(first, first + options.orders))
                _say(f"  {len(shares)} orders: identical groups at least {min(shares):.5f}")
            if options.pair_cost:
                _say(f"  {pair_cost_us(labelled):.1f} us per pair")
    if options.json:
        Path(options.json).write_text(
            json.dumps([asdict(line) for line in lines], indent=1), encoding="utf-8"
        )
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.load.identity.quality", description=__doc__)
    parser.add_argument("--set", nargs="*", default=[], choices=sets.SETS)
    parser.add_argument("--fresh", nargs="*", default=[], metavar="PEOPLE:SEED")
    parser.add_argument("--into", default="", help="keep generated sets in this folder")
    parser.add_argument("--region", default=None)
    parser.add_argument("--orders", type=int, default=0)
    parser.add_argument("--order-from", type=int, default=0, help="seed of the first order")
    parser.add_argument("--pair-cost", action="store_true")
    parser.add_argument("--json", default="")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _shown(line: Line) -> str:
    return (
        f"{line.name:16} {line.records:7} P {line.precision:.4f} R {line.recall:.4f} F1 {line.f1:.4f}"
        f" B3 {line.b_cubed:.4f} largest {line.largest}/{line.largest_true}"
        f" merge P {line.merge_precision:.4f} R {line.merge_recall:.3f}"
        f" read {line.read_s:.1f} learn {line.learn_s:.1f} resolve {line.resolve_s:.1f} s {line.memory_mb} MB"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
