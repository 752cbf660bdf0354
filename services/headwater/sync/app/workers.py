"""What works beside the engine: periodic jobs, and workers that a bell calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from headwater.sync.app.ground import Ground
from headwater.sync.app.shelves import Shelves
from headwater.sync.auditing.wiring import audit_keeper
from headwater.sync.backfilling.worker import BackfillWorker
from headwater.sync.enriching.wiring import enrichment_host
from headwater.sync.erasing.worker import ErasureWorker
from headwater.sync.fetching.worker import FetchWorker
from headwater.sync.following.worker import FollowWorker
from headwater.sync.reconciling.jobs import reconciliation
from headwater.sync.remote.policies import PolicyDoor
from headwater.sync.remote.tidings import IngestTidings
from headwater.sync.removing.worker import RemovalWorker
from headwater.sync.replaying.worker import ReplayWorker
from headwater.sync.rollouts.inspecting import InspectionWorker
from headwater.sync.rollouts.worker import RolloutWorker
from headwater.sync.routing.worker import RoutingWorker
from headwater.sync.scheduling.wiring import JobStores, scheduling_host
from headwater.sync.store.fetches import PostgresFetches
from headwater.sync.store.field_use import PostgresFieldUse
from headwater.sync.store.limits import PostgresLimits
from headwater.sync.store.maintenance import PostgresUpkeep
from headwater.sync.store.parity import PostgresParity
from headwater.sync.store.polling import PostgresCalendar, PostgresCursors
from headwater.sync.store.renewals import PostgresRenewals
from headwater.sync.store.routing import PostgresRouting
from headwater.sync.store.streams import PostgresStreams
from headwater.sync.store.timeline import PostgresTimelines
from headwater.sync.store.trail import PostgresTrail
from headwater.sync.timeline.worker import TimelineWorker
from headwater.sync.versions.worker import RenewalWorker
from headwater.sync.wakeup import (
    BACKFILL_CHANNEL,
    ENRICHMENT_CHANNEL,
    ERASURE_CHANNEL,
    FETCH_CHANNEL,
    INSPECTION_CHANNEL,
    MERGE_CHANNEL,
    POLICY_CHANNEL,
    REPLAY_CHANNEL,
    ROLLOUT_CHANNEL,
    ROUTING_CHANNEL,
    SCHEDULE_CHANNEL,
    TIMELINE_CHANNEL,
    Wakeup,
)

Called = Callable[[Wakeup], Coroutine[Any, Any, None]]
Job = Callable[[], Coroutine[Any, Any, None]]


def called_workers(ground: Ground, shelves: Shelves) -> Iterator[tuple[Called, str]]:
    """Yield each worker with the channel whose bell calls it."""
    pool, policies, clock, accounts = ground.pool, ground.policies, ground.clock, ground.accounts
    settings, merges, questions = ground.settings, shelves.merges, shelves.questions
    door = PolicyDoor(settings.ingest_address, settings.calling)
    tidings = IngestTidings(settings.ingest_address, settings.calling)
    yield ReplayWorker(shelves.replays).run, REPLAY_CHANNEL
    yield RolloutWorker(shelves.rollouts, door).run, ROLLOUT_CHANNEL
    yield RenewalWorker(PostgresRenewals(pool)).run, POLICY_CHANNEL
    yield InspectionWorker(shelves.inspections, accounts).run, INSPECTION_CHANNEL
    yield FollowWorker(merges, questions, accounts, approvals=shelves.approvals).run, MERGE_CHANNEL
    yield _schedules(ground, shelves), SCHEDULE_CHANNEL
    yield _enriching(ground, shelves), ENRICHMENT_CHANNEL
    yield RoutingWorker(PostgresRouting(pool), tidings, policies).run, ROUTING_CHANNEL
    yield FetchWorker(PostgresFetches(pool), ground.ingest, accounts, clock).run, FETCH_CHANNEL
    yield BackfillWorker(shelves.backfills, ground.ingest, accounts, clock).run, BACKFILL_CHANNEL
    yield ErasureWorker(shelves.erasures, ground.resolver, policies, accounts).run, ERASURE_CHANNEL
    yield TimelineWorker(PostgresTimelines(pool), policies, clock).run, TIMELINE_CHANNEL


def jobs(ground: Ground, shelves: Shelves) -> Iterator[Job]:
    """Yield what runs by its own clock."""
    keeper = audit_keeper(
        PostgresTrail(ground.pool),
        ground.leases,
        ground.membership,
        ground.clock,
        ground.settings,
        os.environ,
    )
    yield keeper.run
    yield RemovalWorker(shelves.removals, ground.accounts, shelves.approvals).run


def _schedules(ground: Ground, shelves: Shelves) -> Called:
    pool, clock = ground.pool, ground.clock
    stores = JobStores(
        shelves.schedules,
        PostgresCursors(pool),
        PostgresCalendar(pool),
        PostgresUpkeep(pool),
        partial(shelves.quality.measure_all, ground.catch_up.is_behind),
        shelves.approvals.expire,
        reconciliation(PostgresParity(pool), PostgresFieldUse(pool), ground.ingest, shelves.timelines, clock),
        PostgresStreams(pool),
    )
    return scheduling_host(
        stores, ground.ingest, ground.leases, ground.membership, ground.accounts, clock, ground.settings,
        ground.telemetry.metrics,
    ).run  # fmt: skip


def _enriching(ground: Ground, shelves: Shelves) -> Called:
    books = partial(PostgresLimits, ground.pool)
    return enrichment_host(
        shelves.enrichment, ground.ingest, ground.leases, ground.membership, ground.policies, books,
        ground.telemetry, ground.clock,
    ).run  # fmt: skip
