"""Reading the audit with its proofs: entries beside their leaves, roots of spans, search."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.audit.checkpoints import Checkpoint, PublicKey, read_checkpoint
from headwater.audit.entries import Entry
from headwater.audit.merkle import TILE_BITS, Span, span_root, tiles_of
from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.pg import queries
from headwater.sync.auditing.ports import Erased, Found, Place, Standing, Wanted
from headwater.sync.domain.operating import AuditEntry
from headwater.sync.store.faults import reaching, translated
from headwater.sync.store.trail import read_tiles

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "trail.sql")
LOOKED_AT_MAX: Final = 20_000
"""Entries that one search looks at, at most: a few tens of milliseconds."""
_NEWEST: Final[Place] = (2**63 - 1, 2**63 - 1)
_COLUMNS: Final = (
    "audit_time",
    "action",
    "actor",
    "entity_id",
    "event_key",
    "connector",
    "policy_version",
    "trace_id",
    "object",
    "attempt_number",
    "version",
    "start_time",
    "outcome",
    "latency_ms",
    "span_id",
)


class PostgresProvableAudit:
    """Port `ProvableAudit` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def standing(self, tenant_id: str) -> Standing:
        """Return how the audit stands; a tenant without entries has none."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_head"].text, tenant_id)
        return (
            Standing(rows[0]["size"], rows[0]["sealed"], rows[0]["finding"]) if rows else Standing(0, 0, "")
        )

    async def keys(self) -> list[PublicKey]:
        """Return every public key."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_keys"].text)
        return [PublicKey(row["key_id"], row["public_key"], row["create_time"]) for row in rows]

    async def checkpoints(self, tenant_id: str, above: int, limit: int) -> list[Checkpoint]:
        """Return checkpoints, the smallest first."""
        async with translated():
            rows = await self._pool.fetch(_SQL["list_checkpoints"].text, tenant_id, above, limit)
        try:
            return [read_checkpoint(row["line"]) for row in rows]
        except msgspec.DecodeError as error:
            message = f"a stored checkpoint of more than {above} entries is damaged: {error}"
            raise PreconditionFailed(message, reason="AUDIT_DAMAGED") from error

    async def leaves(self, tenant_id: str, tile: int) -> list[Entry]:
        """Return the entries of a tile, those that were never numbered last."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_leaves"].text, tenant_id, tile)
        return [_entry(tenant_id, tile, row) for row in rows]

    async def number_of(self, tenant_id: str, audit_id: int) -> int | None:
        """Return the number of an entry."""
        async with translated():
            number: int | None = await self._pool.fetchval(_SQL["find_leaf"].text, tenant_id, audit_id)
        return number

    async def roots(self, tenant_id: str, spans: Sequence[Span]) -> list[bytes]:
        """Return the roots of spans. Raises: PreconditionFailed, when the tree is damaged."""
        async with translated(), self._pool.acquire() as connection:
            found = await read_tiles(connection, [(tenant_id, key) for key in tiles_of(spans)])
        try:
            return [span_root(span, found.get(tenant_id, {})) for span in spans]
        except (KeyError, ValueError) as error:
            message = f"the audit's tree is damaged, {error}: `headwater audit verify` tells more"
            raise PreconditionFailed(message, reason="AUDIT_DAMAGED") from error

    async def erasable(self, tenant_id: str, entity_id: uuid.UUID) -> Erased:
        """Return what `erase` would erase: counted by the same statement, which is undone."""
        async with reaching(), self._pool.acquire() as connection:
            entries: int = await connection.fetchval(_SQL["count_erasable"].text, tenant_id, entity_id)
            transaction = connection.transaction()
            await transaction.start()
            try:
                traces = (await connection.fetch(_SQL["erase_traces"].text, tenant_id, entity_id))[0]
            finally:
                await transaction.rollback()
        return Erased(entries, traces["cleared"], traces["held"])

    async def erase(self, tenant_id: str, entity_id: uuid.UUID, actor: str, reason: str) -> Erased:
        """Erase the values of an entity's entries, and those that other tables keep."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            entries: int = await connection.fetchval(
                _SQL["erase_values"].text, tenant_id, entity_id, actor, reason
            )
            traces = (await connection.fetch(_SQL["erase_traces"].text, tenant_id, entity_id))[0]
        return Erased(entries, traces["cleared"], traces["held"])

    async def search(self, tenant_id: str, wanted: Wanted, before: Place | None, limit: int) -> Found:
        """Return entries that fit, newest first."""
        place = before or _NEWEST
        if wanted.entity_id is not None:
            return await self._search_entity(tenant_id, wanted, place, limit)
        async with translated():
            rows = await self._pool.fetch(
                _SQL["search_entries"].text, tenant_id, *place, LOOKED_AT_MAX, wanted.entity_id, wanted.event_key,
                wanted.actor, wanted.action, wanted.connector, wanted.since, wanted.until,
            )  # fmt: skip
        fitting = [row for row in rows if row["fits"]]
        if len(fitting) > limit:
            return _found(fitting[:limit], _place(fitting[limit - 1]))
        return _found(fitting, _place(rows[-1]) if rows and rows[-1]["more"] else None)

    async def _search_entity(self, tenant_id: str, wanted: Wanted, place: Place, limit: int) -> Found:
        async with translated():
            rows = await self._pool.fetch(
                _SQL["search_entity_entries"].text, tenant_id, place[1], wanted.entity_id, limit + 1,
                wanted.event_key, wanted.actor, wanted.action, wanted.connector, wanted.since, wanted.until,
            )  # fmt: skip
        return _found(rows[:limit], _place(rows[limit - 1]) if len(rows) > limit else None)


def _entry(tenant_id: str, tile: int, row: Any) -> Entry:
    seq = 0 if row["n"] is None else (tile << TILE_BITS) + row["n"]
    leaf, salt = row["leaf"] or b"", row["salt"] or b""
    if row["missing"]:
        return Entry(seq, row["audit_id"], leaf, missing=True)
    erased = row["commitment"] is not None
    text: str = row["changes"]
    raw, folded = (msgspec.UNSET, text) if "\n" in text or "\r" in text else (msgspec.Raw(text.encode()), "")
    return Entry(
        seq,
        row["audit_id"],
        leaf,
        tenant_id,
        salt=b"" if erased else salt,
        changes=msgspec.UNSET if erased else raw,
        changes_text="" if erased else folded,
        commitment=row["commitment"] if erased else b"",
        order_id=row["order_id"] if erased else 0,
        stray=row["n"] is None,
        **{name: row[name] for name in _COLUMNS},
    )


def _found(rows: Sequence[Any], next_place: Place | None) -> Found:
    return Found(tuple(_audit_entry(row) for row in rows), next_place)


def _place(row: Any) -> Place:
    return row["xid"], row["audit_id"]


def _audit_entry(row: Any) -> AuditEntry:
    known = {name: row[name] for name in AuditEntry.__slots__ if name != "changes"}
    return AuditEntry(**known, changes=tuple(row["changes"]))
