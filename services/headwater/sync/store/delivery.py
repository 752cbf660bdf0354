"""The delivery actors' tables: claim, settle, breaker and quota; every write under the account's fence."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from headwater.kernel.ids import ObjectName
from headwater.kernel.pg import queries
from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.breaker import BreakerState, from_json
from headwater.sync.domain.delivering import Claimed, ReferenceState
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.rows import plain_values
from headwater.sync.domain.settling import ConnectorState, Settlement, State
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "delivery.sql")


class PostgresDeliveries:
    """The tables of one connector account, as the actor of one lease may use them."""

    def __init__(self, pool: Pool, tenant_id: str, connector: str, lease: Lease) -> None:
        self._pool = pool
        self._tenant_id = tenant_id
        self._connector = connector
        self._lease = lease

    async def take_over(self) -> None:
        """Make sure that the account is ours: a claim of a lower fence is in doubt by its mark.

        Raises: FenceLost.
        """
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [self._lease])

    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Settle, then claim the slot's next deliveries.

        Raises: FenceLost, StoreRefused, StoreRaced.
        """
        if settlements:
            await self.settle(settlements)
        limit = sum(wanted.lanes.values())
        claimed = await self.claim(limit) if limit else []
        due_s = await self.next_due_s()
        waits = due_s is not None and due_s <= 0
        waiting = {lane: waits and lane is Lane.LIVE for lane in Lane}
        return Turn(tuple(claimed), await self.read_state(), due_s, waiting)

    async def claim(self, limit: int) -> list[Claimed]:
        """Claim up to *limit* due deliveries.

        Raises: FenceLost.
        """
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [self._lease])
            rows = await connection.fetch(
                _SQL["claim_deliveries"].text, self._tenant_id, self._connector, self._lease.fence, limit
            )
            entities = [row["entity_id"] for row in rows]
            states = await self._references(connection, entities) if rows else {}
        return [self._claimed(row, states.get(row["entity_id"], ())) for row in rows]

    async def _references(
        self, connection: Connection, entities: Sequence[uuid.UUID]
    ) -> dict[uuid.UUID, tuple[ReferenceState, ...]]:
        rows = await connection.fetch(
            _SQL["read_reference_states"].text, self._tenant_id, self._connector, entities
        )
        found: dict[uuid.UUID, tuple[ReferenceState, ...]] = {}
        for row in rows:
            state = ReferenceState(row["field"], row["to_entity_id"], row["crm_id"], row["coming"])
            found[row["from_entity_id"]] = (*found.get(row["from_entity_id"], ()), state)
        return found

    def _claimed(self, row: Any, references: tuple[ReferenceState, ...]) -> Claimed:
        return Claimed(
            tenant_id=self._tenant_id,
            connector=self._connector,
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
            in_doubt=_in_doubt(row),
            waited_s=row["waited_s"],
            event_key=row["event_key"],
            mark_time=row["mark_time"],
            dirty_time=row["dirty_time"],
            trace=TraceContext.parse(row["traceparent"], row["tracestate"]) if row["traceparent"] else None,
            last_trace=TraceContext.parse(row["last_traceparent"], "") if row["last_traceparent"] else None,
            tries_before=row["try_count"],
            lane=Lane.LIVE,
            due_time=row["due_time"],
            references=references,
        )

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Record how tries ended, with attempts and audit, in one transaction.

        Raises: FenceLost: another actor has the account; what was written to the CRM it will find there.
        """
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [self._lease])
            latencies, fresh = await self._update(connection, settlements)
            tried = [item for item in settlements if item.outcome]
            await self._write_attempts(connection, tried, latencies)
            await self._write_audit(connection, settlements)
            if fresh:
                await connection.execute(_SQL["wake_referrers"].text, self._tenant_id, self._connector, fresh)

    async def _update(
        self, connection: Connection, items: Sequence[Settlement]
    ) -> tuple[dict[uuid.UUID, float], list[uuid.UUID]]:
        """Settle the rows; return latencies, and the entities that the CRM holds since now."""
        rows = await connection.fetch(
            _SQL["settle_deliveries"].text,
            self._tenant_id,
            self._connector,
            [item.claimed.entity_id for item in items],
            [item.state for item in items],
            [item.version for item in items],
            [item.crm_object for item in items],
            [item.crm_id for item in items],
            [dict(item.known) for item in items],
            [item.failure_count for item in items],
            [item.try_count for item in items],
            [item.after_s for item in items],
            [item.waits for item in items],
            [item.lacks_reference for item in items],
            [item.error_class for item in items],
            [item.error_message[:512] for item in items],
            [
                item.trace.traceparent if item.trace and item.state != State.DELIVERED else ""
                for item in items
            ],
        )
        latencies = {row["entity_id"]: row["latency_ms"] for row in rows}
        return latencies, [row["entity_id"] for row in rows if row["is_new"]]

    async def _write_attempts(
        self, connection: Connection, items: Sequence[Settlement], latencies: Mapping[uuid.UUID, float]
    ) -> None:
        if not items:
            return
        end_time = await connection.fetchval("select clock_timestamp()")
        records = [
            (
                self._tenant_id,
                self._connector,
                item.claimed.entity_id,
                item.claimed.object,
                item.try_count or item.claimed.tries_before + 1,
                item.version,
                item.claimed.event_key,
                min(item.start_time, end_time),
                end_time,
                item.outcome,
                item.error_class,
                item.error_code[:128],
                item.error_message[:512],
                item.http_status,
                latencies.get(item.claimed.entity_id) if _counts_for_latency(item) else None,
                item.trace.trace_id if item.trace else "",
                item.trace.span_id if item.trace else "",
            )
            for item in items
        ]
        await connection.copy_records_to_table(
            "attempt",
            schema_name="sync",
            columns=[
                "tenant_id",
                "connector",
                "entity_id",
                "object",
                "attempt_number",
                "version",
                "event_key",
                "start_time",
                "end_time",
                "outcome",
                "error_class",
                "error_code",
                "error_message",
                "http_status",
                "latency_ms",
                "trace_id",
                "span_id",
            ],
            records=records,
        )

    async def _write_audit(self, connection: Connection, items: Sequence[Settlement]) -> None:
        told = [(item, action, changes) for item in items for action, changes in _audited(item)]
        records = [
            (
                self._tenant_id,
                action,
                "sync",
                item.claimed.entity_id,
                item.claimed.event_key,
                self._connector,
                list(changes),
                item.policy_version,
                item.trace.trace_id if item.trace else "",
            )
            for item, action, changes in told
        ]
        if records:
            await connection.copy_records_to_table(
                "audit",
                schema_name="sync",
                columns=[
                    "tenant_id",
                    "action",
                    "actor",
                    "entity_id",
                    "event_key",
                    "connector",
                    "changes",
                    "policy_version",
                    "trace_id",
                ],
                records=records,
            )

    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, uuid.UUID]:
        """Return which entities are delivered as these CRM records."""
        async with translated():
            rows = await self._pool.fetch(
                _SQL["crm_record_holders"].text, self._tenant_id, self._connector, crm_object, crm_ids
            )
        return {row["crm_id"]: row["entity_id"] for row in rows}

    async def next_due_s(self) -> float | None:
        """Return the seconds until a delivery is due; None when none waits."""
        async with translated():
            seconds: float | None = await self._pool.fetchval(
                _SQL["next_due"].text, self._tenant_id, self._connector
            )
        return seconds

    async def read_state(self) -> ConnectorState:
        """Return what is stored about the account."""
        async with translated():
            row = await self._pool.fetchrow(
                _SQL["read_connector_state"].text, self._tenant_id, self._connector
            )
        if row is None:
            return ConnectorState()
        return ConnectorState(row["paused"], from_json(row["breaker"]), row["breaker_generation"])

    async def write_breaker(self, state: BreakerState, generation: int) -> None:
        """Store the breaker, unless an operator has reset it since *generation*."""
        async with translated():
            await self._pool.execute(
                _SQL["write_breaker"].text, self._tenant_id, self._connector, state.as_json(), generation
            )

    async def write_finding(self, finding: str) -> None:
        """Store what keeps the account from being used; empty when nothing does."""
        async with translated():
            await self._pool.execute(
                _SQL["write_finding"].text, self._tenant_id, self._connector, finding[:1024]
            )

    async def add_quota(
        self, day: dt.date, calls: int, vendor_used: int | None, vendor_limit: int | None
    ) -> None:
        """Count *calls* of *day*."""
        async with translated():
            await self._pool.execute(
                _SQL["add_quota"].text,
                self._tenant_id,
                self._connector,
                day,
                calls,
                vendor_used,
                vendor_limit,
            )

    async def read_quota(self, day: dt.date) -> int:
        """Return the calls of *day*: ours, or the vendor's count where that is higher."""
        async with translated():
            row = await self._pool.fetchrow(_SQL["read_quota"].text, self._tenant_id, self._connector, day)
        return max(row["calls"], row["vendor_used"] or 0) if row else 0


def _in_doubt(row: Any) -> bool:
    """Say whether the CRM must be asked first: a lost answer, a call of a dead actor, an ended entity we never saw."""
    ended_unseen = row["state"] != "active" and not row["crm_id"]
    return row["delivery_state"] == State.IN_DOUBT or row["held_fence"] is not None or ended_unseen


def _audited(item: Settlement) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    """Yield action and changes of the audit rows that *item* makes: a write in doubt that landed comes first."""
    if item.claimed.learned:
        yield "looked_up", item.claimed.learned
    if item.changes:
        yield "dead_lettered" if item.state is State.DEAD else "delivered", item.changes


def _counts_for_latency(item: Settlement) -> bool:
    return (
        item.state == State.DELIVERED
        and item.claimed.tries_before == 0
        and item.outcome in {"created", "updated"}
    )
