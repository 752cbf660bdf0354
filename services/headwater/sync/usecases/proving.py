"""Reading and proving the audit for whoever asks, and erasing values from it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from headwater.audit.checkpoints import Checkpoint, PublicKey
from headwater.audit.entries import Entry
from headwater.audit.merkle import TILE_HASHES, consistency_spans, inclusion_spans
from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.sync.auditing.ports import Erased, Found, Place, ProvableAudit, Standing, Wanted

PAGE_TILES: Final = 8
"""Tiles of entries a page, at most."""
PAGE_BYTES: Final = 4 * 1024 * 1024
"""Size from which a page gets no further tile."""

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Page:
    """Entries as lines of JSON.

    Args:
        next_after_seq: where to go on; 0 at the end.
    """

    lines: tuple[bytes, ...]
    next_after_seq: int


@dataclass(frozen=True, slots=True)
class EntryProof:
    """An entry and the way from its leaf to a signed root."""

    entry: Entry
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


class Proving:
    """What can be asked about a tenant's audit."""

    def __init__(self, audit: ProvableAudit) -> None:
        self._audit = audit

    async def standing(self, tenant_id: str) -> tuple[Standing, Sequence[PublicKey]]:
        """Return how the audit stands, and every public key."""
        return await self._audit.standing(tenant_id), await self._audit.keys()

    async def search(self, tenant_id: str, wanted: Wanted, before: Place | None, limit: int) -> Found:
        """Return one page of entries, newest first."""
        return await self._audit.search(tenant_id, wanted, before, limit)

    async def page(self, tenant_id: str, after_seq: int) -> Page:
        """Return entries behind *after_seq*, a multiple of 256, tile by tile."""
        size = (await self._audit.standing(tenant_id)).size
        lines: list[bytes] = []
        taken = tile = after_seq // TILE_HASHES
        while tile * TILE_HASHES < size and tile - taken < PAGE_TILES and sum(map(len, lines)) < PAGE_BYTES:
            lines += map(_encode, await self._audit.leaves(tenant_id, tile))
            tile += 1
        return Page(tuple(lines), tile * TILE_HASHES if tile * TILE_HASHES < size else 0)

    async def checkpoints(self, tenant_id: str, above: int, limit: int) -> Sequence[Checkpoint]:
        """Return checkpoints of more than *above* entries, the smallest first."""
        return await self._audit.checkpoints(tenant_id, above, limit)

    async def prove(self, tenant_id: str, audit_id: int) -> EntryProof:
        """Prove an entry under the oldest checkpoint that covers it.

        Raises:
            NotFound: no entry of this id has a number.
            PreconditionFailed: no checkpoint covers it yet, or the tree is damaged.
        """
        seq = await self._audit.number_of(tenant_id, audit_id)
        if seq is None:
            message = f"no entry {audit_id} has a number: there is none, or it was written within the last second or so"
            raise NotFound(message, reason="UNKNOWN_AUDIT_ENTRY", metadata={"audit_id": str(audit_id)})
        covering = await self._audit.checkpoints(tenant_id, seq - 1, 1)
        if not covering:
            message = f"entry {audit_id} has the number {seq}, and no checkpoint is signed over it yet"
            raise PreconditionFailed(message, reason="AUDIT_NOT_SEALED", metadata={"seq": str(seq)})
        entries = await self._audit.leaves(tenant_id, (seq - 1) // TILE_HASHES)
        entry = next(item for item in entries if item.seq == seq)
        path = await self._audit.roots(tenant_id, inclusion_spans(seq - 1, covering[0].size))
        return EntryProof(entry, tuple(path), covering[0])

    async def erase(
        self, tenant_id: str, entity_id: uuid.UUID, actor: str, reason: str, *, dry_run: bool
    ) -> Erased:
        """Erase the values that the audit and the like have of an entity, or only say what would be erased."""
        if dry_run:
            return await self._audit.erasable(tenant_id, entity_id)
        return await self._audit.erase(tenant_id, entity_id, actor, reason)

    async def consistency(self, tenant_id: str, first: int, second: int) -> tuple[bytes, ...]:
        """Prove that the audit of *second* entries begins with that of *first*, 1..second.

        Raises:
            PreconditionFailed: it has not so many entries, or the tree is damaged.
        """
        size = (await self._audit.standing(tenant_id)).size
        if second > size:
            message = f"the audit has {size} numbered entries, not {second}"
            raise PreconditionFailed(message, reason="AUDIT_SIZE", metadata={"size": str(size)})
        return tuple(await self._audit.roots(tenant_id, consistency_spans(first, second)))
