"""Many resolvers bring a crowd of records at once; what became of them is read back through the use cases."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import asyncpg
from tests.identity_histories.crowds import Crowd, Findings, Home, Record, judge
from tests.identity_histories.services import CALL_S, InProcess

from headwater.identity.domain.records import RecordRef
from headwater.identity.usecases.resolve import RecordToResolve
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import EventKey, TenantId

RESOLVERS: Final = 64
BATCH_MAX: Final = 12
TWICE: Final = 0.1
"""Share of batches that two resolvers bring."""
IN_PIECES: Final = 0.1
"""Share of batches that are brought without their profiles before: known records learn an exclusive key."""
TRIES_MAX: Final = 5
PAGE: Final = 500
_EVENTS: Final = uuid.UUID("0d5b3b54-0a55-4b0b-8d3e-6f3f7a0e5d29")


@dataclass(frozen=True, slots=True)
class Crowded:
    """What a crowd came to.

    Args:
        entities: in the end; at least as many as there are people, where the keys tell. groups: of linked records.
        refused: batches that the database refused at first and that were brought again.
    """

    findings: Findings
    records: int
    duplicates: int
    entities: int
    groups: int
    candidates: int
    refused: int
    seconds: float

    def line(self) -> str:
        """Return it as one line."""
        found = self.findings
        return (
            f"{self.records:,} records ({self.duplicates:,} of people seen before) by {RESOLVERS} resolvers in "
            f"{self.seconds:.1f} s: {self.entities:,} entities, {self.groups:,} groups, "
            f"{self.candidates:,} candidates, "
            f"{self.refused} batches refused at first; duplicates: {len(found.profiles)} profiles, "
            f"{len(found.doubled)} people, {len(found.apart)} keys apart; "
            f"{len(found.strays)} entities astride groups, {len(found.groups)} records in other groups"
        )


async def resolve_crowd(service: InProcess, tenant: str, crowd: Crowd, seed: int) -> Crowded:
    """Deal the crowd out to the resolvers, let them work at once, and judge the end."""
    tenant_id, began, refused = TenantId(tenant), time.monotonic(), 0
    todo = iter(_batches(crowd.records, random.Random(seed)))

    async def resolver() -> None:
        nonlocal refused
        for batch in todo:
            refused += await _bring(service, tenant_id, batch)

    async with anyio.create_task_group() as tasks:
        for _ in range(RESOLVERS):
            tasks.start_soon(resolver)
    seconds = time.monotonic() - began
    homes = await _homes(service, tenant_id, crowd.records)
    candidates = await _candidates(service, tenant_id)
    found = judge(crowd.records, homes, candidates)
    return Crowded(
        found,
        len(crowd.records),
        crowd.duplicates,
        len({home.entity for home in homes.values()}),
        len({home.group for home in homes.values()}),
        len(candidates),
        refused,
        seconds,
    )


def _batches(records: Sequence[Record], chance: random.Random) -> Iterator[Sequence[Record]]:
    """Yield neighbours in small batches, each shuffled; some twice, some in pieces."""
    begin = 0
    while begin < len(records):
        size = chance.randint(1, BATCH_MAX)
        batch = list(records[begin : begin + size])
        begin += size
        chance.shuffle(batch)
        if chance.random() < IN_PIECES:
            yield [one.at_first() for one in batch]
        yield batch
        if chance.random() < TWICE:
            yield batch[::-1]


async def _bring(service: InProcess, tenant_id: TenantId, batch: Sequence[Record]) -> int:
    """Resolve a batch, again when the database refused it; return how often it did.

    Raises:
        AssertionError: it was refused too often.
    """
    for refused in range(TRIES_MAX):
        try:
            await service.replica.resolver.resolve(tenant_id, [_to_resolve(one) for one in batch], CALL_S)
        except (Unavailable, asyncpg.UniqueViolationError):
            continue
        return refused
    raise AssertionError(f"a batch was refused {TRIES_MAX} times")


def _to_resolve(record: Record) -> RecordToResolve:
    ref = RecordRef(record.source, "contact", record.external_id)
    return RecordToResolve(ref, EventKey(uuid.uuid5(_EVENTS, record.external_id)), record.attributes)


async def _homes(service: InProcess, tenant_id: TenantId, records: Sequence[Record]) -> dict[str, Home]:
    homes: dict[str, Home] = {}
    for begin in range(0, len(records), PAGE):
        batch = records[begin : begin + PAGE]
        found = await service.replica.resolver.resolve(tenant_id, [_to_resolve(one) for one in batch], CALL_S)
        homes |= {
            one.external_id: Home(str(is_in.entity_id), str(is_in.group_id))
            for one, is_in in zip(batch, found, strict=True)
        }
    return homes


async def _candidates(service: InProcess, tenant_id: TenantId) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    after: int | None = 0
    while after is not None:
        page, after = await service.replica.questions.list_candidates(tenant_id, after, PAGE)
        found += [(str(one.entity_id), str(one.other_entity_id)) for one in page]
    return found
