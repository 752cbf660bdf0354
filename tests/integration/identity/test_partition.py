"""Groups over real-looking records: any order, any batches, any number of resolvers end in the same ones."""

from __future__ import annotations

import csv
import os
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from tests.integration.identity.conftest import Client, record

from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.memory import Keyed, Memory
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.identifying import identify
from headwater.identity.domain.records import RecordRef, record_id_of
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.v1 import identity_pb2 as pb
from headwater.kernel.ids import TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

FIELDS = (
    "first_name",
    "last_name",
    "email",
    "phone",
    "linkedin_url",
    "company",
    "website",
    "city",
    "country",
)
RECORDS = 300
Groups = frozenset[frozenset[str]]


def _shared() -> Path:
    if named := os.environ.get("HEADWATER_SHARED"):
        return Path(named)
    return next(p / "shared" for p in Path(__file__).resolve().parents if (p / "shared").is_dir())


@pytest.fixture(scope="module")
def records() -> Sequence[pb.ResolveRecord]:
    """Contacts of a synthetic CRM, all records of a person together: a hundred people or so."""
    path = _shared() / "data" / "er" / "crm_synth_dev" / "records.csv"
    people: dict[str, list[pb.ResolveRecord]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            told: dict[str, Any] = {name: row[name] for name in FIELDS if row[name]}
            people[row["cluster_id"]].append(record(row["rec_id"], source=row["source"], **told))
    several = [one for one in people.values() if len(one) > 1]
    return [one for person in several for one in person][:RECORDS]


def _streamed(tenant: str, records: Iterable[pb.ResolveRecord]) -> Groups:
    """Return the groups of the driver in memory."""
    stream = Stream(Memory(shipped("contact"), Rules()))
    name_of: dict[str, str] = {}
    for one in records:
        ref = RecordRef(one.record.source, one.record.object, one.record.external_id)
        told = identify("contact", one.attributes)
        record_id = record_id_of(TenantId(tenant), ref)
        name_of[record_id] = ref.external_id
        stream.resolve(Keyed(record_id, told.parts, told.keys))
    return frozenset(frozenset(name_of[one] for one in group) for group in stream.groups())


async def _stored(database_url: str, tenant: str, column: str) -> Groups:
    """Return the records that have the same entity, or the same group."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT external_id, entity_id, group_id FROM identity.member WHERE tenant_id = $1", tenant
    )
    await connection.close()
    found: dict[uuid.UUID, set[str]] = defaultdict(set)
    for row in rows:
        found[row[column]].add(row["external_id"])
    return frozenset(frozenset(group) for group in found.values())


async def _send(
    identity: Client, records: Sequence[pb.ResolveRecord], tenant: str, chance: random.Random
) -> None:
    rest = list(records)
    while rest:
        size = chance.choice((1, 2, 7, 40))
        await identity.resolve(*rest[:size], tenant=tenant)
        del rest[:size]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_groups_are_those_of_the_driver_in_memory(
    identity: Client, migrated_database_url: str, records: Sequence[pb.ResolveRecord], seed: int
) -> None:
    """Three orders of arrival in batches of any size: the same groups, and every entity within one."""
    chance = random.Random(seed)
    arriving = list(records)
    chance.shuffle(arriving)
    await _send(identity, arriving, "acme", chance)
    groups = await _stored(migrated_database_url, "acme", "group_id")
    assert groups == _streamed("acme", records)
    entities = await _stored(migrated_database_url, "acme", "entity_id")
    assert all(any(entity <= group for group in groups) for entity in entities)
    assert len(groups) < len(entities) < len(records)


async def test_concurrent_resolvers_end_in_the_groups_of_one(
    identity: Client, migrated_database_url: str, records: Sequence[pb.ResolveRecord]
) -> None:
    """Eight resolvers, each with every eighth record: the same groups, and each exclusive key with an entity that has it."""

    async def bring(number: int) -> None:
        await _send(identity, records[number::8], "acme", random.Random(number))

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(bring, number)
    assert await _stored(migrated_database_url, "acme", "group_id") == _streamed("acme", records)
    connection = await asyncpg.connect(migrated_database_url)
    strays = await connection.fetch(
        """
        SELECT x.hash FROM identity.exclusive_key AS x
        WHERE NOT EXISTS (
            SELECT 1 FROM identity.member AS m
            WHERE m.tenant_id = x.tenant_id AND m.entity_id = x.entity_id AND x.hash = ANY(m.keys[1:m.exclusive])
        )
        """
    )
    await connection.close()
    assert not strays
