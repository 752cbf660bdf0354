"""Our own side without a server: `python -m tests.load.identity.own stream|bulk|exact|orders FOLDER TARGET`.

`stream` takes records one by one in a random order, `bulk` all at once, `exact` joins what shares a strong key and
closes it: the baseline. One default configuration, weights learned from the set's own records without labels, as the
service's nightly job does. `orders` compares orders of arrival; its target is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.load.identity import metrics
from tests.load.identity.groups import Answer, write_answer
from tests.load.identity.peers.table import close
from tests.load.identity.quality import prepare
from tests.load.identity.sets import Labelled, read_raw, read_set

from headwater.identity.domain.clustering.bulk import resolve_all
from headwater.identity.domain.clustering.linkage import Members
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.clustering.tiers import Merging, mergeable
from headwater.identity.domain.normalising import keys_of, normalise

ORDER_SEED = 1


def answer_of(groups: Iterable[Members], memory: Memory) -> Answer:
    """Return groups and what the merge rule leaves together of each."""
    linked: dict[str, str] = {}
    merged: dict[str, str] = {}
    merging = Merging(memory.parts, memory.shared)
    for group in groups:
        linked.update(dict.fromkeys(group, group[0]))
        for part in mergeable(group, memory.edges, merging):
            merged.update(dict.fromkeys(part, part[0]))
    return Answer(linked, merged)


def streamed(labelled: Labelled, memory: Memory, seed: int) -> tuple[Members, ...]:
    """Resolve the records one by one in the order of *seed*; return the groups."""
    arriving = list(labelled.records)
    random.Random(seed).shuffle(arriving)
    stream = Stream(memory)
    for record in arriving:
        stream.resolve(record)
    return stream.groups()


def by_stream(folder: Path, seed: int) -> Answer:
    """Answer record by record."""
    labelled = read_set(folder)
    memory = prepare(labelled)
    return answer_of(streamed(labelled, memory, seed), memory)


def by_bulk(folder: Path) -> Answer:
    """Answer for all records at once."""
    labelled = read_set(folder)
    memory = prepare(labelled)
    return answer_of(resolve_all(labelled.records, memory).groups, memory)


def by_exact_keys(folder: Path) -> Answer:
    """Answer by strong keys alone, closed: what joining on mailbox, number and page does."""
    raw = read_raw(folder)
    return Answer(closed({record: _strong(raw.object, fields) for record, fields in raw.records}))


def _strong(object_name: str, fields: Mapping[str, str]) -> list[int]:
    return [key.hash for key in keys_of(normalise(object_name, fields)).strong]


def closed(keys: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Return the group of each record: those that share a key, and what they share one with."""
    first: dict[int, str] = {}
    pairs = [(record, first.setdefault(key, record)) for record, held in keys.items() for key in held]
    return close(keys, pairs)


def orders_of(folder: Path, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Return, per order, the share of groups that are those of the first order, and those of the bulk run."""
    labelled = read_set(folder)
    first = prepare(labelled)
    bulk = resolve_all(labelled.records, first).groups
    found = []
    for seed in seeds:
        found.append(streamed(labelled, Memory(first.weights, first.rules), seed))
        sys.stderr.write(f"order {seed}: {metrics.identical(bulk, found[-1]):.5f} of the groups as in bulk\n")
    return {
        "among_orders": [metrics.identical(found[0], other) for other in found[1:]],
        "with_bulk": [metrics.identical(bulk, one) for one in found],
    }


def main(arguments: Sequence[str]) -> int:
    """Answer for a set and write it."""
    parser = argparse.ArgumentParser(prog="tests.load.identity.own", description=__doc__)
    parser.add_argument("how", choices=("stream", "bulk", "exact", "orders"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--seed", type=int, default=ORDER_SEED)
    parser.add_argument("--orders", type=int, default=20)
    options = parser.parse_args(arguments)
    if options.how == "orders":
        shares = orders_of(options.folder, range(options.seed, options.seed + options.orders))
        options.target.write_text(json.dumps(shares), encoding="utf-8")
        return 0
    if options.how == "exact":
        write_answer(options.target, by_exact_keys(options.folder))
    elif options.how == "bulk":
        write_answer(options.target, by_bulk(options.folder))
    else:
        write_answer(options.target, by_stream(options.folder, options.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
