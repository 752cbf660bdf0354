"""Beginning, watching and steering backfills. Orders effects, holds no state.

NotFound              UNKNOWN_CONNECTOR  UNKNOWN_BACKFILL
PreconditionFailed    NOT_READ  BACKFILL_ENDED
InvalidInput          an object that the policy does not read of the account, a stretch that ends before it begins
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from headwater.kernel.clock import Clock
from headwater.kernel.errors import FieldViolation, InvalidInput, NotFound, PreconditionFailed
from headwater.policy.document import PolicyDocument
from headwater.sync.backfilling.ports import BackfillDesk
from headwater.sync.domain.backfilling import FROM, Backfill, BackfillState, Part, call_pause_s, predicted_end
from headwater.sync.domain.operating import Steering
from headwater.sync.domain.polling import poll_plans
from headwater.sync.ports import Policies


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants read.

    Args:
        until: None: now.
        crm_objects: none: all that the policy reads of the account.
        absences: whether records are looked for that the CRM does not list any more; only of all there is.
    """

    tenant_id: str
    backfill_id: uuid.UUID
    connector: str
    since: dt.datetime | None
    until: dt.datetime | None
    crm_objects: Sequence[str]
    share: float
    dry_run: bool
    actor: str
    absences: bool = False


@dataclass(frozen=True, slots=True)
class BackfillView:
    """A backfill as operators see it.

    Args:
        call_pause_s: shortest pause between two of its calls, by the policy in force.
        predicted_end: None while nobody knows.
    """

    backfill: Backfill
    call_pause_s: float
    predicted_end: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Backfills:
    """Backfills as operators use them."""

    desk: BackfillDesk
    policies: Policies
    clock: Clock

    async def start(self, order: Order) -> BackfillView:
        """Begin a backfill, or return it as it stands when it was begun before.

        Raises: NotFound, PreconditionFailed, InvalidInput.
        """
        document = self._known(order.tenant_id, order.connector)
        plans = poll_plans(document, order.connector)
        if not plans:
            message = f"the policy reads nothing of {order.connector}: give an object direction two_way or in, or name it in poll.objects"
            raise PreconditionFailed(message, reason="NOT_READ", metadata={"connector": order.connector})
        unknown = [name for name in order.crm_objects if name not in plans]
        if unknown:
            rule = f"must be among {', '.join(plans)}"
            raise InvalidInput(
                f"{order.connector} has no such object: {', '.join(unknown)}",
                violations=(FieldViolation("crm_objects", unknown[0], "allowed", rule),),
            )
        until = order.until or self.clock.now()
        if order.since is not None and order.since > until:
            broken = FieldViolation(
                "since_time", order.since.isoformat(), "order", "must not be after until_time"
            )
            raise InvalidInput("the stretch ends before it begins", violations=(broken,))
        if order.absences and (order.since is not None or order.until is not None):
            rule = (
                "a stretch of time tells nothing of records outside it: leave since_time and until_time out"
            )
            raise InvalidInput(
                "absences are only looked for among all records",
                violations=(FieldViolation("absences", "true", "whole", rule),),
            )
        names = order.crm_objects or tuple(plans)
        planned = Backfill(
            tenant_id=order.tenant_id,
            backfill_id=order.backfill_id,
            connector=order.connector,
            since=order.since,
            until=until,
            share=order.share,
            dry_run=order.dry_run,
            state=BackfillState.RUNNING,
            actor=order.actor,
            policy_version=document.version,
            absences=order.absences,
            parts=tuple(Part(name, plans[name].object_name) for name in dict.fromkeys(names)),
        )
        await self.desk.start(planned)
        return await self.one(order.tenant_id, order.backfill_id)

    async def one(self, tenant_id: str, backfill_id: uuid.UUID) -> BackfillView:
        """Return a backfill as it stands. Raises: NotFound (UNKNOWN_BACKFILL)."""
        found = await self.desk.read(tenant_id, backfill_id)
        if found is None:
            metadata = {"backfill_id": str(backfill_id)}
            raise NotFound(f"no backfill {backfill_id}", reason="UNKNOWN_BACKFILL", metadata=metadata)
        return self._view(found)

    async def listed(self, tenant_id: str, limit: int) -> tuple[BackfillView, ...]:
        """Return the newest backfills."""
        return tuple(self._view(item) for item in await self.desk.list_backfills(tenant_id, limit))

    async def steer(
        self, tenant_id: str, backfill_id: uuid.UUID, actor: str, *, state: BackfillState, share: float = 0.0
    ) -> BackfillView:
        """Pause, resume or cancel a backfill. Idempotent.

        Args:
            share: another one from now on; 0: as before.

        Raises: NotFound (UNKNOWN_BACKFILL); PreconditionFailed (BACKFILL_ENDED).
        """
        document = self.policies.current().get(tenant_id)
        order = Steering(tenant_id, "", actor, document.version if document else "")
        await self.desk.steer(order, backfill_id, state, share)
        view = await self.one(tenant_id, backfill_id)
        found = view.backfill.state
        if found is not state and found not in FROM[state]:
            message = f"backfill {backfill_id} has ended: {found.name.lower()}"
            raise PreconditionFailed(message, reason="BACKFILL_ENDED")
        return view

    def _view(self, backfill: Backfill) -> BackfillView:
        document = self.policies.current().get(backfill.tenant_id)
        policy = document.connectors.get(backfill.connector) if document else None
        pause_s = call_pause_s(policy.limits, backfill.share) if policy else 0.0
        return BackfillView(backfill, pause_s, predicted_end(backfill, self.clock.now()))

    def _known(self, tenant_id: str, connector: str) -> PolicyDocument:
        document = self.policies.current().get(tenant_id)
        if document is None or connector not in document.connectors:
            message = f"the policy in force names no connector {connector!r}"
            raise NotFound(message, reason="UNKNOWN_CONNECTOR", metadata={"connector": connector})
        return document
