"""Ordering runs of reconciliation, and deciding about drift. Orders effects, holds no state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.kernel.errors import InvalidInput, NotFound
from headwater.sync.domain.drift_healing import ALLOWED
from headwater.sync.domain.reconciling import DriftKind
from headwater.sync.domain.sweep_plans import sweep_plans
from headwater.sync.ports import Policies
from headwater.sync.reconciling.desk import DriftPlace, ParityDesk, RunView, Standing
from headwater.sync.reconciling.jobs import HEAL, QUARTERLY, WEEKLY, job_name
from headwater.sync.reconciling.ports import DriftRow, JobName, Order
from headwater.sync.scheduling.ports import ScheduleDesk

ACCEPT: Final = "accept"
UNENDED: Final = ("open", "repairing", "asked")
"""States of drift that has not ended."""


@dataclass(frozen=True, slots=True)
class ReconciliationOffice:
    """What operators do about reconciliation."""

    desk: ParityDesk
    schedules: ScheduleDesk
    policies: Policies

    def _compared(self, tenant_id: str, connector: str) -> tuple[str, ...]:
        document = self.policies.current().get(tenant_id)
        names = [
            name
            for name, item in (document.connectors.items() if document else ())
            if document and item.enabled and connector in {"", name} and sweep_plans(document, name)
        ]
        if not names:
            what = f"connector {connector!r}" if connector else "no connector"
            message = f"{what} is not compared: name it under `reconcile` in the policy, and enable it"
            raise NotFound(message, reason="NOT_COMPARED", metadata={"connector": connector})
        return tuple(sorted(names))

    def _enabled(self, tenant_id: str, connector: str) -> tuple[str, ...]:
        document = self.policies.current().get(tenant_id)
        accounts = document.connectors.items() if document else ()
        names = [name for name, item in accounts if item.enabled and connector in {"", name}]
        if not names:
            message = f"the policy has no enabled connector {connector!r}"
            raise NotFound(message, reason="UNKNOWN_CONNECTOR", metadata={"connector": connector})
        return tuple(sorted(names))

    async def run(self, tenant_id: str, connector: str, job: JobName, order: Order) -> tuple[str, ...]:
        """Order a run of an account, or of all; return whose. Raises: NotFound."""
        names = (
            self._compared(tenant_id, connector) if job != QUARTERLY else self._enabled(tenant_id, connector)
        )
        if job == WEEKLY:  # of the tenant: one account's process does it
            names = self._compared(tenant_id, "")[:1]
        for name in names:
            await self.desk.order(tenant_id, name, job, order)
            await self.schedules.ask_run(tenant_id, job_name(job, name), order.actor)
        return names

    async def runs(
        self, tenant_id: str, connector: str, job: str, limit: int
    ) -> tuple[Sequence[RunView], Sequence[Standing]]:
        """Return runs, the newest first, and how drift stands."""
        return (
            await self.desk.list_runs(tenant_id, connector, job, limit),
            await self.desk.standings(tenant_id, connector),
        )

    async def drift(
        self, tenant_id: str, connector: str, state: str, after: DriftPlace, page_size: int
    ) -> tuple[Sequence[DriftRow], bool]:
        """Return one page of drift, and whether there is more."""
        states = (state,) if state else UNENDED
        found = await self.desk.list_drift(tenant_id, connector, states, after, page_size + 1)
        return found[:page_size], len(found) > page_size

    async def decide(
        self,
        tenant_id: str,
        connector: str,
        kind: DriftKind,
        crm_ids: Sequence[str],
        action: str,
        actor: str,
        *,
        dry: bool,
    ) -> int:
        """Take a decision about drift; return how many it is about, or would be. Raises: InvalidInput, NotFound."""
        allowed = (*ALLOWED[kind], ACCEPT)
        if action not in allowed:
            message = f"action is {action!r}; about drift of kind {kind} it must be {' or '.join(allowed)}"
            raise InvalidInput(message, reason="REPAIR_NOT_ALLOWED")
        self._compared(tenant_id, connector)
        if dry:
            return await self.desk.decidable(tenant_id, connector, kind, crm_ids)
        decided = await self.desk.decide(tenant_id, connector, kind, crm_ids, action, actor)
        if decided and action != ACCEPT:
            await self.schedules.ask_run(tenant_id, job_name(HEAL, connector), actor)
        return decided
