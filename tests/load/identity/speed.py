"""How fast the service answers over gRPC: `python -m tests.load.identity.speed TARGET --contacts 100000`.

A tenant is filled with that many contacts of made-up worlds (generated, none twice), kept, and a copy of it asked: batches of new
records from two senders; single new records one after the other; single questions before a create, which write
nothing; and eight writers who bring copies of the same people at the same moment. Client, service and Postgres share
the machine. Memory is the service's, the most it had. Writes JSON; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import anyio
from tests.load.figures import percentile
from tests.load.identity.serving import CALL_S, TENANT, Identity, group_of, open_identity, record_of
from tests.load.identity.world.making import World
from tests.load.identity.world.recording import Record, Scribe

from headwater.identity.v1 import identity_pb2 as pb

WORLD_PEOPLE: Final = 400_000
"""People of one world; more contacts come from several worlds of other seeds."""
FILL_BATCH: Final = 500
FILL_SENDERS: Final = 4
SENDERS: Final = 2
BATCH: Final = 200
HOT_WRITERS: Final = 8
HOT_THINGS: Final = 400
HOT_COPIES: Final = 12
"""As the prototype was measured. Source: identity research, 6."""
SHUFFLED: Final = 50_000
"""Records that are mixed at a time: those of one person do not follow each other."""
TOLD_EVERY: Final = 20_000
WARMING: Final = 2_000
"""Records that a service that has just started resolves before the clock runs."""
FILLED: Final = "filled.json"
"""Stands beside a kept tenant once it is whole: records a second while it was filled, and the service's memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked.

    Args:
        contacts: that the tenant holds first.
        batched, single: new records, in batches and one by one.
        checked: questions before a create.
    """

    contacts: int
    batched: int = 20_000
    single: int = 2_000
    checked: int = 2_000
    hot_things: int = HOT_THINGS


@dataclass(frozen=True, slots=True)
class Speed:
    """What was seen.

    Args:
        hot_groups: entities after the hot writers; as many as things would be right.
    """

    contacts: int
    fill_per_s: float
    batched_per_s: float
    single_p50_ms: float
    single_p99_ms: float
    check_p50_ms: float
    check_p99_ms: float
    hot_per_s: float
    hot_p50_ms: float
    hot_p99_ms: float
    hot_things: int
    hot_groups: int
    service_bytes: int
    service_cpu_s: float
    postgres_cpu_s: float


def stream_of(seed: int, people: int) -> Iterator[pb.ResolveRecord]:
    """Yield the contacts of worlds without end, mixed, as records to resolve."""
    number = 0
    while True:
        chance, scribe = random.Random(seed + 1), Scribe(random.Random(seed + 2))
        inhabitants = World(seed, people).inhabitants()
        records = (record for person in inhabitants for record in scribe.contacts(person))
        for one in _mixed(records, chance):
            yield record_of(f"s{number:08d}", "contact", one.source, one.fields)
            number += 1
        seed += 1_000


def _mixed(records: Iterable[Record], chance: random.Random) -> Iterator[Record]:
    left = iter(records)
    while block := list(islice(left, SHUFFLED)):
        chance.shuffle(block)
        yield from block


def copies_of(record: pb.ResolveRecord, copies: int) -> list[pb.ResolveRecord]:
    """Return a record as several systems bring it: the same person, a mailbox of her own."""
    person = record.record.external_id
    fields = {**record.attributes, "email": f"{person}@hot-writers.example"}
    return [record_of(f"{person}-{copy}", "contact", record.record.source, fields) for copy in range(copies)]


class Asker:
    """Asks the service and keeps the clock."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.memory_bytes = 0

    async def in_batches(self, records: Iterable[pb.ResolveRecord], size: int, senders: int) -> float:
        """Resolve records in batches from several senders; return records a second."""
        left, sent = iter(records), 0
        began = time.perf_counter()

        async def send() -> None:
            nonlocal sent
            while batch := list(islice(left, size)):
                await self._identity.resolve(batch)
                if (sent + len(batch)) // TOLD_EVERY > sent // TOLD_EVERY:
                    self._look(sent + len(batch), began)
                sent += len(batch)

        await self._together(send, senders)
        return sent / (time.perf_counter() - began)

    def _look(self, sent: int, began: float) -> None:
        self.memory_bytes = max(self.memory_bytes, self._identity.memory_bytes())
        rate = sent / (time.perf_counter() - began)
        sys.stderr.write(f"  {sent} records, {rate:.0f}/s, service {self.memory_bytes >> 20} MB\n")

    async def one_by_one(
        self, records: Sequence[pb.ResolveRecord], writers: int
    ) -> tuple[float, list[float]]:
        """Resolve each record in a call of its own; return records a second and the milliseconds of each call."""
        left, took_ms = iter(records), list[float]()
        began = time.perf_counter()

        async def write() -> None:
            for record in left:
                sent = time.perf_counter()
                await self._identity.resolve([record])
                took_ms.append((time.perf_counter() - sent) * 1_000)

        await self._together(write, writers)
        self.memory_bytes = max(self.memory_bytes, self._identity.memory_bytes())
        return len(records) / (time.perf_counter() - began), took_ms

    async def check(self, records: Sequence[pb.ResolveRecord]) -> list[float]:
        """Ask whether each exists already; return the milliseconds of each call."""
        took_ms = []
        for record in records:
            question = pb.CheckDuplicateRequest(
                tenant_id=TENANT, object="contact", attributes=record.attributes
            )
            sent = time.perf_counter()
            await self._identity.stub.CheckDuplicate(question, timeout=CALL_S)
            took_ms.append((time.perf_counter() - sent) * 1_000)
        return took_ms

    async def groups(self, records: Sequence[pb.ResolveRecord]) -> int:
        """Return how many groups records are in."""
        found: set[str] = set()
        for start in range(0, len(records), FILL_BATCH):
            found.update(map(group_of, await self._identity.resolve(records[start : start + FILL_BATCH])))
        return len(found)

    @staticmethod
    async def _together(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(work)


async def fill(plan: Plan, records: Iterator[pb.ResolveRecord], keep: Path) -> None:
    """Fill a tenant through the service and keep it, with how long that took."""
    async with open_identity(keep=keep) as identity:
        sys.stderr.write(f"filling {plan.contacts} contacts\n")
        asker = Asker(identity)
        per_s = await asker.in_batches(islice(records, plan.contacts), FILL_BATCH, FILL_SENDERS)
    (keep / FILLED).write_text(json.dumps([per_s, asker.memory_bytes]), encoding="utf-8")


async def measure(plan: Plan, seed: int, kept: Path) -> Speed:
    """Fill a tenant, or take the one that was kept, and measure on a copy of it."""
    records = stream_of(seed, min(WORLD_PEOPLE, plan.contacts // 2 + 1_000))
    if (kept / FILLED).exists():
        sys.stderr.write(f"{plan.contacts} contacts are there already\n")
        deque(islice(records, plan.contacts), maxlen=0)
    else:
        await fill(plan, records, kept)
    fill_per_s, most_bytes = json.loads((kept / FILLED).read_text(encoding="utf-8"))
    async with open_identity(kept) as identity:
        asker = Asker(identity)
        asker.memory_bytes = most_bytes
        await asker.in_batches(list(islice(records, WARMING)), BATCH, SENDERS)
        before = identity.cpu_s()
        sys.stderr.write(f"batches of {BATCH}, {SENDERS} senders\n")
        batched_per_s = await asker.in_batches(list(islice(records, plan.batched)), BATCH, SENDERS)
        after = identity.cpu_s()
        sys.stderr.write("single records, questions\n")
        _, single_ms = await asker.one_by_one(list(islice(records, plan.single)), 1)
        check_ms = await asker.check(list(islice(records, plan.checked)))
        sys.stderr.write(f"{HOT_WRITERS} hot writers\n")
        hot = [copy for one in islice(records, plan.hot_things) for copy in copies_of(one, HOT_COPIES)]
        hot_per_s, hot_ms = await asker.one_by_one(hot, HOT_WRITERS)
        return Speed(
            plan.contacts, fill_per_s, batched_per_s, percentile(single_ms, 0.5), percentile(single_ms, 0.99),
            percentile(check_ms, 0.5), percentile(check_ms, 0.99), hot_per_s, percentile(hot_ms, 0.5),
            percentile(hot_ms, 0.99), plan.hot_things, await asker.groups(hot), asker.memory_bytes,
            after[0] - before[0], after[1] - before[1],
        )  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="tests.load.identity.speed", description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=901)
    parser.add_argument(
        "--asked", type=int, default=20_000, help="new records in batches; a tenth of it one by one"
    )
    parser.add_argument("--keep", type=Path, help="keep the filled tenant in this folder")
    parser.add_argument("--resume", action="store_true", help="take the tenant that the folder has already")
    options = parser.parse_args(arguments)
    tenth = options.asked // 10
    plan = Plan(options.contacts, options.asked, tenth, tenth)
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as scratch:
        folder = options.keep or Path(scratch)
        kept = folder.resolve() / f"tenant-{options.contacts}-{options.seed}"
        if not options.resume:
            (kept / FILLED).unlink(missing_ok=True)
        found = anyio.run(measure, plan, options.seed, kept, backend_options={"use_uvloop": True})
    options.target.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
