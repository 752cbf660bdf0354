"""What fetching needs of the store, in its own words. Every method may raise Unavailable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater.sync.domain.leasing import Lease


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record that is to be read.

    Args:
        number: changes when it is wanted again.
        tries: in a row that failed.
    """

    tenant_id: str
    connector: str
    crm_object: str
    crm_id: str
    number: int
    tries: int


class FetchBook(Protocol):
    """Records to be read; whoever writes shows the account's lease. May raise StoreRaced and FenceLost."""

    async def due(self, accounts: Sequence[tuple[str, str]], limit: int) -> Sequence[Wanted]:
        """Return up to *limit* due records of each account."""
        ...

    async def settle(self, lease: Lease, done: Sequence[Wanted]) -> None:
        """Take records of one account and object away, but those that were wanted again meanwhile."""
        ...

    async def put_off(self, lease: Lease, failed: Sequence[Wanted], wait_s: float, finding: str) -> None:
        """Have records of one account and object tried again later."""
        ...

    async def known(
        self, tenant_id: str, object_name: str, source: str, ids: Sequence[str]
    ) -> frozenset[str]:
        """Return those of *ids* that the projection holds as not deleted."""
        ...
