"""What there is to run: the jobs of the accounts of this process and of the engine, and running one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.connectors.base import CallFailed, ErrorClass
from headwater.connectors.base.streaming import Announcing
from headwater.sync.delivery.account import find_vendor
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.polling import Recorded, poll_plans
from headwater.sync.domain.scheduling import Job, RunOutcome
from headwater.sync.domain.streaming import StreamPlan, TopicsOf, poll_schedule, stream_plans
from headwater.sync.scheduling.expiring import ExpiryWatch
from headwater.sync.scheduling.maintenance import Maintenance
from headwater.sync.scheduling.polling import Polling
from headwater.sync.scheduling.ports import Reconciling
from headwater.sync.streaming.listening import Listening

EXPIRY_EVERY_S: Final = 3_600.0
"""Pause between two looks at what of an account ends."""
STREAM_AGAIN_S: Final = 60.0
"""Longest pause before a stream that would not go on is begun again."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended, in one sentence for operators."""

    outcome: RunOutcome
    detail: str


@dataclass(frozen=True, slots=True)
class Jobs:
    """The kinds of jobs and what runs them."""

    polling: Polling
    expiry: ExpiryWatch
    maintenance: Maintenance
    reconciling: Reconciling | None = None
    listening: Listening | None = None

    def of_account(self, account: RunningAccount) -> Sequence[Job]:
        """Return the jobs of *account*."""
        every_s = account.policy.poll.every_s
        polls = [
            Job(
                account.tenant_id,
                poll_schedule(account.name, crm_object),
                "poll",
                every_s,
                account.name,
                crm_object,
            )
            for crm_object in poll_plans(account.document, account.name)
        ]
        watch = Job(account.tenant_id, f"expiry/{account.name}", "expiry", EXPIRY_EVERY_S, account.name)
        compared = self.reconciling.jobs(account) if self.reconciling else ()
        streams = [
            Job(account.tenant_id, plan.schedule, "stream", STREAM_AGAIN_S, account.name, topic)
            for topic, plan in self._streams(account).items()
        ]
        return [*polls, *streams, watch, *compared]

    def of_engine(self) -> Sequence[Job]:
        """Return the engine's own jobs."""
        return self.maintenance.jobs()

    async def run(self, job: Job, accounts: Mapping[tuple[str, str], RunningAccount]) -> Done:
        """Run *job* once. Raises: what its kind raises."""
        if job.kind == "maintenance":
            return Done("ok", await self.maintenance.run(job))
        account = accounts[(job.tenant_id, job.connector)]
        if job.kind == "reconcile" and self.reconciling:
            return await self._reconciled(account, job.subject)
        if job.kind == "stream" and self.listening:
            return Done(*await self.listening.run(account, self._streams(account)[job.subject]))
        if job.kind == "expiry":
            held = await self.expiry.run(account)
            soon = [
                f"{item.expiry.subject} ({item.warned_days} d)"
                for item in held
                if item.warned_days is not None
            ]
            return Done("ok", f"{len(held)} with an end, warned of: {', '.join(soon) or 'none'}")
        plan = poll_plans(account.document, account.name)[job.subject]
        return _polled(await self.polling.run(account, plan))

    def _streams(self, account: RunningAccount) -> dict[str, StreamPlan]:
        if self.listening is None or account.policy.events.pubsub is None:
            return {}
        topics_of = _topics_of(find_vendor(account.policy.vendor))
        return stream_plans(account.document, account.name, topics_of) if topics_of else {}

    async def _reconciled(self, account: RunningAccount, subject: str) -> Done:
        assert self.reconciling is not None  # noqa: S101 - asked by the caller
        try:
            return Done("ok", (await self.reconciling.run(account, subject))[:1024])
        except CallFailed as held:
            if held.error.error_class is not ErrorClass.HELD:
                raise
            return Done("skipped", held.error.message)


def _topics_of(vendor: object) -> TopicsOf | None:
    return vendor.topics if isinstance(vendor, Announcing) else None


def _polled(result: Recorded | str) -> Done:
    if isinstance(result, str):
        return Done("skipped", result)
    detail = f"{result.accepted} new, {result.duplicates} known, {result.quarantined} quarantined"
    if result.refused:
        first = result.refused[0]
        detail += (
            f", {len(result.refused)} refused, first {first.external_id}: {first.reason}: {first.message}"
        )
    return Done("ok", detail[:1024])
