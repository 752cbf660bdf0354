"""Looking at a tenant's events, deliveries and accounts, and steering them. Orders effects, holds no state.

NotFound    NOT_PROJECTED, UNKNOWN_ENTITY, UNKNOWN_CONNECTOR
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound
from headwater.policy.document import PolicyDocument
from headwater.policy.opening import standing_of
from headwater.sync.desk_ports import OperationsStore
from headwater.sync.domain.operating import (
    AccountView,
    AuditEntry,
    BreakerOrder,
    Delivery,
    DeliveryFilter,
    DeliveryPlace,
    Entity,
    Fate,
    Status,
    Steering,
    view_account,
)
from headwater.sync.domain.quota import allowance_of, day_of
from headwater.sync.ports import Policies


class Operations:
    """The operations of one sync process, for any tenant."""

    def __init__(self, store: OperationsStore, policies: Policies, clock: Clock) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock

    async def status(self, tenant_id: str) -> Status:
        """Count everything a tenant has."""
        return await self._store.read_status(tenant_id)

    async def fate(self, tenant_id: str, event_key: uuid.UUID) -> Fate:
        """Return what became of an event.

        Raises: NotFound (NOT_PROJECTED).
        """
        fate = await self._store.read_fate(tenant_id, event_key)
        if fate is None:
            reason = await self._store.why_parked(tenant_id, event_key)
            message = (
                f"event {event_key} waits: {reason}"
                if reason
                else f"the projector has not seen event {event_key}"
            )
            raise NotFound(message, reason="NOT_PROJECTED", metadata={"event_key": str(event_key)})
        return fate

    async def entity(self, tenant_id: str, entity_id: uuid.UUID) -> Entity:
        """Return an entity's values with their provenance.

        Raises: NotFound (UNKNOWN_ENTITY).
        """
        entity = await self._store.read_entity(tenant_id, entity_id)
        if entity is None:
            message = f"no entity {entity_id} is projected"
            raise NotFound(message, reason="UNKNOWN_ENTITY", metadata={"entity_id": str(entity_id)})
        return entity

    async def accounts(self, tenant_id: str) -> tuple[AccountView, ...]:
        """Return the connector accounts of the policy in force, by name."""
        document = self._policies.current().get(tenant_id)
        return () if document is None else await self._views(tenant_id, document, sorted(document.connectors))

    async def pause(self, tenant_id: str, connector: str, actor: str) -> AccountView:
        """Stop the deliveries of an account; what is due stays due. Idempotent.

        Raises: NotFound (UNKNOWN_CONNECTOR).
        """
        document = self._known(tenant_id, connector)
        order = Steering(tenant_id, connector, actor, document.version)
        await self._store.set_paused(order, paused=True)
        return await self._view(tenant_id, document, connector)

    async def resume(self, tenant_id: str, connector: str, actor: str) -> AccountView:
        """Start the deliveries of an account again. Idempotent.

        Raises: NotFound (UNKNOWN_CONNECTOR).
        """
        document = self._known(tenant_id, connector)
        order = Steering(tenant_id, connector, actor, document.version)
        await self._store.set_paused(order, paused=False)
        return await self._view(tenant_id, document, connector)

    async def reset_breaker(self, tenant_id: str, connector: str, actor: str) -> AccountView:
        """Close the breaker of an account and forget its failures. Idempotent.

        Raises: NotFound (UNKNOWN_CONNECTOR).
        """
        document = self._known(tenant_id, connector)
        await self._store.reset_breaker(Steering(tenant_id, connector, actor, document.version))
        return await self._view(tenant_id, document, connector)

    async def set_breaker(
        self, tenant_id: str, connector: str, order: BreakerOrder, actor: str, *, dry_run: bool
    ) -> tuple[AccountView, bool]:
        """Force the breakers of an account or end such an order; return the account and whether it changed.

        An order with a time is a new one each time it is given; all others are idempotent.

        Raises: NotFound (UNKNOWN_CONNECTOR).
        """
        document = self._known(tenant_id, connector)
        before = await self._view(tenant_id, document, connector)
        forced = order.as_forced(self._clock.now(), actor)
        if dry_run:
            stands = before.facts.breaker
            return before, not stands.idle if forced is None else stands.forced != forced
        steering = Steering(tenant_id, connector, actor, document.version)
        if forced is None:
            changed = await self._store.reset_breaker(steering, order.reason)
        else:
            changed = await self._store.force_breaker(steering, forced)
        return await self._view(tenant_id, document, connector), changed

    async def deliveries(
        self, tenant_id: str, wanted: DeliveryFilter, after: DeliveryPlace | None, page_size: int
    ) -> tuple[tuple[Delivery, ...], bool]:
        """Return one page of deliveries, and whether there are more."""
        rows = await self._store.list_deliveries(tenant_id, wanted, after, page_size + 1)
        return rows[:page_size], len(rows) > page_size

    async def audit(
        self,
        tenant_id: str,
        entity_id: uuid.UUID | None,
        event_key: uuid.UUID | None,
        below: tuple[int, int] | None,
        page_size: int,
    ) -> tuple[tuple[AuditEntry, ...], bool]:
        """Return one page of the audit, newest first, and whether there are more."""
        rows = await self._store.list_audit(tenant_id, entity_id, event_key, below, page_size + 1)
        return rows[:page_size], len(rows) > page_size

    def _known(self, tenant_id: str, connector: str) -> PolicyDocument:
        document = self._policies.current().get(tenant_id)
        if document is None or connector not in document.connectors:
            message = f"the policy in force names no connector {connector!r}"
            raise NotFound(message, reason="UNKNOWN_CONNECTOR", metadata={"connector": connector})
        return document

    async def _view(self, tenant_id: str, document: PolicyDocument, connector: str) -> AccountView:
        (view,) = await self._views(tenant_id, document, [connector])
        return view

    async def _views(
        self, tenant_id: str, document: PolicyDocument, connectors: Sequence[str]
    ) -> tuple[AccountView, ...]:
        now = self._clock.now()
        facts = await self._store.read_accounts(tenant_id, connectors, now.date())
        books = await self._store.read_books(
            tenant_id,
            {name: day_of(now, allowance_of(document.connectors[name].limits)) for name in connectors},
        )
        return tuple(
            replace(
                view_account(document.connectors[item.connector], item, books[item.connector], now),
                opening=standing_of(schedules, now) if schedules else None,
            )
            for item in facts
            for schedules in [document.schedules_of(item.connector)]
        )
