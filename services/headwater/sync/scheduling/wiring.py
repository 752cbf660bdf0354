"""Puts the periodic jobs together from stores and a log that `app` has picked."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headwater.kernel.clock import Clock
from headwater.kernel.metrics import Metrics
from headwater.sync.delivery.accounts import RunningAccounts
from headwater.sync.membership import Membership
from headwater.sync.metering import StreamMeter
from headwater.sync.ports import Leases
from headwater.sync.scheduling.expiring import ExpiryWatch
from headwater.sync.scheduling.host import HostSettings, SchedulingHost
from headwater.sync.scheduling.jobs import Jobs
from headwater.sync.scheduling.maintenance import Maintenance, Retention
from headwater.sync.scheduling.polling import Polling
from headwater.sync.scheduling.ports import Calendar, ChangeLog, Cursors, Reconciling, Schedules, Upkeep
from headwater.sync.settings import SyncSettings
from headwater.sync.streaming.listening import Listening
from headwater.sync.streaming.ports import Streams


@dataclass(frozen=True, slots=True)
class JobStores:
    """Where the jobs keep what they know."""

    schedules: Schedules
    cursors: Cursors
    calendar: Calendar
    upkeep: Upkeep
    measure_quality: Callable[[], Awaitable[str]] | None = None
    expire_approvals: Callable[[int], Awaitable[int]] | None = None
    reconciling: Reconciling | None = None
    streams: Streams | None = None


def scheduling_host(
    stores: JobStores,
    log: ChangeLog,
    leases: Leases,
    membership: Membership,
    accounts: RunningAccounts,
    clock: Clock,
    settings: SyncSettings,
    metrics: Metrics | None = None,
) -> SchedulingHost:
    """Return the host of the periodic jobs of this process."""
    chance = random.Random()  # noqa: S311 - jitter
    retention = Retention(settings.attempt_days, settings.projection_days, settings.error_group_days)
    jobs = Jobs(
        Polling(stores.cursors, log, clock),
        ExpiryWatch(stores.calendar, clock),
        Maintenance(stores.upkeep, clock, retention, stores.measure_quality, stores.expire_approvals),
        stores.reconciling,
        Listening(stores.streams, stores.cursors, clock, chance, StreamMeter(metrics))
        if stores.streams
        else None,
    )
    bounds = HostSettings(runs_max=settings.schedule_runs_max)
    return SchedulingHost(jobs, stores.schedules, leases, membership, accounts, clock, chance, bounds)
