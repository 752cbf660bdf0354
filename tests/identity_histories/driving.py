"""Concurrent clients against an identity service, what they were told, and whether it can have been so.

Each tenant has a few clients and a few groups of records. A history holds the calls of one group; a batch with
records of two groups stands in both. What holds of a whole holds of its parts, so each part is checked by itself,
which keeps every search small.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from tests.identity_histories.calls import Answer, Call, History, Operation, Resolve, Resolved
from tests.identity_histories.checking import Verdict, check
from tests.identity_histories.choosing import Group, choose_call
from tests.identity_histories.model import IdentityModel
from tests.identity_histories.services import Service

TENANTS_AT_ONCE: Final = 8
CROSSING: Final = 0.25
"""Share of batches that also bring records of another group."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one tenant's clients do; all counts are 1 or more."""

    clients: int = 4
    groups: int = 4
    calls_per_client: int = 12


USUAL: Final = Load()
"""A dozen calls a history, up to four at once."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One history and what the checker says of it."""

    source: str
    history: History
    verdict: Verdict


Now = Callable[[], int]


async def record_tenant(
    service: Service, tenant: str, seed: int, load: Load, now: Now = time.monotonic_ns
) -> Sequence[History]:
    """Let a tenant's clients call at once; return one history for each group, those without calls left out."""
    groups = [Group(f"g{number}") for number in range(load.groups)]
    told: dict[str, list[Operation]] = {group.name: [] for group in groups}

    async def client(number: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        for _ in range(load.calls_per_client):
            parts = _choose(groups, chance)
            called = now()
            answer = await service.answer(tenant, _joined([call for _, call in parts]))
            returned = now()
            for group, part, said in _apart(parts, answer):
                told[group.name].append(Operation(number, part, called, returned, said))
                if said is not None:
                    group.learn(said)
            if answer is None:
                await service.recovered()

    async with anyio.create_task_group() as tasks:
        for number in range(load.clients):
            tasks.start_soon(client, number)
    return [history for history in told.values() if history]


def _choose(groups: Sequence[Group], chance: random.Random) -> list[tuple[Group, Call]]:
    """Return a call and its group; of a batch that crosses groups, its parts."""
    group = chance.choice(groups)
    call = choose_call(group, chance)
    if not isinstance(call, Resolve) or len(groups) == 1 or chance.random() >= CROSSING:
        return [(group, call)]
    other = chance.choice([one for one in groups if one is not group])
    return [(group, call), (other, Resolve((chance.choice(other.records),)))]


def _joined(parts: Sequence[Call]) -> Call:
    batches = [part.records for part in parts if isinstance(part, Resolve)]
    return Resolve(tuple(record for batch in batches for record in batch)) if batches else parts[0]


def _apart(
    parts: Sequence[tuple[Group, Call]], answer: Answer | None
) -> Iterator[tuple[Group, Call, Answer | None]]:
    """Yield each part with what was said of it."""
    begin = 0
    for group, part in parts:
        if isinstance(part, Resolve) and isinstance(answer, Resolved):
            end = begin + len(part.records)
            yield group, part, Resolved(answer.entities[begin:end])
            begin = end
        else:
            yield group, part, answer


@asynccontextmanager
async def checked_histories(
    service: Service, model: IdentityModel, seeds: Iterable[int], run: str, load: Load
) -> AsyncIterator[AsyncIterator[Checked]]:
    """Record and check one tenant for each seed, several at once; yields the histories as they come.

    Args:
        run: sets the tenants of this run apart from those of others in the same database.
    """
    send, receive = anyio.create_memory_object_stream[Checked](0)
    todo, ended = iter(seeds), anyio.Event()

    async def worker(out: MemoryObjectSendStream[Checked]) -> None:
        async with out:
            for seed in todo:
                if ended.is_set():
                    return
                tenant = f"{run}-{seed}"
                for number, history in enumerate(await record_tenant(service, tenant, seed, load)):
                    source = f"tenant {tenant}, seed {seed}, part {number}"
                    await out.send(Checked(source, history, check(model, history)))

    async with anyio.create_task_group() as tasks, receive:
        async with send:
            for _ in range(TENANTS_AT_ONCE):
                tasks.start_soon(worker, send.clone())
        yield receive
        ended.set()
        async for (
            _
        ) in receive:  # tenants under way are left to end, unchecked: nothing is cancelled in mid-call
            continue


def overlaps(history: History) -> int:
    """Count the pairs of calls that were under way at one moment: what makes a history worth checking."""
    return sum(
        left.called < right.returned and right.called < left.returned
        for place, left in enumerate(history)
        for right in history[:place]
    )
