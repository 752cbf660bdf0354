"""Erasing what is known of records. Orders effects, holds no state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headwater.identity.domain.records import RecordRef, record_id_of
from headwater.identity.ports import Erased, RecordEraser
from headwater.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class Eraser:
    """Empties records."""

    store: RecordEraser

    async def erase(self, tenant_id: TenantId, records: Sequence[RecordRef], *, dry_run: bool) -> Erased:
        """Empty *records* of what was said of them, or count what would go; again it finds nothing."""
        ids = sorted({record_id_of(tenant_id, ref) for ref in records})
        return await self.store.erase(tenant_id, ids, dry_run=dry_run)
