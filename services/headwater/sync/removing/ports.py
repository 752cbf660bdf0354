"""What removals need of the store, in its own words."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Protocol

import msgspec

from headwater.kernel.ids import ObjectName
from headwater.sync.domain.leasing import Lease


class Flagged(msgspec.Struct, frozen=True):
    """A record of a CRM that is marked as deleted.

    Args:
        flag_time: when the CRM took the mark; None while it has not.
    """

    connector: str
    entity_id: uuid.UUID
    object: ObjectName
    crm_object: str
    crm_id: str
    version: int
    event_key: uuid.UUID
    flag_time: dt.datetime | None


FlaggedPlace = tuple[uuid.UUID, str]
"""A place in the list: entity and account."""


class RemovalBook(Protocol):
    """Records to be removed. Every method may raise Unavailable and StoreRaced; those with a lease, FenceLost."""

    async def due(
        self, tenant_id: str, connector: str, grace_s: float, after: uuid.UUID, limit: int
    ) -> Sequence[Flagged]:
        """Return up to *limit* records behind entity *after* that have been marked for longer than *grace_s*."""
        ...

    async def hold(
        self, tenant_id: str, lease: Lease, connector: str, grace_s: float, flagged: Sequence[Flagged]
    ) -> frozenset[uuid.UUID]:
        """Hold deliveries back, and return those of them that are due to be removed still and are not under way."""
        ...

    async def removed(
        self, tenant_id: str, lease: Lease, done: Sequence[Flagged], policy_version: str
    ) -> None:
        """Note that the records are gone, with audit: a later statement of the entity creates one anew."""
        ...

    async def let_go(self, tenant_id: str, lease: Lease, connector: str) -> None:
        """Let all deliveries of an account go on that removals hold back; a new holder of the account does so, too."""
        ...


class RemovalList(Protocol):
    """Marked records as operators see them. May raise Unavailable."""

    async def list_flagged(
        self, tenant_id: str, connector: str, after: FlaggedPlace | None, limit: int
    ) -> Sequence[Flagged]:
        """Return up to *limit* marked records behind *after*, by entity; an empty connector means all."""
        ...
