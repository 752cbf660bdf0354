"""When a periodic job runs: a grid of planned times, jitter, and what becomes of runs that were missed. Pure.

Planned times lie on a grid of `every_s`, so that jitter and long runs make no drift. Runs missed while nobody could
run coalesce into one: a poller that was away for an hour reads the hour once. Times are wall time, since they must
outlive processes; a clock that jumps back cannot put a run further off than one period.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import Final, Literal

JITTER_SHARE: Final = 0.1
"""Of a period, how late a run may be by chance, so that the jobs of many accounts do not march in step."""
FIRST_S_MAX: Final = 30.0
"""Longest wait of a job's very first run, by chance."""
FIRST_LASTING_S_MAX: Final = 1.0
"""The same of a job that lasts: until it runs, nothing is told."""
RETRY_S: Final = 5.0
"""Pause after the first failure in a row; doubled with each, never beyond the next planned run."""

JobKind = Literal["poll", "stream", "expiry", "maintenance", "reconcile"]
RunOutcome = Literal["", "ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Job:
    """Something to run again and again.

    Args:
        tenant_id: whose; empty for jobs of the engine itself.
        name: unique within the tenant, as `poll/hubspot/contact`.
        connector: the account it belongs to; empty when none.
        subject: what of it, for the job itself.
        first_s: how long after it is known it runs first, at the earliest: before, there is nothing to look at.
    """

    tenant_id: str
    name: str
    kind: JobKind
    every_s: float
    connector: str = ""
    subject: str = ""
    first_s: float = 0.0

    @property
    def key(self) -> tuple[str, str]:
        """Tenant and name."""
        return (self.tenant_id, self.name)

    @property
    def lasts(self) -> bool:
        """Whether a run has no end of its own: its period is only the longest pause before it begins again."""
        return self.kind == "stream"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands.

    Args:
        plan_time: the grid's time of the next run.
        next_time: that, and the jitter.
        asked: an operator wants it to run now, also when it is paused.
        failure_count: failures in a row.
        missed_count: runs that fell together with a later one, ever.
        order_count: runs that operators have ordered, ever.
    """

    plan_time: dt.datetime
    next_time: dt.datetime
    paused: bool = False
    asked: bool = False
    failure_count: int = 0
    missed_count: int = 0
    order_count: int = 0


def first_standing(job: Job, now: dt.datetime, chance: random.Random) -> Standing:
    """Return how a job begins that never ran."""
    most_s = FIRST_LASTING_S_MAX if job.lasts else FIRST_S_MAX
    first = now + dt.timedelta(seconds=job.first_s + chance.uniform(0, min(job.every_s, most_s)))
    return Standing(first, first)


def wait_s(standing: Standing, job: Job, now: dt.datetime) -> float | None:
    """Return the seconds until the job is to run, 0 for now, None while it is paused."""
    if standing.asked:
        return 0.0
    if standing.paused:
        return None
    ahead_s = (standing.next_time - now).total_seconds()
    if ahead_s > job.every_s * (1 + JITTER_SHARE):  # the clock was put back, or the period was shortened
        return 0.0
    return max(0.0, ahead_s)


def after_run(
    standing: Standing, job: Job, now: dt.datetime, chance: random.Random, *, failed: bool
) -> Standing:
    """Return how the job stands after a run that ended at *now*.

    Args:
        failed: then it is tried again before the next planned run, later with each failure in a row.
    """
    late_s = (now - standing.plan_time).total_seconds()
    if job.lasts or late_s < -job.every_s:  # misses nothing; planned for a time that the clock has left
        plan, passed = now + dt.timedelta(seconds=job.every_s), 0
    else:
        passed = 0 if late_s < 0 else int(late_s // job.every_s) + 1
        plan = standing.plan_time + dt.timedelta(seconds=passed * job.every_s)
    jittered = plan + dt.timedelta(seconds=chance.uniform(0, job.every_s * JITTER_SHARE))
    failures = standing.failure_count + 1 if failed else 0
    again = now + dt.timedelta(seconds=retry_pause_s(failures, job.every_s, chance)) if failed else jittered
    return Standing(
        plan_time=plan,
        next_time=min(jittered, again),
        paused=standing.paused,
        failure_count=failures,
        missed_count=standing.missed_count + max(0, passed - 1),
        order_count=standing.order_count,
    )


def retry_pause_s(failures: int, every_s: float, chance: random.Random) -> float:
    """Return the pause after *failures* (1 and up) in a row: half of it fixed, half by chance."""
    pause_s: float = min(every_s, RETRY_S * 2.0 ** min(failures - 1, 20))
    return pause_s / 2 + chance.uniform(0, pause_s / 2)
