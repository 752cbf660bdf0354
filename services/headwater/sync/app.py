"""Wires the sync service: the only place that picks implementations."""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from headwater.kernel.clock import Clock, SystemClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.lifecycle import Shutdown, announce_ready
from headwater.kernel.pg.pool import Pool
from headwater.kernel.rpc import open_channel
from headwater.kernel.security.denial_book import PostgresDenialBook
from headwater.kernel.service import open_database
from headwater.kernel.telemetry import Telemetry
from headwater.kernel.telemetry.rpc import client_tracing
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.auditing.wiring import audit_keeper, data_dir_of
from headwater.sync.catchup import CatchUp
from headwater.sync.delivery.account import AccountParts
from headwater.sync.delivery.accounts import RunningAccounts
from headwater.sync.delivery.credentials import Secrets
from headwater.sync.delivery.fairness import TenantTurns
from headwater.sync.delivery.host import DeliveryHost
from headwater.sync.delivery.watching import DueWatch
from headwater.sync.enriching.wiring import enrichment_host
from headwater.sync.following.forecaster import Foresight
from headwater.sync.following.worker import FollowWorker
from headwater.sync.measuring import StateReader
from headwater.sync.membership import Membership
from headwater.sync.metering import ProjectionMeter
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.echoes import Echoes
from headwater.sync.projector.host import ProjectorHost, ProjectorSettings
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.remote.identity import IdentityResolver
from headwater.sync.remote.ingest import IngestLog
from headwater.sync.remote.policies import PolicyDoor
from headwater.sync.remote.tidings import IngestTidings
from headwater.sync.removing.worker import RemovalWorker
from headwater.sync.replaying.worker import ReplayWorker
from headwater.sync.rollouts.inspecting import InspectionWorker, PostedInspections
from headwater.sync.rollouts.worker import RolloutWorker
from headwater.sync.routing.worker import RoutingWorker
from headwater.sync.rpc import SyncServicer
from headwater.sync.rpc.approvals import ApprovalServicer
from headwater.sync.rpc.audit import AuditServicer
from headwater.sync.rpc.deletes import DeleteServicer
from headwater.sync.rpc.enrichment import EnrichmentServicer
from headwater.sync.rpc.merges import MergeServicer
from headwater.sync.rpc.policies import PolicyServicer
from headwater.sync.rpc.provenance import ProvenanceServicer
from headwater.sync.rpc.quality import QualityServicer
from headwater.sync.rpc.rollouts import RolloutServicer
from headwater.sync.rpc.routing import RoutingServicer
from headwater.sync.rpc.schedules import ScheduleServicer
from headwater.sync.rpc.timeline import TimelineServicer
from headwater.sync.scheduling.wiring import JobStores, scheduling_host
from headwater.sync.secrets import EnvironmentSecrets
from headwater.sync.serving import Servicers, server_of
from headwater.sync.settings import SyncSettings
from headwater.sync.store.approvals import PostgresApprovals
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.store.echoes import PostgresHeldRecords
from headwater.sync.store.enrichment import PostgresEnrichment
from headwater.sync.store.gauges import PostgresGauges
from headwater.sync.store.inspections import PostgresInspections
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.limits import PostgresLimits
from headwater.sync.store.maintenance import PostgresUpkeep
from headwater.sync.store.merges import PostgresMergeQuestions, PostgresMerges
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.polling import PostgresCalendar, PostgresCursors
from headwater.sync.store.projection import PostgresLog, PostgresProjections
from headwater.sync.store.provable import PostgresProvableAudit
from headwater.sync.store.provenance import PostgresProvenance
from headwater.sync.store.quality import PostgresQuality
from headwater.sync.store.removals import PostgresRemovals
from headwater.sync.store.renewals import PostgresRenewals
from headwater.sync.store.replays import PostgresReplays
from headwater.sync.store.rollouts import PostgresRollouts
from headwater.sync.store.routing import PostgresRouting
from headwater.sync.store.routing_desk import PostgresRoutingDesk
from headwater.sync.store.schedules import PostgresSchedules
from headwater.sync.store.timeline import PostgresTimelines
from headwater.sync.store.timeline_desk import PostgresTimelineDesk
from headwater.sync.store.trail import PostgresTrail
from headwater.sync.store.vault import PostgresSafe
from headwater.sync.store.versions import PostgresVersions
from headwater.sync.store.watching import PostgresDueTimes
from headwater.sync.store.workbench import PostgresWorkbench
from headwater.sync.timeline.worker import TimelineWorker
from headwater.sync.usecases.approvals import Approvals
from headwater.sync.usecases.deletes import Deletes
from headwater.sync.usecases.enrichment import EnrichmentView
from headwater.sync.usecases.operations import Operations
from headwater.sync.usecases.provenance import Provenance
from headwater.sync.usecases.proving import Proving
from headwater.sync.usecases.quality import Quality
from headwater.sync.usecases.rollouts import Rollouts
from headwater.sync.usecases.routing import RoutingOffice
from headwater.sync.usecases.schedules import SteeredSchedules
from headwater.sync.usecases.timeline import Timelines
from headwater.sync.usecases.versions import Versions
from headwater.sync.usecases.workbench import Workbench
from headwater.sync.vault.rings import ring_of
from headwater.sync.vault.secrets import AccountSecrets, reopen_changed
from headwater.sync.vault.vault import Vault
from headwater.sync.versions.worker import RenewalWorker
from headwater.sync.wakeup import (
    DELIVERY_CHANNEL,
    ENRICHMENT_CHANNEL,
    INSPECTION_CHANNEL,
    LOG_CHANNEL,
    MERGE_CHANNEL,
    POLICY_CHANNEL,
    REPLAY_CHANNEL,
    ROLLOUT_CHANNEL,
    ROUTING_CHANNEL,
    RUNG,
    SCHEDULE_CHANNEL,
    TIMELINE_CHANNEL,
    VAULT_CHANNEL,
    Wakeup,
    hearers_of,
    listen,
)

SERVICE = "sync"
HAND_OVER_S = 2.0
"""How long letting go of the leases may take."""

CONNECTIONS_KEPT = 3
"""Connections that turns of actors leave to others: the listener, the projector, heartbeat and operators."""

_log = logging.getLogger(__name__)


async def serve(settings: SyncSettings, telemetry: Telemetry, shutdown: Shutdown) -> None:
    """Serve until the end is asked for: operations API, projector and actors.

    Raises:
        StartRefused: the database is not durable or not migrated, or the address cannot be bound.
    """
    async with running(settings, telemetry, SystemClock()) as port:
        announce_ready(service=SERVICE, port=port)
        await shutdown.wait()
        _log.info("the end was asked for, draining")


@asynccontextmanager
async def running(settings: SyncSettings, telemetry: Telemetry, clock: Clock) -> AsyncIterator[int]:
    """Run everything while the block runs; yield the port of the operations API."""
    async with (
        await open_database(
            SERVICE, settings, size_min=2, size_max=settings.pool_size_max, session_reset=False
        ) as pool,
        open_channel(
            settings.identity_address, client_tracing(telemetry.tracer), security=settings.calling
        ) as identity,
    ):
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        leases = PostgresLeases(pool, holder, settings.lease_ttl_s)
        log = PostgresLog(pool)
        policies = LogPolicies(log)
        await policies.refresh()
        resolver = IdentityResolver(identity, settings.identity_timeout_s)
        echoes = Echoes(PostgresHeldRecords(pool))
        projections = PostgresProjections(pool)
        projector = BatchProjector(
            projections, resolver, policies, telemetry.spans, clock, echoes,
            ProjectionMeter(telemetry.metrics),
        )  # fmt: skip
        bells = {channel: Wakeup() for channel in RUNG}
        projecting = ProjectorSettings(batch_events=settings.batch_events, gather_s=settings.gather_s)
        membership, accounts = Membership(leases), RunningAccounts()
        approvals = PostgresApprovals(pool)
        telemetry.metrics.at_scrape(
            StateReader(PostgresGauges(pool), policies.current, telemetry.metrics, clock, membership).read
        )
        catch_up = CatchUp(clock, settings.catch_up_s_max)
        host = ProjectorHost(
            log, leases, membership, policies, projector, bells[LOG_CHANNEL], projecting, catch_up
        )
        deliveries = DeliveryHost(
            partial(PostgresDeliveries, pool),
            partial(PostgresLimits, pool),
            leases,
            membership,
            policies,
            _account_parts(
                _secrets(pool, settings, holder),
                settings,
                telemetry,
                clock,
                membership,
                catch_up,
                approvals,
            ),
            accounts,
        )
        desk = PostgresSchedules(pool)
        quality = Quality(PostgresQuality(pool), resolver, policies, clock)
        stores = JobStores(
            desk,
            PostgresCursors(pool),
            PostgresCalendar(pool),
            PostgresUpkeep(pool),
            quality.measure_all,
            approvals.expire,
        )
        ingest = IngestLog(settings.ingest_address, settings.calling)
        schedules = scheduling_host(stores, ingest, leases, membership, accounts, clock, settings)
        enrichment, books = PostgresEnrichment(pool), partial(PostgresLimits, pool)
        enriching = enrichment_host(enrichment, ingest, leases, membership, policies, books, telemetry, clock)
        keeper = audit_keeper(PostgresTrail(pool), leases, membership, clock, settings, os.environ)
        watch = DueWatch(PostgresDueTimes(pool), deliveries.accounts)
        replays, book = PostgresReplays(pool), PostgresOperations(pool)
        operations = Operations(book, policies, clock)
        workbench = Workbench(PostgresWorkbench(pool), replays, book, policies, clock)
        rollouts, inspections, removals = (
            PostgresRollouts(pool),
            PostgresInspections(pool),
            PostgresRemovals(pool),
        )
        rolling = RolloutWorker(rollouts, PolicyDoor(settings.ingest_address, settings.calling))
        removing = RemovalWorker(removals, accounts, approvals)
        routing = RoutingWorker(
            PostgresRouting(pool), IngestTidings(settings.ingest_address, settings.calling), policies
        )
        merges, questions = PostgresMerges(pool), PostgresMergeQuestions(pool)
        servicers = Servicers(
            SyncServicer(operations, workbench),
            ScheduleServicer(SteeredSchedules(desk)),
            RolloutServicer(Rollouts(rollouts, book, clock, PostedInspections(inspections))),
            MergeServicer(Foresight(merges, questions, book, policies)),
            AuditServicer(Proving(PostgresProvableAudit(pool))),
            PolicyServicer(Versions(PostgresVersions(pool), book, clock)),
            ProvenanceServicer(Provenance(PostgresProvenance(pool))),
            QualityServicer(quality),
            ApprovalServicer(Approvals(approvals, policies)),
            DeleteServicer(Deletes(removals, policies)),
            EnrichmentServicer(EnrichmentView(enrichment, policies, clock)),
            RoutingServicer(RoutingOffice(PostgresRoutingDesk(pool), policies, clock)),
            TimelineServicer(Timelines(PostgresTimelineDesk(pool), policies)),
        )
        async with (
            server_of(servicers, telemetry, settings, PostgresDenialBook(pool)).serving() as port,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(membership.keep)
            hearers = {
                **hearers_of(bells),
                DELIVERY_CHANNEL: watch.notify,
                VAULT_CHANNEL: lambda told: reopen_changed(deliveries.accounts(), told),
            }
            tasks.start_soon(listen, pool, hearers)
            for worker, channel in (
                (ReplayWorker(replays).run, REPLAY_CHANNEL),
                (rolling.run, ROLLOUT_CHANNEL),
                (RenewalWorker(PostgresRenewals(pool)).run, POLICY_CHANNEL),
                (InspectionWorker(inspections, accounts).run, INSPECTION_CHANNEL),
                (FollowWorker(merges, questions, accounts, approvals=approvals).run, MERGE_CHANNEL),
                (schedules.run, SCHEDULE_CHANNEL),
                (enriching.run, ENRICHMENT_CHANNEL),
                (routing.run, ROUTING_CHANNEL),
                (TimelineWorker(PostgresTimelines(pool), policies, clock).run, TIMELINE_CHANNEL),
            ):
                tasks.start_soon(worker, bells[channel])
            for job in (host.run, deliveries.run, watch.watch, keeper.run, removing.run):
                tasks.start_soon(job)
            try:
                yield port
                await deliveries.drain()
            finally:
                tasks.cancel_scope.cancel()
        await _hand_over(leases)


async def _hand_over(leases: PostgresLeases) -> None:
    """Let the next process begin at once; without a database the leases lapse by themselves."""
    with anyio.move_on_after(HAND_OVER_S, shield=True):
        try:
            await leases.leave()
        except Unavailable as error:
            _log.warning("leases are left to lapse: %s", error)


def _secrets(pool: Pool, settings: SyncSettings, holder: str) -> AccountSecrets:
    ring = ring_of(settings.vault_keys, data_dir_of(os.environ), os.environ)
    return AccountSecrets(EnvironmentSecrets(os.environ), Vault(PostgresSafe(pool), ring), holder)


def _account_parts(
    secrets_: Secrets,
    settings: SyncSettings,
    telemetry: Telemetry,
    clock: Clock,
    membership: Membership,
    catch_up: CatchUp,
    approvals: ApprovalBook,
) -> AccountParts:
    return AccountParts(
        secrets_,
        telemetry.spans,
        clock,
        random.Random,
        TenantTurns(settings.pool_size_max - CONNECTIONS_KEPT),
        anyio.CapacityLimiter(settings.account_starts_max),
        membership.may_work,
        idle_s=settings.idle_s,
        gives_way_s=catch_up.left_s,
        approvals=approvals,
        metrics=telemetry.metrics,
    )
