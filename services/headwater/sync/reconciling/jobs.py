"""The jobs of reconciliation and what runs each of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.kernel.clock import Clock
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.scheduling import Job
from headwater.sync.domain.sweep_plans import sweep_plans
from headwater.sync.reconciling.daily import Parity
from headwater.sync.reconciling.monthly import Review
from headwater.sync.reconciling.ports import FieldUse, ParityBook
from headwater.sync.reconciling.quarterly import FieldReview
from headwater.sync.reconciling.weekly import Consistency
from headwater.sync.scheduling.ports import ChangeLog
from headwater.sync.usecases.timeline import Timelines

HEAL_EVERY_S: Final = 60.0
"""Pause between two looks at drift that was repaired, or that an operator has decided about."""
DAILY: Final = "daily"
WEEKLY: Final = "weekly"
MONTHLY: Final = "monthly"
QUARTERLY: Final = "quarterly"
QUARTERLY_S: Final = 7_776_000.0
FIRST_REVIEW_S: Final = 86_400.0
"""How long an account has to be at work before somebody looks at which of its fields are used."""
"""Period of the review of fields where the policy compares nothing: 90 days."""
HEAL: Final = "heal"


def job_name(subject: str, account: str) -> str:
    """Return the name of a job of reconciliation."""
    return f"reconcile/{subject}/{account}"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Port `Reconciling`."""

    parity: Parity
    consistency: Consistency
    review: Review
    fields: FieldReview

    def jobs(self, account: RunningAccount) -> Sequence[Job]:
        """Return the jobs of *account*; where the policy compares nothing of it, the review of its fields alone."""
        section = account.document.reconcile
        if section is None or not sweep_plans(account.document, account.name):
            return [_job(account, QUARTERLY, section.quarterly_s if section else QUARTERLY_S)]
        periods = {DAILY: section.daily_s, HEAL: HEAL_EVERY_S, MONTHLY: section.monthly_s}
        periods[QUARTERLY] = section.quarterly_s
        enabled = [name for name, item in account.document.connectors.items() if item.enabled]
        if account.name == min(name for name in enabled if section.concerns(name)):
            periods[WEEKLY] = section.weekly_s  # of the tenant: one account's process does it
        return [_job(account, subject, every_s) for subject, every_s in periods.items()]

    async def run(self, account: RunningAccount, subject: str) -> str:
        """Run one of them; return what it found. Raises: what its kind raises."""
        if subject == HEAL:
            return await self.parity.heal(account)
        if subject == WEEKLY:
            return await self.consistency.run(account)
        if subject == MONTHLY:
            return await self.review.run(account)
        if subject == QUARTERLY:
            return await self.fields.run(account)
        return await self.parity.run(account)


def _job(account: RunningAccount, subject: str, every_s: float) -> Job:
    name = job_name(subject, account.name)
    first_s = min(FIRST_REVIEW_S, every_s / 2) if subject == QUARTERLY else 0.0
    return Job(account.tenant_id, name, "reconcile", every_s, account.name, subject, first_s)


def reconciliation(
    book: ParityBook, use: FieldUse, log: ChangeLog, timelines: Timelines, clock: Clock
) -> Reconciliation:
    """Return the jobs of one process."""
    chance = random.Random()  # noqa: S311 - samples
    return Reconciliation(
        Parity(book, log, clock, chance),
        Consistency(book, timelines, clock),
        Review(book, clock),
        FieldReview(book, use, clock),
    )
