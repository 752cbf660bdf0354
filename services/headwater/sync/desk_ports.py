"""What operators' desks need of the store: what became of things, and their orders. Each of one tenant."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Protocol

from headwater.sync.domain.breaker import Forced
from headwater.sync.domain.operating import (
    AccountFacts,
    AuditEntry,
    Delivery,
    DeliveryFilter,
    DeliveryPlace,
    Entity,
    Fate,
    Status,
    Steering,
)
from headwater.sync.domain.standing import Books
from headwater.sync.domain.workbench import ErrorGroup, GroupFilter, GroupPlace, Standing


class OperationsStore(Protocol):
    """What operators read and order; every method is scoped to one tenant."""

    async def read_status(self, tenant_id: str) -> Status:
        """Count everything a tenant has, at one moment."""
        ...

    async def read_fate(self, tenant_id: str, event_key: uuid.UUID) -> Fate | None:
        """Return what became of an event; None while the projector has not seen it."""
        ...

    async def why_parked(self, tenant_id: str, event_key: uuid.UUID) -> str:
        """Return why an event is set aside; empty when it is not."""
        ...

    async def read_entity(self, tenant_id: str, entity_id: uuid.UUID) -> Entity | None:
        """Return an entity with its deliveries; None when nothing of it is projected."""
        ...

    async def list_deliveries(
        self, tenant_id: str, wanted: DeliveryFilter, after: DeliveryPlace | None, limit: int
    ) -> tuple[Delivery, ...]:
        """Return up to *limit* deliveries behind *after*, by connector and entity."""
        ...

    async def list_audit(
        self,
        tenant_id: str,
        entity_id: uuid.UUID | None,
        event_key: uuid.UUID | None,
        below: tuple[int, int] | None,
        limit: int,
    ) -> tuple[AuditEntry, ...]:
        """Return up to *limit* entries before *below* (xid, audit id), newest first."""
        ...

    async def read_accounts(
        self, tenant_id: str, connectors: Sequence[str], day: dt.date
    ) -> tuple[AccountFacts, ...]:
        """Return what is stored about each of *connectors*, by name; *day* is the quota's, in UTC."""
        ...

    async def read_books(self, tenant_id: str, days: Mapping[str, dt.date]) -> Books:
        """Return the books of the limits of accounts; *days* has the vendor's day of each."""
        ...

    async def set_paused(self, order: Steering, *, paused: bool) -> bool:
        """Pause or resume, with audit and wake-up; return False, without either, when it stood so."""
        ...

    async def reset_breaker(self, order: Steering, reason: str = "") -> bool:
        """Close the breakers, with audit and wake-up; return False, without either, when nothing was counted."""
        ...

    async def force_breaker(self, order: Steering, forced: Forced) -> bool:
        """Force the breakers, with audit and wake-up; return False, without either, when they stood so."""
        ...


class WorkbenchStore(Protocol):
    """Why deliveries fail, as operators read it; every method is scoped to one tenant."""

    async def list_groups(
        self, tenant_id: str, wanted: GroupFilter, before: GroupPlace, limit: int
    ) -> tuple[ErrorGroup, ...]:
        """Return up to *limit* groups that failed last before *before*, the newest first."""
        ...

    async def read_group(self, tenant_id: str, group_id: uuid.UUID) -> ErrorGroup | None:
        """Return one group; None when there is none."""
        ...

    async def list_group_deliveries(
        self, tenant_id: str, group_id: uuid.UUID, after: uuid.UUID, limit: int
    ) -> tuple[Delivery, ...]:
        """Return up to *limit* deliveries that stand in a group, behind entity *after*."""
        ...

    async def read_standing(
        self, tenant_id: str, connector: str, entities: Sequence[uuid.UUID]
    ) -> tuple[Standing, ...]:
        """Return the deliveries of *entities* as they stand, by entity; claims nothing."""
        ...
