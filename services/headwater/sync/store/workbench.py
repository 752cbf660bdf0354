"""Groups of errors and deliveries as they stand, in Postgres; read only."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from headwater.kernel.ids import ObjectName
from headwater.kernel.pg import queries
from headwater.sync.domain.delivering import Claimed, ReferenceState
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.operating import Delivery
from headwater.sync.domain.rows import plain_values
from headwater.sync.domain.settling import State
from headwater.sync.domain.workbench import ErrorGroup, GroupFilter, GroupPlace, Standing
from headwater.sync.store.faults import reaching

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "errors.sql")
_DELIVERY: Final = (
    "object",
    "entity_id",
    "desired_version",
    "delivered_version",
    "crm_id",
    "failure_count",
    "due_time",
    "last_error_class",
    "last_error",
    "event_key",
    "settle_time",
)


class PostgresWorkbench:
    """Port `WorkbenchStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list_groups(
        self, tenant_id: str, wanted: GroupFilter, before: GroupPlace, limit: int
    ) -> tuple[ErrorGroup, ...]:
        """Return up to *limit* groups that failed last before *before*, the newest first."""
        rows = await self._fetch("list_groups", tenant_id, *before, wanted.connector, wanted.state, limit)
        return tuple(_group(row) for row in rows)

    async def read_group(self, tenant_id: str, group_id: uuid.UUID) -> ErrorGroup | None:
        """Return one group; None when there is none."""
        rows = await self._fetch("read_group", tenant_id, group_id)
        return _group(rows[0]) if rows else None

    async def list_group_deliveries(
        self, tenant_id: str, group_id: uuid.UUID, after: uuid.UUID, limit: int
    ) -> tuple[Delivery, ...]:
        """Return up to *limit* deliveries that stand in a group, behind entity *after*."""
        rows = await self._fetch("list_group_deliveries", tenant_id, group_id, after, limit)
        return tuple(Delivery(**row) for row in rows)

    async def read_standing(
        self, tenant_id: str, connector: str, entities: Sequence[uuid.UUID]
    ) -> tuple[Standing, ...]:
        """Return the deliveries of *entities* as they stand, by entity."""
        async with (
            reaching(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await connection.fetch(_SQL["read_standing"].text, tenant_id, connector, entities)
            linked = await connection.fetch(_SQL["read_references"].text, tenant_id, connector, entities)
        return standings(tenant_id, connector, rows, linked)

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        async with reaching():
            rows: list[Any] = await self._pool.fetch(_SQL[name].text, *arguments)
        return rows


def standings(
    tenant_id: str, connector: str, rows: Sequence[Any], linked: Sequence[Any]
) -> tuple[Standing, ...]:
    """Return rows of deliveries, with the rows of what they refer to, in the domain's words."""
    references: dict[uuid.UUID, tuple[ReferenceState, ...]] = {}
    for row in linked:
        state = ReferenceState(row["field"], row["to_entity_id"], row["crm_id"], row["coming"])
        held = references.get(row["from_entity_id"], ())
        references[row["from_entity_id"]] = (*held, state)
    return tuple(_standing(tenant_id, connector, row, references.get(row["entity_id"], ())) for row in rows)


def _group(row: Any) -> ErrorGroup:
    return ErrorGroup(**{**dict(row), "sample_entity_ids": tuple(row["sample_entity_ids"])})


def _standing(tenant_id: str, connector: str, row: Any, references: tuple[ReferenceState, ...]) -> Standing:
    ended_unseen = row["state"] != "active" and not row["crm_id"]
    claimed = Claimed(
        tenant_id=tenant_id,
        connector=connector,
        entity_id=row["entity_id"],
        object=cast("ObjectName", row["object"]),
        state=row["state"],
        merged_into=row["merged_into"],
        version=row["version"],
        values=plain_values(row["fields"]),
        crm_object=row["crm_object"],
        crm_id=row["crm_id"],
        known=row["known"],
        failure_count=row["failure_count"],
        in_doubt=row["in_doubt"] or row["delivery_state"] == State.IN_DOUBT or ended_unseen,
        waited_s=0.0,
        event_key=row["event_key"],
        mark_time=row["mark_time"],
        dirty_time=row["dirty_time"],
        trace=None,
        last_trace=None,
        tries_before=row["try_count"],
        lane=Lane.RETRY,
        due_time=row["due_time"] or row["mark_time"],
        delivered_version=row["delivered_version"],
        references=references,
    )
    facts = {name: row[name] for name in _DELIVERY}
    return Standing(Delivery(connector=connector, state=row["delivery_state"], **facts), claimed)
