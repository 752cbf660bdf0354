"""Orders to erase people on Postgres: what is found of them, how far each is, and who is not taken in again."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.errors import Unavailable
from headwater.kernel.pg import queries
from headwater.sync.domain.erasing import (
    HeldRecord,
    Subject,
    addresses_among,
    digest_of,
    number_pattern,
    numbers_among,
)
from headwater.sync.domain.leasing import Lease
from headwater.sync.erasing.ports import MENTIONS_MAX, Mentions, Order, Person, Settled, Target, Traced
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences
from headwater.sync.store.suppression_keys import PostgresSuppressionKeys

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_log = logging.getLogger(__name__)
_SQL: Final = queries.load("headwater.sync", "erasure.sql")


class PostgresPeople:
    """Port `Finding` on Postgres."""

    def __init__(self, pool: Pool, keys: PostgresSuppressionKeys | None = None) -> None:
        self._pool = pool
        self._keys = keys or PostgresSuppressionKeys(pool)

    async def entities_of(self, tenant_id: str, subject: Subject) -> Sequence[uuid.UUID]:
        """Return the entities that *subject* names, with those merged with them and activities that name one."""
        async with translated():
            match subject.kind:
                case "entity":
                    entity = uuid.UUID(subject.parts[0])
                    known = await self._pool.fetchval(_SQL["known_entity"].text, tenant_id, entity)
                    found = [entity] if known else []
                case "record":
                    rows = await self._pool.fetch(_SQL["entities_of_record"].text, tenant_id, *subject.parts)
                    found = [row["entity_id"] for row in rows]
                case _:
                    digits = subject.kind == "phone"
                    rows = await self._pool.fetch(
                        _SQL["entities_of_value"].text, tenant_id, subject.parts[0], digits
                    )
                    found = [row["entity_id"] for row in rows]
        return await self.closure(tenant_id, found) if found else []

    async def closure(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
        """Return entities with those merged with them, and the activities that name one."""
        async with translated():
            rows = await self._pool.fetch(_SQL["subject_entities"].text, tenant_id, entities)
        return [row["entity_id"] for row in rows]

    async def records_of(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Sequence[HeldRecord]:
        """Return the sources' records of entities."""
        async with translated():
            rows = await self._pool.fetch(_SQL["subject_records"].text, tenant_id, entities)
        return [_record(row) for row in rows]

    async def key(self, tenant_id: str) -> bytes:
        """Return the key of a tenant's hashes, made when it is wanted first."""
        return await self._keys.key(tenant_id)

    async def mentions(self, tenant_id: str, entities: Sequence[uuid.UUID], texts: Sequence[str]) -> Mentions:
        """Look for *texts* in what records of other entities say now; not for ever."""
        if not texts:
            return Mentions(())
        sought = [text.lower() for text in addresses_among(texts)]
        numbers = [number_pattern(text) for text in numbers_among(texts)]
        try:
            async with translated():
                rows = await self._pool.fetch(
                    _SQL["mentions_beside"].text, tenant_id, list(entities), sought, numbers, MENTIONS_MAX + 1
                )
        except Unavailable as error:
            _log.warning("mentions of an erased person were not looked for: %s", error)
            return Mentions((), complete=False)
        names = tuple(
            f"{row['object']} {row['source']}/{row['external_id']}"
            + (" (by number)" if row["by_number"] else "")
            for row in rows
        )
        return Mentions(names[:MENTIONS_MAX], len(names) <= MENTIONS_MAX)

    async def trace(self, tenant_id: str, records: Sequence[HeldRecord], texts: Sequence[str]) -> Traced:
        """Return the events of records that are not erased, and of those in quarantine that have one of *texts*."""
        columns = _columns([(r.object, r.source, r.external_id, r.event_key) for r in records], 4)
        async with translated():
            rows = await self._pool.fetch(
                _SQL["trace_records"].text, tenant_id, *columns, addresses_among(texts)
            )
        quarantined = sum(row["disposition"] != 1 for row in rows)
        archived = sum(row["is_archived"] for row in rows)
        return Traced(tuple(row["event_key"] for row in rows), quarantined, archived)


class PostgresErasures(PostgresPeople):
    """Port `ErasureBook` on Postgres."""

    async def claim(self, seconds: float, limit: int) -> Sequence[Order]:
        """Return orders that are due; nobody else gets them for so long."""
        async with translated():
            rows = await self._pool.fetch(_SQL["claim_erasures"].text, seconds, limit)
        return [_order(row) for row in rows]

    async def drained(self, order: Order) -> bool:
        """Say whether all that was under way when the order was heard of has ended; the first look says no."""
        async with translated():
            return bool(await self._pool.fetchval(_SQL["drain"].text, order.tenant_id, order.erasure_id))

    async def extend(self, order: Order, person: Person) -> None:
        """Add what was found of the person meanwhile."""
        async with translated():
            await self._pool.execute(
                _SQL["extend_erasure"].text, order.tenant_id, order.erasure_id, *person_arguments(person)
            )

    async def move(self, order: Order, state: str, step: Mapping[str, Any]) -> None:
        """Bring an order into its next state, with what was done."""
        async with translated():
            await _move(self._pool, order, order.state, state, step)

    async def note(self, order: Order, step: Mapping[str, Any]) -> None:
        """Note what was done, under the name `step`."""
        async with translated():
            await self._pool.execute(_SQL["note_step"].text, order.tenant_id, order.erasure_id, dict(step))

    async def put_off(self, order: Order, wait_s: float, finding: str) -> None:
        """Look at an order again later."""
        async with translated():
            await self._pool.execute(
                _SQL["put_off_erasure"].text, order.tenant_id, order.erasure_id, wait_s, finding
            )

    async def erase_events(self, tenant_id: str, keys: Sequence[uuid.UUID]) -> int:
        """Take out of the log what events say, and what was wrong with them."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            erased: int = await connection.fetchval(_SQL["erase_events"].text, tenant_id, keys)
            await connection.execute(_SQL["clear_errors"].text, tenant_id, keys)
        return erased

    async def erase_state(self, order: Order) -> Mapping[str, int]:
        """Take the person out of all that sync keeps, and bring the order into `propagating`."""
        records = _names(order.records)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            counts: dict[str, int] = await connection.fetchval(
                _SQL["erase_state"].text, order.tenant_id, order.erasure_id, list(order.entities), records,
                order.actor, order.reason,
            )  # fmt: skip
            await _move(connection, order, "destroying", "propagating", {"step": "state", "counts": counts})
        return counts

    async def open_targets(self, order: Order) -> int:
        """Count the records of CRMs that are not erased."""
        async with translated():
            found: int = await self._pool.fetchval(
                _SQL["count_open_targets"].text, order.tenant_id, order.erasure_id
            )
        return found

    async def certify(self, order: Order) -> None:
        """End an order: the ids of CRMs' records give way to their hashes, the certificate goes into the audit."""
        key = await self.key(order.tenant_id)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            place = (order.tenant_id, order.erasure_id)
            (view,) = await connection.fetch(_SQL["list_erasures"].text, *place, False, 1)
            targets = await connection.fetch(_SQL["list_targets"].text, *place)
            hashed = [
                (
                    row["connector"], row["crm_object"], row["crm_id"],
                    digest_of(key, ("record", (row["connector"], row["crm_object"], row["crm_id"]))).hex(),
                )
                for row in targets
            ]  # fmt: skip
            await connection.execute(_SQL["hash_target"].text, *place, *_columns(hashed, 4))
            changes = certificate(order, view["steps"], targets, [item[3] for item in hashed])
            await connection.execute(_SQL["certify"].text, *place, changes)

    async def due_targets(self, accounts: Sequence[tuple[str, str]], limit: int) -> Sequence[Target]:
        """Return up to *limit* records of each account that are to be erased now."""
        async with translated():
            rows = await self._pool.fetch(_SQL["due_targets"].text, *_columns(accounts, 2), limit)
        return [
            Target(
                row["tenant_id"], row["connector"], row["erasure_id"], row["crm_object"], row["crm_id"], row["state"],
                row["try_count"],
            )
            for row in rows
        ]  # fmt: skip

    async def settle(self, lease: Lease, settled: Sequence[Settled]) -> None:
        """Note how far records of one account are, under its fence."""
        if not settled:
            return
        tenant_id, connector = settled[0].target.tenant_id, settled[0].target.connector
        rows = [
            (
                item.target.erasure_id, item.target.crm_object, item.target.crm_id, item.state, item.method,
                item.finding, item.wait_s,
            )
            for item in settled
        ]  # fmt: skip
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            await connection.execute(_SQL["settle_targets"].text, tenant_id, connector, *_columns(rows, 7))
            erasures = sorted({item.target.erasure_id for item in settled})
            await connection.execute(_SQL["wake_erasures"].text, tenant_id, erasures)


def certificate(
    order: Order, steps: Sequence[Mapping[str, Any]], targets: Sequence[Any], hashes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what the audit says of an erasure: what went where and when, and how it was made sure of; no value."""
    done: list[tuple[str, Any]] = [("#erasure", str(order.erasure_id)), ("#reason", order.reason)]
    done += [(f"#{step['step']}", _certified(step)) for step in steps]
    done += [
        (
            "#crm",
            {
                "connector": row["connector"],
                "object": row["crm_object"],
                "hash": digest,
                "state": row["state"],
                "method": row["method"],
                "erase_time": _shown(row["erase_time"]),
                "verify_time": _shown(row["verify_time"]),
            },
        )
        for row, digest in zip(targets, hashes, strict=True)
    ]
    return [{"field": name, "before": None, "after": value, "rule": "erasure"} for name, value in done]


def _certified(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the audit keeps of a step: counts, and which records of others somebody has to look at."""
    named = {"records": step["records"]} if step.get("records") else {}
    return {"time": step["time"], **step.get("counts", {}), **named}


def person_arguments(person: Person) -> tuple[Any, ...]:
    """Return the arguments that say what was found of a person, in the order of the statements."""
    return (
        list(person.entities),
        _names(person.records),
        list(person.texts),
        list(person.digests),
        list(person.digests.values()),
        [json.dumps(place) for place in person.places],
    )


async def _move(
    connection: Pool | Connection, order: Order, before: str, after: str, step: Mapping[str, Any]
) -> None:
    await connection.execute(
        _SQL["move_erasure"].text, order.tenant_id, order.erasure_id, before, after, dict(step)
    )


def _order(row: Any) -> Order:
    return Order(
        row["tenant_id"],
        row["erasure_id"],
        row["state"],
        row["actor"],
        row["reason"],
        tuple(row["entity_ids"]),
        tuple(
            HeldRecord(item[0], item[1], item[2], uuid.UUID(item[3]) if item[3] else None, {})
            for item in row["records"]
        ),
        tuple(row["texts"]),
        row["try_count"],
    )


def _record(row: Any) -> HeldRecord:
    facts: Mapping[str, Sequence[Any]] = row["fields"]
    keys = [uuid.UUID(fact[2]) for fact in facts.values() if len(fact) > 2 and fact[2]]  # noqa: PLR2004
    values = {name: fact[0] for name, fact in facts.items()}
    return HeldRecord(row["object"], row["source"], row["external_id"], keys[0] if keys else None, values)


def _names(records: Iterable[HeldRecord]) -> list[list[str | None]]:
    return [
        [item.object, item.source, item.external_id, str(item.event_key) if item.event_key else None]
        for item in records
    ]


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _shown(moment: Any) -> str | None:
    return moment.isoformat() if moment is not None else None
