"""The audit's tree in Postgres: numbering entries under a lease, and keeping checkpoints."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headwater.audit.checkpoints import Checkpoint, PublicKey, read_checkpoint, write_line
from headwater.audit.entries import SALT_BYTES
from headwater.audit.merkle import TILE_BITS, TileKey, Tree, edge_keys, hashes_of, tree_of
from headwater.kernel.pg import queries
from headwater.sync.auditing.ports import Head
from headwater.sync.domain.leasing import Lease
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "trail.sql")
_LEAVES: Final = 0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries of one tenant that get their numbers.

    Args:
        xids: transaction of each entry.
        leaves: 32 bytes each, one behind the other.
        salts: 16 bytes each.
    """

    tenant_id: str
    size: int
    audit_ids: Sequence[int]
    xids: Sequence[int]
    leaves: bytes
    salts: bytes


class PostgresTrail:
    """Port `Trail` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def pending(self, after: str, limit: int) -> list[tuple[str, bool]]:
        """Return tenants behind *after*, and whether entries of theirs wait."""
        async with translated():
            rows = await self._pool.fetch(_SQL["find_pending"].text, after, limit)
        return [(row["tenant_id"], row["pending"]) for row in rows]

    async def number(self, lease: Lease, tenants: Collection[str], entries_max: int) -> int:
        """Number the next entries of *tenants* in one transaction."""
        ordered = sorted(tenants)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["make_heads"].text, ordered)
            await hold_fences(connection, [lease])
            heads = await connection.fetch(_SQL["lock_heads"].text, ordered)
            batches = await _take(connection, heads, entries_max)
            if batches:
                sizes = {batch.tenant_id: batch.size for batch in batches}
                tiles = await read_tiles(
                    connection, [(tenant, key) for tenant, size in sizes.items() for key in edge_keys(size)]
                )
                return await _grow(connection, batches, tiles)
        return 0

    async def heads(self, after: str, limit: int) -> list[Head]:
        """Return heads beyond their last checkpoint."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_heads"].text, after, limit)
        return [
            Head(row["tenant_id"], row["size"], row["finding"], read_checkpoint(row["line"]) if row["line"] else None)
            for row in rows
        ]  # fmt: skip

    async def root(self, tenant_id: str, size: int) -> bytes:
        """Return the root over the first *size* entries. Raises: KeyError, ValueError, when tiles are damaged."""
        async with translated(), self._pool.acquire() as connection:
            tiles = await read_tiles(connection, [(tenant_id, key) for key in edge_keys(size)])
        return tree_of(size, tiles.get(tenant_id, {})).root()

    async def seal(self, lease: Lease, checkpoint: Checkpoint, key: PublicKey) -> None:
        """Keep a checkpoint and its key."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            await connection.execute(_SQL["write_key"].text, key.key_id, key.public_key, key.create_time)
            await connection.execute(
                _SQL["write_checkpoint"].text,
                checkpoint.tenant_id,
                checkpoint.size,
                checkpoint.hash,
                checkpoint.time,
                write_line(checkpoint),
            )

    async def note(self, lease: Lease, tenant_id: str, finding: str) -> None:
        """Note why nothing is signed."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            await connection.execute(_SQL["write_finding"].text, tenant_id, finding[:1024])

    async def checkpoints(self, tenant_id: str, above: int, limit: int) -> list[Checkpoint]:
        """Return checkpoints, the smallest first."""
        async with translated():
            rows = await self._pool.fetch(_SQL["list_checkpoints"].text, tenant_id, above, limit)
        return [read_checkpoint(row["line"]) for row in rows]


async def read_tiles(
    connection: Connection, wanted: Collection[tuple[str, TileKey]]
) -> dict[str, dict[TileKey, bytes]]:
    """Return the hashes of tiles by tenant; those that are not there are left out."""
    found: dict[str, dict[TileKey, bytes]] = {}
    if wanted:
        rows = await connection.fetch(
            _SQL["read_tiles"].text,
            [tenant for tenant, _ in wanted],
            [key.level for _, key in wanted],
            [key.number for _, key in wanted],
        )
        for row in rows:
            found.setdefault(row["tenant_id"], {})[TileKey(row["tier"], row["tile"])] = row["nodes"]
    return found


async def _take(connection: Connection, heads: Sequence[Any], entries_max: int) -> list[_Batch]:
    salts = {head["tenant_id"]: os.urandom(SALT_BYTES * entries_max) for head in heads}
    rows = await connection.fetch(
        _SQL["take_entries"].text,
        [head["tenant_id"] for head in heads],
        [head["xid"] for head in heads],
        [head["audit_id"] for head in heads],
        entries_max,
        list(salts.values()),
    )
    sizes = {head["tenant_id"]: head["size"] for head in heads}
    return [
        _Batch(row["tenant_id"], sizes[row["tenant_id"]], row["audit_ids"], row["xids"], row["leaves"], salts[row["tenant_id"]])
        for row in rows
    ]  # fmt: skip


async def _grow(
    connection: Connection, batches: Sequence[_Batch], tiles: Mapping[str, Mapping[TileKey, bytes]]
) -> int:
    """Write what *batches* add; a tenant whose tree is damaged is noted and left. Return the entries numbered."""
    rows: list[tuple[Any, ...]] = []
    heads: list[tuple[Any, ...]] = []
    count = 0
    for batch in batches:
        try:
            tree = tree_of(batch.size, tiles.get(batch.tenant_id, {}))
        except (KeyError, ValueError) as error:
            finding = f"damaged: the tree cannot grow, {error}"
            _log.error("audit of %r: %s", batch.tenant_id, finding)
            await connection.execute(_SQL["write_finding"].text, batch.tenant_id, finding)
            continue
        rows += _grown(batch, tree)
        heads.append((batch.tenant_id, tree.size, batch.xids[-1], batch.audit_ids[-1]))
        count += len(batch.audit_ids)
    if heads:
        await connection.execute(_SQL["grow_tiles"].text, *_columns(rows))
        await connection.execute(_SQL["move_heads"].text, *_columns(heads))
    return count


def _grown(batch: _Batch, tree: Tree) -> Iterable[tuple[Any, ...]]:
    """Yield what *batch* adds to each tile, as `grow_tiles` takes it."""
    for growth in tree.append(hashes_of(batch.leaves)):
        level, index = growth.key
        ids, xid, audit_id, salts = "{}", 0, 0, b""
        if level == _LEAVES:
            start = (index << TILE_BITS) + growth.offset - batch.size
            end = start + len(growth.hashes)
            ids = "{" + ",".join(map(str, batch.audit_ids[start:end])) + "}"
            xid, audit_id = batch.xids[end - 1], batch.audit_ids[end - 1]
            salts = batch.salts[start * SALT_BYTES : end * SALT_BYTES]
        yield batch.tenant_id, level, index, b"".join(growth.hashes), ids, xid, audit_id, salts


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True))
