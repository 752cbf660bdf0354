"""Enrichment on Postgres: entities wanted and due, answers kept, calls counted before they are made."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from headwater.kernel.ids import ObjectName
from headwater.kernel.pg import queries
from headwater.sync.domain.breaker import from_json
from headwater.sync.domain.enriching import Answer, Ending, Outcome, Task, Told, Value
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.rows import unpack_values
from headwater.sync.domain.states import EntityState
from headwater.sync.enriching.ports import DayBudget, Due, Fares, Standing, Tally, Usage
from headwater.sync.store.clock import read_time
from headwater.sync.store.faults import reaching, translated
from headwater.sync.store.leases import hold_fences

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "enrichment.sql")
EXPIRED_ROWS: Final = 1_000
"""Expired answers that one statement removes."""


async def want_entities(connection: Connection, entities: Iterable[EntityState]) -> None:
    """Have providers asked about *entities*, in the projector's transaction."""
    ordered = sorted(entities, key=lambda item: item.key)
    await connection.execute(
        _SQL["want_entities"].text,
        [item.tenant_id for item in ordered],
        [item.entity_id for item in ordered],
        [item.object for item in ordered],
        [item.version for item in ordered],
    )


class PostgresEnrichment:
    """Ports `EnrichmentStore` and `EnrichmentDesk` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def now(self) -> dt.datetime:
        """Return the database's time."""
        return await read_time(self._pool)

    async def due(self, tenant_id: str, now: dt.datetime, limit: int) -> Sequence[Due]:
        """Return entities that are due; see the port."""
        async with translated():
            rows = await self._pool.fetch(_SQL["due_entities"].text, tenant_id, now, limit)
        return [Due(_task(tenant_id, row), row["wanted_version"]) for row in rows]

    async def next_due(self, tenant_id: str) -> dt.datetime | None:
        """Return when an entity is due next."""
        async with translated():
            found: dt.datetime | None = await self._pool.fetchval(_SQL["next_due_time"].text, tenant_id)
        return found

    async def settle(
        self,
        lease: Lease,
        due: Due,
        ending: Ending,
        notes: Mapping[str, Sequence[Mapping[str, Any]]],
        policy_version: str,
    ) -> None:
        """Keep how a round ended; see the port."""
        task = due.task
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            await connection.execute(
                _SQL["settle_entity"].text,
                task.tenant_id,
                task.entity_id,
                task.version,
                due.wanted_version,
                {name: _packed(told) for name, told in sorted(ending.told.items())},
                ending.tries,
                ending.due_time,
            )
            for actor, changes in notes.items():
                await connection.execute(
                    _SQL["note_enrichment"].text,
                    task.tenant_id,
                    actor,
                    task.entity_id,
                    list(changes),
                    policy_version,
                )

    async def find_answer(
        self, tenant_id: str, provider: str, digest: str, now: dt.datetime
    ) -> Answer | None:
        """Return an answer to the same question that is not too old."""
        async with translated():
            row = await self._pool.fetchrow(_SQL["find_answer"].text, tenant_id, provider, digest, now)
        if row is None:
            return None
        kept = row["answer"]
        values = {word: Value(value, confidence) for word, (value, confidence) in kept["values"].items()}
        return Answer(digest, row["answer_time"], values, kept["reference"])

    async def keep_answer(
        self, tenant_id: str, provider: str, answer: Answer, expire_time: dt.datetime, entity_id: uuid.UUID
    ) -> None:
        """Keep an answer that was asked for an entity."""
        values = {word: [item.value, item.confidence] for word, item in answer.values.items()}
        kept = {"values": values, "reference": answer.reference}
        async with translated():
            await self._pool.execute(
                _SQL["keep_answer"].text, tenant_id, provider, answer.digest, kept, answer.time, expire_time,
                entity_id,
            )  # fmt: skip

    async def drop_answers(self, tenant_id: str, now: dt.datetime) -> None:
        """Remove some of the answers that expired."""
        async with translated():
            await self._pool.execute(_SQL["drop_answers"].text, tenant_id, now, EXPIRED_ROWS)

    async def reserve(
        self, tenant_id: str, provider: str, day: dt.date, cost: float, budget: DayBudget
    ) -> bool:
        """Count a call before it is made; return False where the day's budget does not allow it."""
        async with translated():
            counted = await self._pool.fetchval(
                _SQL["reserve_call"].text, tenant_id, provider, day, cost, budget.calls, budget.cost
            )
        return counted is not None

    async def give_back(self, tenant_id: str, provider: str, day: dt.date, cost: float) -> None:
        """Take back a call that certainly was not made."""
        async with translated():
            await self._pool.execute(_SQL["give_back_call"].text, tenant_id, provider, day, cost)

    async def count(
        self, tenant_id: str, provider: str, day: dt.date, outcome: Outcome, *, cached: bool
    ) -> None:
        """Count how asking ended."""
        kinds = (outcome == "hit", outcome == "miss", outcome not in {"hit", "miss", "budget"})
        async with translated():
            await self._pool.execute(
                _SQL["count_outcome"].text,
                tenant_id,
                provider,
                day,
                *map(int, (*kinds, cached, outcome == "budget")),
            )

    async def fares(self, tenant_id: str) -> Mapping[str, Fares]:
        """Return how the tenant's providers fare."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_providers"].text, tenant_id)
        return {
            row["provider"]: Fares(from_json(row["breaker"]), row["last_error"], row["last_error_time"])
            for row in rows
        }

    async def keep_fares(self, tenant_id: str, provider: str, fares: Fares) -> None:
        """Keep how a provider fares."""
        stored = fares.breaker.as_json()
        async with translated():
            await self._pool.execute(
                _SQL["save_provider"].text,
                tenant_id,
                provider,
                stored,
                fares.last_error[:512],
                fares.last_error_time,
            )

    async def read(self, tenant_id: str, entity_id: uuid.UUID) -> Standing | None:
        """Return an entity; None when there is none."""
        async with reaching():
            row = await self._pool.fetchrow(_SQL["read_enrichment"].text, tenant_id, entity_id)
        if row is None:
            return None
        return Standing(_task(tenant_id, row), row["seen_version"], row["due_time"], row["settle_time"])

    async def force(self, task: Task, actor: str) -> None:
        """Have everybody asked again about an entity."""
        async with reaching():
            await self._pool.execute(
                _SQL["force_entity"].text, task.tenant_id, task.entity_id, task.object, task.version, actor
            )

    async def tallies(self, tenant_id: str) -> Sequence[Tally]:
        """Return how many entities wait."""
        now = await self.now()
        async with reaching():
            rows = await self._pool.fetch(_SQL["count_enrichment"].text, tenant_id, now)
        return [Tally(*(row[name] for name in Tally.__slots__)) for row in rows]

    async def usage(self, tenant_id: str, since: dt.date) -> Sequence[Usage]:
        """Return the ledger since a day, the newest day first."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["read_usage"].text, tenant_id, since)
        return [
            Usage(
                row["provider"],
                row["day"],
                row["call_count"],
                row["cost"],
                row["hit_count"],
                row["miss_count"],
                row["failed_count"],
                row["cached_count"],
                row["refused_count"],
            )
            for row in rows
        ]


def _task(tenant_id: str, row: Any) -> Task:
    return Task(
        tenant_id,
        row["entity_id"],
        cast("ObjectName", row["object"]),
        row["state"] == "active",
        row["version"],
        unpack_values(row["fields"]),
        row["wanted_time"],
        {name: _unpacked(told) for name, told in row["told"].items()},
        row["tries"],
        row["forced"],
    )


def _packed(told: Told) -> dict[str, Any]:
    return {
        "outcome": told.outcome,
        "digest": told.digest,
        "time": told.time.isoformat(),
        "fields": list(told.fields),
        "words": list(told.words),
        "reason": told.reason[:512],
    }


def _unpacked(kept: Mapping[str, Any]) -> Told:
    return Told(
        kept["outcome"],
        kept["digest"],
        dt.datetime.fromisoformat(kept["time"]),
        tuple(kept["fields"]),
        tuple(kept["words"]),
        kept["reason"],
    )
