"""Versions of weights in the schema `identity`, what is learnt from, and word of changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio

from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.scoring.sizes import Sample
from headwater.identity.domain.scoring.versions import SHIPPED
from headwater.identity.domain.weighing import Activation, Position, Source, Version
from headwater.identity.store.session import Session, Sessions
from headwater.identity.store.transaction import actor_columns
from headwater.identity.weights_ports import GivenAnswer, SampledRecord
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import TenantId

CHANNEL: Final = "headwater_weights"
"""Told by `notify_weights`; the payload is the tenant."""
_UNLISTEN_TIMEOUT_S: Final = 2.0
_SAMES: Final = frozenset({"merge", "keep_together"})
"""Decisions by which two records are of one thing."""


@dataclass(frozen=True, slots=True)
class PostgresWeightsTransaction:
    """A transaction that has the weights of a tenant's object alone."""

    session: Session
    tenant_id: TenantId
    object: str

    async def active(self) -> int:
        row = await self.session.fetch_one("find_active_weights", self.tenant_id, self.object)
        return SHIPPED if row is None else int(row["version"])

    async def find_body(self, number: int) -> bytes | None:
        row = await self.session.fetch_one("find_weights_body", self.tenant_id, self.object, number)
        return None if row is None else row["body"]

    async def find_standing(self) -> Activation | None:
        rows = await self.session.fetch("find_standing_activation", self.tenant_id, self.object)
        return _activation_of(self.object, rows[0]) if rows else None

    async def insert(self, version: Version, body: bytes) -> bool:
        source = version.source
        rows = await self.session.fetch(
            "insert_weights",
            self.tenant_id,
            self.object,
            version.number,
            body,
            source.base_version,
            source.records,
            source.pairs,
            source.answers,
            source.held,
            source.agreed_before,
            source.agreed_after,
            list(source.findings),
            version.made_by,
            *actor_columns(version.actor),
            version.create_time,
        )
        return bool(rows)

    async def switch(self, activation: Activation) -> None:
        key = (self.tenant_id, self.object)
        if activation.previous_version:
            await self.session.fetch("switch_weights", *key, activation.previous_version, False)
        if activation.version:
            await self.session.fetch("switch_weights", *key, activation.version, True)
        await self.session.fetch(
            "insert_activation",
            *key,
            activation.version,
            activation.previous_version,
            activation.undoes,
            activation.reason,
            *actor_columns(activation.actor),
            activation.activate_time,
        )
        await self.session.fetch("notify_weights", self.tenant_id)

    async def prune(self, versions_kept: int) -> None:
        await self.session.fetch("prune_weights", self.tenant_id, self.object, versions_kept)


@dataclass(frozen=True, slots=True)
class PostgresWeightsStore:
    """Versions, and what is learnt from."""

    sessions: Sessions

    @asynccontextmanager
    async def alone(self, tenant_id: TenantId, object_name: str) -> AsyncIterator[PostgresWeightsTransaction]:
        """Open a transaction that has the weights of a tenant's object alone; commits at the end of the block."""
        async with self.sessions.transaction() as session:
            await session.fetch("lock_weights", tenant_id, object_name)
            yield PostgresWeightsTransaction(session, tenant_id, object_name)

    async def list_active(self, rows_max: int) -> Sequence[Position]:
        rows = await self._fetch("list_active_weights", rows_max)
        return [Position(row["tenant_id"], row["object"], row["version"]) for row in rows]

    async def find_body(self, tenant_id: TenantId, object_name: str, number: int) -> bytes | None:
        rows = await self._fetch("find_weights_body", tenant_id, object_name, number)
        return rows[0]["body"] if rows else None

    async def find_active(self, tenant_id: TenantId, object_name: str) -> int:
        rows = await self._fetch("find_active_weights", tenant_id, object_name)
        return int(rows[0]["version"]) if rows else SHIPPED

    async def find_newest(self, tenant_id: TenantId, object_name: str) -> int:
        (row,) = await self._fetch("find_newest_weights", tenant_id, object_name)
        return int(row["version"])

    async def list_versions(
        self, tenant_id: TenantId, object_name: str, number: int, rows_max: int
    ) -> Sequence[Version]:
        return [
            _version_of(row)
            for row in await self._fetch("list_weights", tenant_id, object_name, number, rows_max)
        ]

    async def list_activations(
        self, tenant_id: TenantId, object_name: str, rows_max: int
    ) -> Sequence[Activation]:
        rows = await self._fetch("list_activations", tenant_id, object_name, rows_max)
        return [_activation_of(object_name, row) for row in rows]

    async def list_sample(
        self, tenant_id: TenantId, after: RecordId, rows_max: int
    ) -> Sequence[SampledRecord]:
        rows = await self._fetch("list_sample", tenant_id, after, rows_max)
        return [SampledRecord(row["record_id"], row["object"], row["parts"]) for row in rows]

    async def measure(self, tenant_id: TenantId, records: int) -> Sample | None:
        rows = await self._fetch("measure_tenant", tenant_id, records)
        if not rows:
            return None
        counts = {row["object"]: row["records"] for row in rows}
        return Sample(counts, RecordId(max(row["last_id"] for row in rows)))

    async def list_generic(self, tenant_id: TenantId, rows_max: int) -> Sequence[str]:
        return [row["value"] for row in await self._fetch("list_generic_values", tenant_id, rows_max)]

    async def list_answers(self, tenant_id: TenantId, rows_max: int) -> Sequence[GivenAnswer]:
        return [
            GivenAnswer(
                row["object"],
                row["low_id"],
                row["high_id"],
                row["parts"],
                row["other_parts"],
                row["kind"] in _SAMES,
            )
            for row in await self._fetch("list_answers", tenant_id, rows_max)
        ]

    async def list_tenants(self, after: str, rows_max: int) -> Sequence[TenantId]:
        return [TenantId(row["tenant_id"]) for row in await self._fetch("list_tenants", after, rows_max)]

    async def claim_run(self, tenant_id: TenantId, now: dt.datetime, since: dt.datetime) -> bool:
        return bool(await self._fetch("claim_run", tenant_id, now, since))

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        async with self.sessions.open() as session:
            return list(await session.fetch(name, *arguments))


@dataclass(frozen=True, slots=True)
class PostgresWeightsNews:
    """Word of changed weights, by NOTIFY."""

    sessions: Sessions

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[_Watch]:
        """Hold one connection that listens."""
        watch = _Watch()
        async with self.sessions.open() as session:
            connection = session.connection
            connection.add_termination_listener(watch.lose)
            await connection.add_listener(CHANNEL, watch.note)
            try:
                yield watch
            finally:
                with anyio.move_on_after(_UNLISTEN_TIMEOUT_S, shield=True):
                    connection.remove_termination_listener(watch.lose)
                    if not connection.is_closed():
                        await connection.remove_listener(CHANNEL, watch.note)


class _Watch:
    """Makes of the driver's callbacks something to wait for."""

    def __init__(self) -> None:
        self._told = anyio.Event()
        self._gone = False

    def note(self, *_: object) -> None:
        self._told.set()

    def lose(self, *_: object) -> None:
        self._gone = True
        self._told.set()

    async def changed(self) -> None:
        """Return when some tenant's weights changed; see the port."""
        await self._told.wait()
        if self._gone:
            raise Unavailable(
                "the connection that listens for weights is lost", reason="DATABASE_UNAVAILABLE"
            )
        self._told = anyio.Event()


def _version_of(row: Any) -> Version:
    source = Source(
        row["base_version"],
        row["records"],
        row["pairs"],
        row["answers"],
        row["held"],
        row["agreed_before"],
        row["agreed_after"],
        tuple(row["findings"]),
    )
    actor = Actor(row["actor_type"], row["actor_id"], row["actor_name"])
    return Version(
        row["object"], row["version"], source, row["made_by"], actor, row["create_time"], row["active"]
    )


def _activation_of(object_name: str, row: Any) -> Activation:
    return Activation(
        object_name,
        row["version"],
        row["previous_version"],
        Actor(row["actor_type"], row["actor_id"], row["actor_name"]),
        row["reason"],
        row["activate_time"],
        row["undoes"],
        row["seq"],
    )
