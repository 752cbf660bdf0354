"""What operators read and order of reconciliation. Every method may raise Unavailable."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headwater.sync.reconciling.ports import DriftRow, JobName, Order

DriftPlace = tuple[str, str, str, str]
"""A place in the list: account, CRM object, CRM id and kind."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as operators see it."""

    run_id: uuid.UUID
    connector: str
    job: str
    dry: bool
    begin_time: dt.datetime
    end_time: dt.datetime | None
    detail: str
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How drift of an account stands; as `DriftStanding` of reconciliation.proto."""

    connector: str
    open_count: int
    asked_count: int
    healed_count: int
    detect_p95_s: float
    heal_p95_s: float
    parity: float


class ParityDesk(Protocol):
    """Orders, runs and drift."""

    async def order(self, tenant_id: str, connector: str, job: JobName, order: Order) -> None:
        """Say how the next run of a job is to be."""
        ...

    async def list_runs(self, tenant_id: str, connector: str, job: str, limit: int) -> Sequence[RunView]:
        """Return runs, the newest first; empty words mean all."""
        ...

    async def standings(self, tenant_id: str, connector: str) -> Sequence[Standing]:
        """Return how drift stands by account."""
        ...

    async def list_drift(
        self, tenant_id: str, connector: str, states: Sequence[str], after: DriftPlace, limit: int
    ) -> Sequence[DriftRow]:
        """Return drift by account, object, record and kind."""
        ...

    async def decide(
        self, tenant_id: str, connector: str, kind: str, crm_ids: Sequence[str], action: str, actor: str
    ) -> int:
        """Take a decision, with audit; return how many drifts it is about."""
        ...

    async def decidable(self, tenant_id: str, connector: str, kind: str, crm_ids: Sequence[str]) -> int:
        """Return how many drifts a decision would be about."""
        ...
