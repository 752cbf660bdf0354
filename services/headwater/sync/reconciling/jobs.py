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
from headwater.sync.reconciling.ports import ParityBook
from headwater.sync.reconciling.weekly import Consistency
from headwater.sync.scheduling.ports import ChangeLog
from headwater.sync.usecases.timeline import Timelines

HEAL_EVERY_S: Final = 60.0
"""Pause between two looks at drift that was repaired, or that an operator has decided about."""
DAILY: Final = "daily"
WEEKLY: Final = "weekly"
MONTHLY: Final = "monthly"
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

    def jobs(self, account: RunningAccount) -> Sequence[Job]:
        """Return the jobs of *account*; none where the policy compares nothing of it."""
        section = account.document.reconcile
        if section is None or not sweep_plans(account.document, account.name):
            return ()
        periods = {DAILY: section.daily_s, HEAL: HEAL_EVERY_S, MONTHLY: section.monthly_s}
        enabled = [name for name, item in account.document.connectors.items() if item.enabled]
        if account.name == min(name for name in enabled if section.concerns(name)):
            periods[WEEKLY] = section.weekly_s  # of the tenant: one account's process does it
        return [
            Job(
                account.tenant_id,
                job_name(subject, account.name),
                "reconcile",
                every_s,
                account.name,
                subject,
            )
            for subject, every_s in periods.items()
        ]

    async def run(self, account: RunningAccount, subject: str) -> str:
        """Run one of them; return what it found. Raises: what its kind raises."""
        if subject == HEAL:
            return await self.parity.heal(account)
        if subject == WEEKLY:
            return await self.consistency.run(account)
        if subject == MONTHLY:
            return await self.review.run(account)
        return await self.parity.run(account)


def reconciliation(book: ParityBook, log: ChangeLog, timelines: Timelines, clock: Clock) -> Reconciliation:
    """Return the jobs of one process."""
    chance = random.Random()  # noqa: S311 - samples
    return Reconciliation(
        Parity(book, log, clock, chance), Consistency(book, timelines, clock), Review(book, clock)
    )
