"""Everything that is known of an entity, in one snapshot of Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.provenance import Actor, Known
from headwater.sync.domain.states import RecordState
from headwater.sync.domain.workbench import Standing
from headwater.sync.store.faults import reaching
from headwater.sync.store.staging import read_in_force
from headwater.sync.store.versions import read_entity, read_member
from headwater.sync.store.workbench import standings

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "provenance.sql")
_MEMBERS: Final = queries.load("headwater.sync", "policy.sql")["members_of"]
_ERRORS: Final = queries.load("headwater.sync", "errors.sql")

HOPS_MAX: Final = 32
"""Longest chain of merges that is followed; as in projecting."""
EVENTS_MAX: Final = 300
"""Events whose actors are looked up, the newest first: each is a look-up of its own."""


class PostgresProvenance:
    """Port `ProvenanceStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, tenant_id: str, subject: uuid.UUID | RecordKey) -> Known | None:
        """Return what is known of an entity, named by itself or by a record; None when nothing is."""
        async with (
            reaching(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            chain = await _chain(connection, tenant_id, subject)
            return await _known(connection, tenant_id, chain) if chain else None


async def _chain(
    connection: Connection, tenant_id: str, subject: uuid.UUID | RecordKey
) -> tuple[uuid.UUID, ...]:
    entity_id: uuid.UUID | None
    if isinstance(subject, RecordKey):
        named = (subject.object, subject.source, subject.external_id)
        entity_id = await connection.fetchval(_SQL["entity_of_record"].text, tenant_id, *named)
    else:
        entity_id = subject
    rows = await connection.fetch(_SQL["follow_entity"].text, tenant_id, entity_id, HOPS_MAX)
    return tuple(row["entity_id"] for row in rows)


async def _known(connection: Connection, tenant_id: str, chain: Sequence[uuid.UUID]) -> Known:
    entity_id = chain[-1]
    row = await connection.fetchrow(_SQL["read_whole_entity"].text, tenant_id, entity_id)
    members = [read_member(item) for item in await connection.fetch(_MEMBERS.text, tenant_id, [entity_id])]
    in_force = await read_in_force(connection, tenant_id)
    staged = in_force.staged
    of_stage = staged is not None and staged.share.holds(entity_id)
    return Known(
        entity=read_entity(tenant_id, row),
        former=tuple(chain[:-1]),
        members=members,
        standings=await _standings(connection, tenant_id, entity_id),
        actors=await _actors(connection, tenant_id, members),
        policy=staged.text if staged is not None and of_stage else in_force.text,
    )


async def _standings(connection: Connection, tenant_id: str, entity_id: uuid.UUID) -> tuple[Standing, ...]:
    found: tuple[Standing, ...] = ()
    for row in await connection.fetch(_SQL["accounts_of_entity"].text, tenant_id, entity_id):
        place = (tenant_id, row["connector"])
        rows = await connection.fetch(_ERRORS["read_standing"].text, *place, [entity_id])
        linked = await connection.fetch(_ERRORS["read_references"].text, *place, [entity_id])
        found += standings(*place, rows, linked)
    return found


async def _actors(
    connection: Connection, tenant_id: str, members: Sequence[RecordState]
) -> dict[uuid.UUID, Actor]:
    told = {fact.event_key: fact.field_time for member in members for fact in member.fields.values()}
    keys = sorted(told, key=lambda key: told[key], reverse=True)[:EVENTS_MAX]
    rows = await connection.fetch(_SQL["event_actors"].text, tenant_id, keys)
    return {
        row["event_key"]: Actor(row["actor_type"], row["actor_id"], row["actor_name"], row["record_time"])
        for row in rows
    }
