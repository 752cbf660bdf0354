"""What sync needs of others, in its own words."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Protocol

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.log import RecordKey
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
from headwater.sync.domain.reading import Subject


class Resolver(Protocol):
    """Places records: the identity service."""

    async def resolve(
        self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]
    ) -> Mapping[RecordKey, uuid.UUID]:
        """Return the entity of every subject (with the event that brought it); unmatched ones are absent.

        Raises: Unavailable when identity cannot be reached within its deadline.
        """
        ...


class Policies(Protocol):
    """The policies in force."""

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy, as last read."""
        ...


class Secrets(Protocol):
    """Where credentials come from."""

    def read(self, reference: str) -> Mapping[str, str]:
        """Return the JSON object that *reference* (`env:NAME`) names.

        Raises: InvalidInput when it is missing or is no JSON object of texts.
        """
        ...


class OperationsStore(Protocol):
    """What operators read and order; every method is scoped to one tenant."""

    async def read_status(self, tenant_id: str) -> Status:
        """Count everything a tenant has, at one moment."""
        ...

    async def read_fate(self, tenant_id: str, event_key: uuid.UUID) -> Fate | None:
        """Return what became of an event; None while the projector has not seen it."""
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
        below: int | None,
        limit: int,
    ) -> tuple[AuditEntry, ...]:
        """Return up to *limit* entries with an id lower than *below*, newest first."""
        ...

    async def read_accounts(
        self, tenant_id: str, connectors: Sequence[str], day: dt.date
    ) -> tuple[AccountFacts, ...]:
        """Return what is stored about each of *connectors*, by name; *day* is the quota's, in UTC."""
        ...

    async def set_paused(self, order: Steering, *, paused: bool) -> bool:
        """Pause or resume, with audit and wake-up; return False, without either, when it stood so."""
        ...

    async def reset_breaker(self, order: Steering) -> bool:
        """Close the breaker, with audit and wake-up; return False, without either, when it was closed."""
        ...

    async def count_replayable(self, tenant_id: str, connector: str, entities: Sequence[uuid.UUID]) -> int:
        """Return how many deliveries `replay` would make due."""
        ...

    async def replay(self, order: Steering, entities: Sequence[uuid.UUID]) -> int:
        """Make stopped deliveries due: those of *entities*, or every dead one when empty; return how many."""
        ...

    async def count_discardable(self, tenant_id: str, connector: str, entities: Sequence[uuid.UUID]) -> int:
        """Return how many deliveries `discard` would end."""
        ...

    async def discard(self, order: Steering, entities: Sequence[uuid.UUID], reason: str) -> int:
        """End the dead deliveries of *entities*; return how many."""
        ...
