"""What operators read and order, in Postgres: every read one snapshot, every order one transaction."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.domain import breaker
from headwater.sync.domain.operating import (
    STOPPED,
    AccountFacts,
    Attempt,
    AuditEntry,
    Delivery,
    DeliveryFilter,
    DeliveryPlace,
    Entity,
    Fate,
    Latency,
    Status,
    Steering,
)
from headwater.sync.domain.rows import unpack_values
from headwater.sync.domain.standing import Books
from headwater.sync.store import limits
from headwater.sync.store.faults import reaching

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "operations.sql")
_PARKED = queries.load("headwater.sync", "parked.sql")
_NOTIFY = queries.load("headwater.sync", "projection.sql")["notify_deliveries"]

ROWS_MAX: Final = 1_000
"""Deliveries, attempts and audit entries of one event or entity, each, at most."""
AUDIT_ID_MAX: Final = 2**63 - 1
XID_MAX: Final = 2**63 - 1
_FIRST_ENTITY: Final = uuid.UUID(int=0)
_LAST_CONNECTOR: Final = "~"
"""Sorts behind every name of a connector account (policy: a letter, then `[a-z0-9_.-]`)."""


class PostgresOperations:
    """Port `OperationsStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        async with (
            reaching(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        return await self._query(_SQL[name].text, *arguments)

    async def _query(self, statement: str, *arguments: Any) -> list[Any]:
        async with reaching():
            rows: list[Any] = await self._pool.fetch(statement, *arguments)
        return rows

    async def read_status(self, tenant_id: str) -> Status:
        """Count everything a tenant has."""
        async with self._snapshot() as connection:
            projections = await connection.fetch(_SQL["count_projections"].text, tenant_id)
            accepted = await connection.fetchval(_SQL["count_accepted"].text, tenant_id)
            (parked,) = await connection.fetch(_PARKED["count_parked"].text, tenant_id)
            entities = await connection.fetch(_SQL["count_entities"].text, tenant_id)
            records = await connection.fetch(_SQL["count_records"].text, tenant_id)
            deliveries = await connection.fetch(_SQL["count_deliveries"].text, tenant_id)
            latencies = await connection.fetch(_SQL["measure_latencies"].text, tenant_id)
        seen = sum(row["events"] for row in projections)
        poisoned = sum(row["events"] for row in projections if row["poisoned"])
        superseded = {row["rule"]: row["events"] for row in projections if row["superseded"]}
        return Status(
            events_projected=seen - poisoned - sum(superseded.values()),
            events_poisoned=poisoned,
            events_waiting=max(0, accepted - seen - parked["events"]),
            events_parked=parked["events"],
            parked_reason=parked["reason"],
            superseded=superseded,
            entities={row["object"]: row["entities"] for row in entities},
            records={row["object"]: row["records"] for row in records},
            deliveries={
                (row["connector"], row["object"], row["state"]): row["deliveries"] for row in deliveries
            },
            latencies=tuple(Latency(*row) for row in latencies),
        )

    async def read_fate(self, tenant_id: str, event_key: uuid.UUID) -> Fate | None:
        """Return what became of an event; None while the projector has not seen it."""
        async with self._snapshot() as connection:
            row = await connection.fetchrow(_SQL["read_projection"].text, tenant_id, event_key)
            if row is None:
                return None
            entities, versions = row["entity_ids"], row["versions"]
            deliveries = await self._deliveries(connection, tenant_id, entities)
            attempts = await connection.fetch(
                _SQL["read_attempts_of_versions"].text, tenant_id, entities, versions, ROWS_MAX
            )
            audit = await connection.fetch(
                _SQL["list_event_audit"].text, tenant_id, AUDIT_ID_MAX, ROWS_MAX, event_key, None
            )
        return Fate(
            event_key=row["event_key"],
            rule=row["rule"],
            project_time=row["project_time"],
            entity_ids=tuple(entities),
            trace_id=row["trace_id"],
            deliveries=deliveries,
            attempts=tuple(Attempt(**row) for row in attempts),
            audit=tuple(_audit_entry(row) for row in reversed(audit)),
        )

    async def why_parked(self, tenant_id: str, event_key: uuid.UUID) -> str:
        """Return why an event is set aside; empty when it is not."""
        rows = await self._query(_PARKED["why_parked"].text, tenant_id, event_key)
        return rows[0]["reason"] if rows else ""

    async def read_entity(self, tenant_id: str, entity_id: uuid.UUID) -> Entity | None:
        """Return an entity with its deliveries; None when nothing of it is projected."""
        async with self._snapshot() as connection:
            row = await connection.fetchrow(_SQL["read_entity"].text, tenant_id, entity_id)
            if row is None:
                return None
            deliveries = await self._deliveries(connection, tenant_id, [entity_id])
        return Entity(
            entity_id=row["entity_id"],
            object=row["object"],
            state=row["state"],
            version=row["version"],
            merged_into=row["merged_into"],
            fields=unpack_values(row["fields"]),
            deliveries=deliveries,
        )

    async def _deliveries(
        self, connection: Connection, tenant_id: str, entities: Sequence[uuid.UUID]
    ) -> tuple[Delivery, ...]:
        rows = await connection.fetch(_SQL["read_deliveries_of_entities"].text, tenant_id, entities, ROWS_MAX)
        return tuple(Delivery(**row) for row in rows)

    async def list_deliveries(
        self, tenant_id: str, wanted: DeliveryFilter, after: DeliveryPlace | None, limit: int
    ) -> tuple[Delivery, ...]:
        """Return up to *limit* deliveries behind *after*, by connector and entity."""
        place = DeliveryPlace(wanted.connector, _FIRST_ENTITY)
        if after is not None and after.connector >= wanted.connector:
            place = after
        last = wanted.connector or _LAST_CONNECTOR
        arguments: list[Any] = [tenant_id, place.connector, place.entity_id, last, wanted.states, limit]
        if wanted.entity_id is not None:
            name = "list_entity_deliveries"
            arguments.append(wanted.entity_id)
        else:
            name = "list_stopped_deliveries" if STOPPED.issuperset(wanted.states) else "list_deliveries"
        return tuple(Delivery(**row) for row in await self._fetch(name, *arguments))

    async def list_audit(
        self,
        tenant_id: str,
        entity_id: uuid.UUID | None,
        event_key: uuid.UUID | None,
        below: tuple[int, int] | None,
        limit: int,
    ) -> tuple[AuditEntry, ...]:
        """Return up to *limit* entries before *below* (xid, audit id), newest first."""
        xid, audit_id = (XID_MAX, AUDIT_ID_MAX) if below is None else below
        arguments = [tenant_id, audit_id, limit]
        if event_key is not None:
            rows = await self._fetch("list_event_audit", *arguments, event_key, entity_id)
        elif entity_id is not None:
            rows = await self._fetch("list_entity_audit", *arguments, entity_id)
        else:
            rows = await self._fetch("list_audit", tenant_id, xid, audit_id, limit)
        return tuple(_audit_entry(row) for row in rows)

    async def read_accounts(
        self, tenant_id: str, connectors: Sequence[str], day: dt.date
    ) -> tuple[AccountFacts, ...]:
        """Return what is stored about each of *connectors*, by name; *day* is the quota's."""
        rows = await self._fetch("read_accounts", tenant_id, list(connectors), day)
        return tuple(
            AccountFacts(**{**dict(row), "breaker": breaker.from_json(row["breaker"])}) for row in rows
        )

    async def read_books(self, tenant_id: str, days: Mapping[str, dt.date]) -> Books:
        """Return the books of the limits of accounts; *days* has the vendor's day of each."""
        return await limits.read_books(self._pool, tenant_id, days)

    async def set_paused(self, order: Steering, *, paused: bool) -> bool:
        """Pause or resume an account; return whether that changed anything."""
        action = "connector_paused" if paused else "connector_resumed"
        change = {"field": "paused", "before": not paused, "after": paused, "rule": "operator"}
        async with self._ordering(order) as connection:
            row = await connection.fetchrow(_SQL["set_paused"].text, order.tenant_id, order.connector, paused)
            if row is not None:
                await _note(connection, order, action, change)
        return row is not None

    async def reset_breaker(self, order: Steering, reason: str = "") -> bool:
        """Close the breakers of an account; return whether that changed anything."""
        return await self._set_breaker(order, "breaker_reset", reason, "reset_breaker")

    async def force_breaker(self, order: Steering, forced: breaker.Forced) -> bool:
        """Put the breakers of an account under an operator's order; return whether that changed anything."""
        action = f"breaker_forced_{forced.mode}"
        return await self._set_breaker(order, action, forced.reason, "force_breaker", forced.as_json())

    async def _set_breaker(
        self, order: Steering, action: str, reason: str, query: str, *arguments: Any
    ) -> bool:
        async with self._ordering(order) as connection:
            row = await connection.fetchrow(_SQL[query].text, order.tenant_id, order.connector, *arguments)
            if row is not None:
                change = {
                    "field": "breaker",
                    "before": row["before"],
                    "after": row["after"],
                    "rule": "operator",
                }
                why = {"field": "reason", "before": None, "after": reason, "rule": "operator"}
                await _note(connection, order, action, change, *([why] if reason else []))
        return row is not None

    @asynccontextmanager
    async def _ordering(self, order: Steering) -> AsyncIterator[Connection]:
        async with self._transaction() as connection:
            await connection.execute(_SQL["make_connector_state"].text, order.tenant_id, order.connector)
            yield connection


async def _note(connection: Connection, order: Steering, action: str, *changes: dict[str, Any]) -> None:
    """Write the audit of an order that changed something, and wake the actors once it commits."""
    await connection.execute(
        _SQL["write_steering_audit"].text,
        order.tenant_id,
        order.connector,
        order.actor,
        order.policy_version,
        action,
        list(changes),
    )
    await connection.execute(_NOTIFY.text)


def _audit_entry(row: Any) -> AuditEntry:
    return AuditEntry(**{**dict(row), "changes": tuple(row["changes"])})
