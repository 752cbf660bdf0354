"""Looking at records whose entity was deleted. Orders effects, holds no state."""

from __future__ import annotations

from headwater.sync.domain.removing import Fate, fate_of
from headwater.sync.ports import Policies
from headwater.sync.removing.ports import Flagged, FlaggedPlace, RemovalList


class Deletes:
    """Marked records as operators see them."""

    def __init__(self, records: RemovalList, policies: Policies) -> None:
        self._records = records
        self._policies = policies

    async def listed(
        self, tenant_id: str, connector: str, after: FlaggedPlace | None, page_size: int
    ) -> tuple[tuple[tuple[Flagged, Fate], ...], bool]:
        """Return one page with what becomes of each by the policy in force, and whether there are more."""
        found = await self._records.list_flagged(tenant_id, connector, after, page_size + 1)
        document = self._policies.current().get(tenant_id)
        page = tuple(
            (
                item,
                Fate("keep")
                if document is None
                else fate_of(document, item.connector, item.crm_object, item.object, item.flag_time),
            )
            for item in found[:page_size]
        )
        return page, len(found) > page_size
