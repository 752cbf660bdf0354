"""Versions of policies on Postgres: kept with the cursor, listed and looked ahead at for operators."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.kernel.pg import queries
from headwater.policy.loading import policy_digest
from headwater.policy.staging import read_staged
from headwater.sync.domain.foreseeing import EntityPage
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.renewing import Holding, PolicyVersion, RenewalState
from headwater.sync.domain.rows import unpack_facts, unpack_values
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.domain.workbench import Standing
from headwater.sync.store.faults import reaching
from headwater.sync.store.workbench import standings

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "policy.sql")
_ERRORS: Final = queries.load("headwater.sync", "errors.sql")
_ROLLOUT: Final = queries.load("headwater.sync", "rollout.sql")


async def note_versions(connection: Connection, events: Iterable[LogEvent]) -> None:
    """Keep the policies that the projector came by, in its transaction; those known already stay as they are."""
    for event in events:
        told = msgspec.json.decode(event.payload)
        text = str(told["document"])
        await connection.execute(
            _SQL["note_version"].text,
            event.tenant_id,
            event.event_key,
            *event.position,
            policy_digest(text),
            text,
            event.actor_id or event.source,
            event.record_time,
            told.get("staged"),
        )
        await connection.execute(_SQL["notify_versions"].text)


class PostgresVersions:
    """Port `VersionDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list_versions(self, tenant_id: str, before: Position, limit: int) -> tuple[PolicyVersion, ...]:
        """Return up to *limit* versions that came into force before *before*, the newest first."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["list_versions"].text, tenant_id, *before, limit)
        return tuple(read_version(row) for row in rows)

    async def text_in_force(self, tenant_id: str) -> str:
        """Return the text of the tenant's policy; empty when there is none."""
        async with reaching():
            payload = await self._pool.fetchval(_ROLLOUT["policy_in_force"].text, tenant_id)
        return _text(payload) if payload else ""

    async def count_entities(self, tenant_id: str) -> int:
        """Count the tenant's projected entities."""
        async with reaching():
            count: int = await self._pool.fetchval(_SQL["count_projected"].text, tenant_id)
        return count

    async def read_page(
        self, tenant_id: str, after: uuid.UUID, limit: int, stride: int, connectors: Sequence[str]
    ) -> EntityPage:
        """Return the next entities behind *after*, one of *stride* drawn by hash, with records and standings."""
        async with (
            reaching(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await read_entities(connection, tenant_id, after, limit, stride, connectors)


async def read_entities(
    connection: Connection, tenant_id: str, after: uuid.UUID, limit: int, stride: int,
    connectors: Sequence[str],
) -> EntityPage:  # fmt: skip
    """Return the next entities behind *after*, one of *stride* drawn by hash, with records and standings."""
    rows = await connection.fetch(_SQL["sample_entities"].text, tenant_id, after, limit, stride)
    entities = [row["entity_id"] for row in rows]
    return await _page(connection, tenant_id, rows, entities, connectors)


async def read_named(
    connection: Connection, tenant_id: str, entities: Sequence[uuid.UUID], connectors: Sequence[str]
) -> EntityPage:
    """Return these entities, with records and standings."""
    rows = await connection.fetch(_SQL["named_entities"].text, tenant_id, entities)
    return await _page(connection, tenant_id, rows, entities, connectors)


async def standing_of(
    connection: Connection, tenant_id: str, name: str, entities: Sequence[uuid.UUID]
) -> tuple[Standing, ...]:
    """Return entities as an account has them, those that it does not have among them."""
    standing = await connection.fetch(_SQL["standing_of"].text, tenant_id, name, entities)
    linked = await connection.fetch(_ERRORS["read_references"].text, tenant_id, name, entities)
    return standings(tenant_id, name, standing, linked)


async def _page(
    connection: Connection, tenant_id: str, rows: Sequence[Any], entities: Sequence[uuid.UUID],
    connectors: Sequence[str],
) -> EntityPage:  # fmt: skip
    members = await connection.fetch(_SQL["members_of"].text, tenant_id, entities)
    held = {name: await standing_of(connection, tenant_id, name, entities) for name in connectors}
    return EntityPage(
        [read_entity(tenant_id, row) for row in rows], [read_member(row) for row in members], held
    )


def read_version(row: Any) -> PolicyVersion:
    """Return a row of `sync.policy_version` in the domain's words."""
    return PolicyVersion(
        tenant_id=row["tenant_id"],
        event_key=row["event_key"],
        position=Position(row["xid"], row["seq"]),
        digest=row["digest"],
        document=row["document"],
        actor=row["actor"],
        record_time=row["record_time"],
        next_time=row["next_time"],
        version=row["version"],
        state=RenewalState(row["state"]),
        place=row["place_entity_id"],
        scanned=row["scanned_count"],
        changed=row["changed_count"],
        restated=row["restated_count"],
        late=row["late_count"],
        fields=row["field_counts"],
        deliveries=row["delivery_counts"],
        begin_time=row["begin_time"],
        settle_time=row["settle_time"],
        end_time=row["end_time"],
        reason=row["reason"],
        staged=read_staged(row["staged"]),
    )


def read_holding(row: Any) -> Holding:
    """Return which policy entities are under by a row of `sync.policy_version`, whose texts were left out."""
    told = row["staged"]
    if told is None:
        return Holding(row["digest"])
    staged = read_staged({**told, "document": "", "digest": policy_digest("")})
    return Holding(row["digest"], staged.share if staged else None, told["digest"])


def read_entity(tenant_id: str, row: Any) -> EntityState:
    """Return a row of `sync.entity` in the domain's words."""
    return EntityState(
        tenant_id,
        row["entity_id"],
        row["object"],
        row["state"],
        row["merged_into"],
        row["version"],
        unpack_values(row["fields"]),
        row["policy_version"],
    )


def read_member(row: Any) -> RecordState:
    """Return a row of `sync.record` in the domain's words."""
    key = RecordKey(row["tenant_id"], row["object"], row["source"], row["external_id"])
    return RecordState(key, row["entity_id"], unpack_facts(row["fields"]), row["deleted"], row["delete_time"])


def _text(payload: bytes) -> str:
    return str(msgspec.json.decode(payload)["document"])
