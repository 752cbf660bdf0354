"""What reconciliation needs of the store, in its own words. May raise Unavailable and StoreRaced; with a lease, FenceLost."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from headwater.connectors.base.sweeping import Span
from headwater.sync.domain.field_review import Tally
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.parity_ranges import Range
from headwater.sync.domain.reconciling import Drift, DriftKind, FieldDrift, Ours
from headwater.sync.domain.sweep_plans import SweepPlan

JobName = Literal["daily", "weekly", "monthly", "quarterly"]
DriftState = Literal["open", "repairing", "asked", "healed", "accepted"]
Repair = Literal["", "redeliver", "refetch", "recreate", "ask"]


@dataclass(frozen=True, slots=True)
class Account:
    """Whose book it is: tenant, account, and the lease under which it is written."""

    tenant_id: str
    name: str
    lease: Lease


@dataclass(frozen=True, slots=True)
class DriftRow:
    """Drift as it is kept.

    Args:
        repair: what was done last, or what an operator has ordered.
        ordered_by: who ordered; empty where the policy decides.
    """

    connector: str
    crm_object: str
    crm_id: str
    kind: DriftKind
    object: str
    entity_id: uuid.UUID | None
    fields: tuple[FieldDrift, ...]
    version: int
    state: DriftState
    repair: Repair
    repair_count: int
    ordered_by: str
    drift_time: dt.datetime | None
    detect_time: dt.datetime
    repair_time: dt.datetime | None
    heal_time: dt.datetime | None
    run_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a kept drift."""

    row: DriftRow
    state: DriftState
    repair: Repair = ""


@dataclass(frozen=True, slots=True)
class Redelivery:
    """A delivery to make due, and what the CRM shows in its stead."""

    entity_id: uuid.UUID
    crm_id: str
    version: int
    seen: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job; without an end it goes on where it was."""

    run_id: uuid.UUID
    job: JobName
    begin_time: dt.datetime
    dry: bool = False
    end_time: dt.datetime | None = None
    detail: str = ""
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """How an operator wants the next run.

    Args:
        whole: everything is read, whatever shows no change.
    """

    dry: bool
    whole: bool
    actor: str


class FieldUse(Protocol):
    """What the database knows of the use of fields."""

    async def tally(self, tenant_id: str, connector: str, source: str, objects: Sequence[str]) -> Tally:
        """Return the use of an account's fields.

        Args:
            source: the account's system, whose records are read.
            objects: that are read from it.
        """
        ...


class ParityBook(Protocol):
    """What is kept of comparing one account."""

    async def ranges(self, account: Account, crm_object: str) -> Sequence[Range]:
        """Return the ranges of an object, in the order of ids."""
        ...

    async def ours_hashes(
        self, account: Account, plan: SweepPlan, spans: Sequence[Span]
    ) -> Mapping[str, str]:
        """Return a hash of what we hold of each span, by its beginning."""
        ...

    async def our_ids(self, account: Account, plan: SweepPlan, span: Span) -> Sequence[str]:
        """Return the CRM ids that we hold within a span."""
        ...

    async def ours(
        self, account: Account, plan: SweepPlan, crm_ids: Sequence[str], entities: Sequence[uuid.UUID]
    ) -> Ours:
        """Return what we hold of records, and the homes of entities."""
        ...

    async def keep_ranges(
        self, account: Account, crm_object: str, replaced: Sequence[str], ranges: Sequence[Range]
    ) -> None:
        """Keep ranges in the place of those that began with *replaced*."""
        ...

    async def prove_ranges(
        self, account: Account, crm_object: str, lows: Sequence[str], run_id: uuid.UUID
    ) -> None:
        """Note that ranges were proven unchanged."""
        ...

    async def note(
        self,
        account: Account,
        crm_object: str,
        run_id: uuid.UUID,
        drifts: Sequence[Drift],
        now: dt.datetime,
    ) -> None:
        """Note drift that was found."""
        ...

    async def open_drift(
        self, account: Account, after: tuple[str, str, str], limit: int, *, asked: bool
    ) -> Sequence[DriftRow]:
        """Return drift that something can be done about, by object, id and kind; what waits for a person where *asked*."""
        ...

    async def settle(self, account: Account, settled: Sequence[Settled], now: dt.datetime) -> None:
        """Note what became of drift."""
        ...

    async def redeliver(
        self, account: Account, policy_version: str, actor: str, items: Sequence[Redelivery]
    ) -> frozenset[uuid.UUID]:
        """Make deliveries due again in the lane reconcile; return those that were."""
        ...

    async def recreate(
        self, account: Account, policy_version: str, actor: str, items: Sequence[tuple[uuid.UUID, str]]
    ) -> frozenset[uuid.UUID]:
        """Let records that are gone be written anew; return the entities of those that will be."""
        ...

    async def gone(self, account: Account) -> Mapping[str, tuple[int, int]]:
        """Return, by CRM object, how many records are gone that should not be, and how many the CRM has."""
        ...

    async def add_calls(self, account: Account, day: dt.date, calls: int) -> int:
        """Count calls of a day; return them all."""
        ...

    async def take_order(self, account: Account, job: JobName) -> Order | None:
        """Take the order for the next run, None where there is none."""
        ...

    async def unfinished(self, account: Account, job: JobName, since: dt.datetime) -> Run | None:
        """Return the run that goes on."""
        ...

    async def write_run(self, account: Account, run: Run) -> None:
        """Keep a run as it stands."""
        ...

    async def last_report(self, account: Account, job: JobName) -> Mapping[str, Any]:
        """Return the report of the last run of a job that ended and was not dry; empty before the first."""
        ...

    async def timeline_gaps(
        self, account: Account, *, repair: bool
    ) -> tuple[Sequence[uuid.UUID], Sequence[uuid.UUID]]:
        """Return activities of the tenant that are in no timeline, and those associated with entities that stand no more.

        Args:
            repair: have the first be looked at again.
        """
        ...

    async def prune(self, account: Account) -> None:
        """Forget what is older than a year."""
        ...
