"""What a batch of the projector loads and writes in Postgres, in one round trip each, under the shards' fences."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import pytest
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.kernel.pg.pool import open_pool
from headwater.policy.survivorship import Chosen
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.projecting import Effect, Mark, Workspace
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.ports import StoreRaced
from headwater.sync.store.projection import PostgresProjections

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

pytestmark = pytest.mark.anyio

LEASE: Final = Lease("shard/0", 3)
ANN: Final = RecordKey(TENANT, "contact", "site", "ann")
BEN: Final = RecordKey(TENANT, "contact", "site", "ben")


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    """A migrated database with a lease that lasts."""
    async with await open_pool(migrated_database_url, application_name="test") as pool:
        await pool.execute(
            "insert into sync.lease (name, holder, fence, expire_time) values ($1, 'test', $2, $3)",
            LEASE.name, LEASE.fence, dt.datetime(2100, 1, 1, tzinfo=dt.UTC),
        )  # fmt: skip
        yield pool


async def write(pool: Pool, record: RecordKey, entity_id: uuid.UUID, version: int = 1) -> None:
    """Project a record and its entity, with a mark, as the projector does."""
    value = Chosen("ann@x.io", "first", "site", key(9), NOON)
    entity = EntityState(TENANT, entity_id, "contact", version=version, fields={"email": value})
    event = LogEvent(TENANT, key(9), "site", "contact", "x", NOON, NOON, 1, "", b"", None, 0, Position(1, 1))
    workspace = Workspace(
        {},
        entities_changed={entity.key: entity},
        records_changed={record: RecordState(record, entity_id, fresh=True)},
        marks={(TENANT, "crm", entity_id): Mark(TENANT, "crm", entity_id, "contact", version, event, Lane.LIVE)},
    )  # fmt: skip
    async with PostgresProjections(pool).transaction([LEASE]) as unit:
        await unit.load({record: entity_id}, {})
        await unit.write_workspace(workspace, {})
        await unit.move_cursors({0: Position(7, version)})


async def test_a_batch_loads_what_was_written_before(pool: Pool) -> None:
    """The entity and its record come back, the delivery is due, the position has moved."""
    await write(pool, ANN, key(1))
    async with PostgresProjections(pool).transaction([LEASE]) as unit:
        loaded = await unit.load({ANN: key(1)}, {})
    assert [(item.entity_id, item.version) for item in loaded.entities] == [(key(1), 1)]
    assert loaded.entities[0].fields["email"].value == "ann@x.io"
    assert [item.key for item in loaded.members] == [ANN]
    assert await pool.fetchval("select entity_id from sync.due") == key(1)
    assert await pool.fetchval("select seq from sync.shard_cursor where shard = 0") == 1


async def test_a_record_stays_where_it_is_whatever_identity_names(pool: Pool) -> None:
    """Its entity is loaded and locked, not the one that identity would give it; unknown ones get room."""
    await write(pool, ANN, key(1))
    async with PostgresProjections(pool).transaction([LEASE]) as unit:
        loaded = await unit.load({ANN: key(2), BEN: key(3)}, {(TENANT, key(4)): "contact"})
    versions = {item.entity_id: item.version for item in loaded.entities}
    assert versions == {key(1): 1, key(3): 0, key(4): 0}
    assert loaded.moved == {}


async def test_a_record_without_an_entity_is_passed_over(pool: Pool) -> None:
    """What identity left unplaced, and nobody has projected, loads nothing."""
    async with PostgresProjections(pool).transaction([LEASE]) as unit:
        loaded = await unit.load({ANN: None}, {})
    assert (loaded.entities, loaded.members, loaded.moved) == ([], [], {})


async def test_a_lost_fence_loads_nothing(pool: Pool) -> None:
    """The first statement of a batch says whose shard it is."""
    lost = Lease(LEASE.name, LEASE.fence - 1)
    with pytest.raises(FenceLost) as told:
        async with PostgresProjections(pool).transaction([lost]) as unit:
            await unit.load({ANN: key(1)}, {})
    assert list(told.value.names) == [LEASE.name]
    assert await pool.fetchval("select count(*) from sync.entity") == 0


async def test_a_lost_fence_undoes_a_batch_that_loaded_nothing(pool: Pool) -> None:
    """Without the loading, the fence is looked at before the commit at the latest."""
    lost = Lease(LEASE.name, LEASE.fence - 1)
    with pytest.raises(FenceLost):
        async with PostgresProjections(pool).transaction([lost]) as unit:
            await unit.lock_entities({(TENANT, key(1)): "contact"})
    assert await pool.fetchval("select count(*) from sync.entity") == 0


async def test_a_batch_loads_the_changes_of_identity_that_count(pool: Pool) -> None:
    """As of which change a record is where it is, and which one ended an entity, come back as they were written."""
    workspace = Workspace({})
    workspace.records_changed[ANN] = RecordState(ANN, key(1), home_seq=7, fresh=True)
    entity = EntityState(TENANT, key(1), "contact", "merged", key(2), state_seq=9)
    workspace.entities_changed[entity.key] = entity
    async with PostgresProjections(pool).transaction([LEASE]) as unit:
        await unit.lock_entities({entity.key: "contact", (TENANT, key(2)): "contact"})
        await unit.write_workspace(workspace, {})
        await unit.move_cursors({0: Position(1, 1)})
    async with PostgresProjections(pool).transaction([LEASE]) as unit:
        loaded = await unit.load({ANN: None}, {})
        again = await unit.lock_entities({entity.key: "contact"})
        members = await unit.read_members([entity.key])
    assert [(item.home_seq, item.fresh) for item in (*loaded.members, *members)] == [(7, False)] * 2
    assert [item.state_seq for item in (*loaded.entities, *again)] == [9, 9]


async def test_a_record_that_another_batch_placed_meanwhile_is_not_placed_twice(pool: Pool) -> None:
    """Both had not seen it, in different entities: the later one has lost a race, and looks again."""
    await write(pool, ANN, key(1))
    with pytest.raises(StoreRaced):
        await write(pool, ANN, key(2), version=2)
    assert await pool.fetchval("select entity_id from sync.record") == key(1)
    assert await pool.fetchval("select seq from sync.shard_cursor where shard = 0") == 1


@pytest.mark.parametrize("differing", [False, True], ids=["alike", "differing"])
async def test_a_column_in_which_all_is_alike_is_stored_as_if_it_were_sent_in_full(
    pool: Pool, *, differing: bool
) -> None:
    """Of records, entities, marks and ends alike, nulls among them."""
    numbers = range(3)
    others = [bool(number) and differing for number in numbers]
    value = Chosen("ann@x.io", "first", "site", key(9), NOON)
    records = {RecordKey(TENANT, "contact", "site", f"r{number}"): key(100 + number) for number in numbers}
    events = [
        LogEvent(TENANT, key(200 + number), "site", "contact", f"r{number}", NOON, NOON, 1, "", b"", None, 0,
                 Position(7, number))
        for number in numbers
    ]  # fmt: skip
    workspace = Workspace({})
    for record, event, other in zip(records, events, others, strict=True):
        entity_id = records[record]
        version = 2 if other else 1
        workspace.records_changed[record] = RecordState(
            record, entity_id, {}, other, NOON if other else None, fresh=True
        )
        workspace.entities_changed[TENANT, entity_id] = EntityState(
            TENANT, entity_id, "contact", state="deleted" if other else "active", version=version,
            fields={"email": value},
        )  # fmt: skip
        lane = Lane.BACKFILL if other else Lane.LIVE
        workspace.marks[TENANT, "crm", entity_id] = Mark(
            TENANT, "crm", entity_id, "contact", version, event, lane
        )
    effects = [
        Effect(event, "stale" if other else "projected", ((TENANT, entity_id),), (1,))
        for event, other, entity_id in zip(events, others, records.values(), strict=True)
    ]
    async with PostgresProjections(pool).transaction([LEASE]) as unit:
        await unit.load(dict(records), {})
        await unit.write_workspace(workspace, {})
        await unit.write_effects(effects, {})
        await unit.move_cursors({0: Position(7, 2)})
    stored = await pool.fetch(
        "select r.deleted, r.delete_time is not null as dated, e.state, e.version, d.desired_version, u.lane, p.rule,"
        " e.merged_into, p.superseded"
        " from sync.record as r join sync.entity as e using (tenant_id, entity_id)"
        " join sync.delivery as d using (tenant_id, entity_id) join sync.due as u using (tenant_id, entity_id)"
        " join sync.projection as p on p.event_key = d.event_key order by r.external_id"
    )
    assert [tuple(row) for row in stored] == [
        (True, True, "deleted", 2, 2, Lane.BACKFILL, "stale", None, True)
        if other
        else (False, False, "active", 1, 1, Lane.LIVE, "projected", None, False)
        for other in others
    ]
