"""An operator's correction from ingest's door to the entity, through a merge and back."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest
from tests.integration.sync.whole import TENANT, Doors, doors, event, looking, policy_event, syncing, until
from tests.integration.sync.world import ACTOR, refusal

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

NOBODY = "0198c0de-0000-7000-8000-000000000000"


def correction(entity_id: uuid.UUID, time_s: float, **fields: Any) -> event_pb2.Event:
    """Return an operator's correction of a contact."""
    said = event("operator", "contact", str(entity_id), time_s, **fields)
    said.actor.CopyFrom(ACTOR)
    return said


async def title_of(connection: Any, entity_id: uuid.UUID) -> Any:
    """Return title, its rule and the state of an entity."""
    row = await connection.fetchrow("select fields, state from sync.entity where entity_id = $1", entity_id)
    value = row["fields"].get("title", [None, None])
    return value[0], value[1], row["state"]


async def entity_of(connection: Any, external_id: str) -> uuid.UUID | None:
    """Return the entity that holds a record of the ERP."""
    found: uuid.UUID | None = await connection.fetchval(
        "select entity_id from sync.record where source = 'erp' and external_id = $1", external_id
    )
    return found


async def test_a_correction_stands_through_a_merge_and_a_split(migrated_database_url: str) -> None:
    """It is an event of the log: it wins over its sources, goes to the winner, and comes back."""
    async with (
        doors(migrated_database_url) as ways,
        syncing(migrated_database_url, ways.identity_address),
        looking(migrated_database_url) as connection,
    ):
        ada, bob, eve = await three_people(ways, connection)
        (outcome,) = await ways.record([correction(bob, 5, title="Chair")])
        assert outcome.disposition == ingest_pb2.DISPOSITION_ACCEPTED
        await until(lambda: shows(connection, bob, ("Chair", "operator", "active")))
        first = await merge(ways, ada, bob)
        await until(lambda: shows(connection, ada, ("Chair", "operator", "active")))
        second = await merge(ways, eve, ada)
        await until(lambda: shows(connection, eve, ("Chair", "operator", "active")))
        await split(ways, second)
        await until(lambda: shows(connection, ada, ("Chair", "operator", "active")))
        assert await title_of(connection, eve) == ("CEO", "most_recent", "active")
        await split(ways, first)
        await until(lambda: shows(connection, bob, ("Chair", "operator", "active")))
        assert await title_of(connection, ada) == ("CTO", "most_recent", "active")
        await ways.record([correction(bob, 9, title=None)])
        await until(lambda: shows(connection, bob, ("CFO", "most_recent", "active")))


async def merge(ways: Doors, winner: uuid.UUID, loser: uuid.UUID) -> str:
    """Merge two entities; return the merge."""
    order = identity_pb2.MergeRequest(
        tenant_id=TENANT, winner_entity_id=str(winner), loser_entity_id=str(loser), actor=ACTOR
    )
    return (await ways.identity.Merge(order, timeout=15)).merge_id


async def split(ways: Doors, merge_id: str) -> None:
    """Undo a merge."""
    order = identity_pb2.SplitRequest(tenant_id=TENANT, merge_id=merge_id, actor=ACTOR)
    await ways.identity.Split(order, timeout=15)


async def three_people(ways: Doors, connection: Any) -> list[uuid.UUID]:
    """Record three contacts who have nothing in common; return their entities."""
    await ways.record([policy_event("http://127.0.0.1:1")])
    await ways.record(
        [
            event("erp", "contact", "1", email="ada@one.example", last_name="Lovelace", title="CTO"),
            event("erp", "contact", "2", email="bob@two.example", last_name="Babbage", title="CFO"),
            event("erp", "contact", "3", email="eve@three.example", last_name="Hopper", title="CEO"),
        ]
    )
    found: list[uuid.UUID] = []

    async def all_there() -> bool:
        entities = [await entity_of(connection, number) for number in ("1", "2", "3")]
        found[:] = [item for item in entities if item is not None]
        return len(found) == len(entities)

    await until(all_there)
    return found


async def shows(connection: Any, entity_id: uuid.UUID, expected: tuple[Any, ...]) -> bool:
    """Say whether an entity has this title, by this rule, in this state."""
    return bool(await title_of(connection, entity_id) == expected)


@pytest.mark.parametrize(
    ("fields", "entity", "actor", "rule"),
    [
        ({"nickname": "x"}, NOBODY, ACTOR, "known_field"),
        ({"email": "no address"}, NOBODY, ACTOR, "format.email"),
        ({"title": "CTO"}, "not-an-entity", ACTOR, "format.uuid"),
        ({"title": "CTO"}, NOBODY, event_pb2.Actor(), "required"),
    ],
)
async def test_a_bad_correction_is_refused_at_the_door(
    migrated_database_url: str, fields: dict[str, str], entity: str, actor: event_pb2.Actor, rule: str
) -> None:
    """A person waits for the answer, so nothing of it is quarantined."""
    async with doors(migrated_database_url) as ways:
        await ways.record([policy_event("http://127.0.0.1:1")])
        said = event("operator", "contact", entity, 5, **fields)
        said.actor.CopyFrom(actor)
        request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=said)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ways.ingest.RecordEvent(request, timeout=15)
        code, reason, _ = refusal(caught.value)
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CONTRACT_BROKEN")
        assert rule in str(caught.value.trailing_metadata())
