"""Groups by any id that they had. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.following import Followed, follow
from headwater.identity.domain.records import GroupId
from headwater.identity.redo_ports import GroupMember, GroupStore
from headwater.kernel.errors import NotFound
from headwater.kernel.ids import TenantId

EVER_MAX: Final = 5_000
"""Records that were in one group, looked at to say what became of it."""
MEMBERS_MAX: Final = 500
"""Records of a group that one answer names; the guards keep groups far below it."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Finds groups."""

    store: GroupStore

    async def get(self, tenant_id: TenantId, group_id: GroupId) -> tuple[Followed, Sequence[GroupMember]]:
        """Return the group that an id leads to, with its records, as of one moment.

        Raises:
            NotFound: no group ever had it.
        """
        async with self.store.snapshot() as store:
            found = follow(group_id, await store.list_ever(tenant_id, group_id, EVER_MAX))
            if found is None:
                raise NotFound(f"no group ever had the id {group_id}", metadata={"group_id": str(group_id)})
            return found, await store.list_group(tenant_id, found.group_id, MEMBERS_MAX)
