"""Our service over gRPC on one set: `python -m tests.load.identity.service FOLDER TARGET --batch 100`.

Records arrive in a random order, a batch a call, one sender; at the end every record is asked for again, for what a
later record did to it. The source of a record is its own, where the set has one.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
from tests.load.figures import percentile
from tests.load.identity.groups import Answer, write_answer
from tests.load.identity.own import ORDER_SEED
from tests.load.identity.peers.table import say
from tests.load.identity.serving import GROUP_FIELD, Identity, group_of, open_identity, record_of
from tests.load.identity.sets import read_raw

from headwater.identity.v1 import identity_pb2 as pb

ASK_AGAIN: int = 500
"""Records of one call when all are asked for again."""


def arriving(folder: Path, seed: int) -> list[pb.ResolveRecord]:
    """Return the records of a set in a random order."""
    raw = read_raw(folder)
    records = [record_of(record, raw.object, "bench", fields) for record, fields in raw.records]
    random.Random(seed).shuffle(records)
    return records


def batches(records: Sequence[pb.ResolveRecord], size: int) -> Iterator[Sequence[pb.ResolveRecord]]:
    """Yield the records in batches."""
    return (records[start : start + size] for start in range(0, len(records), size))


async def feed(
    identity: Identity, records: Sequence[pb.ResolveRecord], size: int
) -> tuple[Answer, list[float]]:
    """Bring the records, then ask where each is; return the answer and the milliseconds of each call."""
    took_ms = []
    for batch in batches(records, size):
        began = time.perf_counter()
        await identity.resolve(batch)
        took_ms.append((time.perf_counter() - began) * 1_000)
    linked: dict[str, str] = {}
    merged: dict[str, str] = {}
    for batch in batches(records, ASK_AGAIN):
        for asked, resolution in zip(batch, await identity.resolve(batch), strict=True):
            linked[asked.record.external_id] = group_of(resolution)
            merged[asked.record.external_id] = resolution.entity_id
    return Answer(linked, merged), took_ms


async def run(folder: Path, target: Path, size: int, seed: int) -> None:
    """Resolve a set and write the answer."""
    records = arriving(folder, seed)
    async with open_identity() as identity:
        service_s, postgres_s = identity.cpu_s()
        began = time.perf_counter()
        answer, took_ms = await feed(identity, records, size)
        seconds = time.perf_counter() - began
        after = identity.cpu_s()
        facts = {
            "field": GROUP_FIELD, "batch": size, "seconds": seconds, "p50_ms": percentile(took_ms, 0.5),
            "p99_ms": percentile(took_ms, 0.99), "service_bytes": identity.memory_bytes(),
            "service_cpu_s": after[0] - service_s, "postgres_cpu_s": after[1] - postgres_s,
        }  # fmt: skip
    write_answer(target, answer)
    say(**facts)


def main(arguments: Sequence[str]) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="tests.load.identity.service", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--batch", type=int, default=100, help="records of a call; 1 is record by record")
    parser.add_argument("--seed", type=int, default=ORDER_SEED)
    options = parser.parse_args(arguments)
    anyio.run(
        run, options.folder, options.target, options.batch, options.seed, backend_options={"use_uvloop": True}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
