"""Wires the identity service: the only place that picks implementations."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import grpc

from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.tiers import MERGE_BITS_MIN
from headwater.identity.domain.identifying import SHIPPED, Normaliser
from headwater.identity.domain.resolving.values import Limits
from headwater.identity.domain.reviewing import Thresholds
from headwater.identity.domain.teaching import Bounds
from headwater.identity.event_log import IngestEventLog
from headwater.identity.learning.classroom import ProcessClassroom
from headwater.identity.rpc import SERVICE_NAME, WEIGHTS_SERVICE_NAME, IdentityServicer, WeightsServicer
from headwater.identity.settings import IdentitySettings
from headwater.identity.store import (
    PostgresGroupStore,
    PostgresIdentityStore,
    PostgresOutbox,
    PostgresRecordEraser,
    PostgresRedoStore,
    PostgresReviewStore,
    PostgresSurveyStore,
    PostgresWeightsNews,
    PostgresWeightsStore,
)
from headwater.identity.store.session import Sessions
from headwater.identity.usecases.asking import Questions
from headwater.identity.usecases.checking import Checker
from headwater.identity.usecases.choosing import Chooser
from headwater.identity.usecases.erasing import Eraser
from headwater.identity.usecases.following import Groups
from headwater.identity.usecases.learning import Learner, LearningLimits
from headwater.identity.usecases.learning_job import LearningJob
from headwater.identity.usecases.merging import Merger
from headwater.identity.usecases.metering import ResolveMeter
from headwater.identity.usecases.queueing import Queue
from headwater.identity.usecases.redoing import Redoer, RedoSettings
from headwater.identity.usecases.relay import Bell, Relay
from headwater.identity.usecases.resolve import Resolver
from headwater.identity.usecases.reviewing import Reviewer
from headwater.identity.usecases.surveying import Surveys
from headwater.identity.usecases.telling import Telling
from headwater.identity.usecases.weighing import ActiveWeights
from headwater.identity.v1 import identity_pb2_grpc, weights_pb2_grpc
from headwater.kernel.clock import Clock, SystemClock
from headwater.kernel.lifecycle import Shutdown, announce_ready
from headwater.kernel.rpc import RpcServer, ServerSettings, open_channel
from headwater.kernel.security.denial_book import PostgresDenialBook
from headwater.kernel.security.security import open_security
from headwater.kernel.service import open_database
from headwater.kernel.telemetry import Telemetry, current
from headwater.kernel.telemetry.rpc import client_tracing

if TYPE_CHECKING:  # the name exists for type checkers only
    from headwater.kernel.pg.pool import Pool

SERVICE = "identity"

_log = logging.getLogger(__name__)


async def serve(settings: IdentitySettings, telemetry: Telemetry, shutdown: Shutdown) -> None:
    """Serve until the end is asked for, then drain.

    Raises:
        StartRefused: the database is not durable or not migrated, or the address cannot be bound.
    """
    async with running(settings, telemetry) as port:
        announce_ready(service=SERVICE, port=port)
        await shutdown.wait()
        _log.info("the end was asked for, draining")


@asynccontextmanager
async def running(
    settings: IdentitySettings,
    telemetry: Telemetry,
    clock: Clock | None = None,
    rules: Normaliser = SHIPPED,
) -> AsyncIterator[int]:
    """Run server, relay and the going over of records while the block runs; yield the port."""
    async with (
        await _open_database(settings) as pool,
        open_channel(
            settings.ingest_address, client_tracing(telemetry.tracer), security=settings.calling
        ) as ingest,
        anyio.create_task_group() as tasks,
    ):
        bell = Bell()
        clock = clock or SystemClock()
        sessions = Sessions(pool, telemetry.spans, settings.pool_acquire_timeout_s)
        weights = ActiveWeights(PostgresWeightsStore(sessions), settings.weights_tenants_max)
        await weights.refresh()
        tasks.start_soon(weights.follow, PostgresWeightsNews(sessions), settings.weights_refresh_s)
        tasks.start_soon(weights.follow_sizes)
        learner = _learner(settings, PostgresWeightsStore(sessions), weights, clock)
        if (job := _learning_job(settings, PostgresWeightsStore(sessions), learner, clock)) is not None:
            tasks.start_soon(job.run)
        relay = _relay(settings, sessions, ingest, clock, bell)
        tasks.start_soon(relay.run)
        asked = Bell()
        meter = ResolveMeter(telemetry.metrics)
        redoer = _redoer(settings, sessions, clock, bell, weights, rules, asked, meter)
        tasks.start_soon(redoer.run)
        server = _server(settings, telemetry, sessions, redoer, weights, learner)
        server.audit_denials(PostgresDenialBook(pool))
        try:
            async with server.serving() as port:
                yield port
        finally:
            tasks.cancel_scope.cancel()
            bell.close()
            asked.close()


async def _open_database(settings: IdentitySettings) -> Pool:
    return await open_database(
        SERVICE,
        settings,
        size_min=settings.pool_size_min,
        size_max=settings.pool_size_max,
        statement_timeout_s=settings.statement_timeout_s,
        session_reset=False,
    )


def _relay(
    settings: IdentitySettings, sessions: Sessions, ingest: grpc.aio.Channel, clock: Clock, bell: Bell
) -> Relay:
    log = IngestEventLog(ingest, settings.ingest_timeout_s)
    return Relay(PostgresOutbox(sessions), log, clock, bell, random.Random())  # noqa: S311 - jitter


def _learner(
    settings: IdentitySettings, store: PostgresWeightsStore, weights: ActiveWeights, clock: Clock
) -> Learner:
    limits = LearningLimits(
        settings.learn_records_max,
        settings.learn_answers_max,
        settings.learn_timeout_s,
        Bounds(pairs_min=settings.learn_pairs_min, moved_bits_max=settings.learn_moved_bits_max),
    )
    chance = random.Random()  # noqa: S311 - a sample
    return Learner(store, weights, ProcessClassroom(clock), limits, clock, chance)


def _learning_job(
    settings: IdentitySettings, store: PostgresWeightsStore, learner: Learner, clock: Clock
) -> LearningJob | None:
    if settings.learn == "off":
        return None
    chance = random.Random()  # noqa: S311 - jitter
    return LearningJob(store, learner, clock, chance, settings.learn_interval_s, settings.learn)


def _redoer(
    settings: IdentitySettings,
    sessions: Sessions,
    clock: Clock,
    bell: Bell,
    weights: ActiveWeights,
    rules: Normaliser,
    asked: Bell,
    meter: ResolveMeter,
) -> Redoer:
    limits = limits_of(settings)
    store = PostgresIdentityStore(sessions, limits, settings.statement_timeout_s)
    resolver = Resolver(store, Telling(clock, uuid.uuid4, current), bell, weights, limits, rules, meter=meter)
    pace = RedoSettings(
        settings.redo_batch_records,
        settings.redo_records_per_s,
        settings.redo_check_s,
        settings.redo_lease_s,
        settings.statement_timeout_s,
    )
    return Redoer(PostgresRedoStore(store), resolver, str(uuid.uuid4()), asked, pace)


def _server(
    settings: IdentitySettings,
    telemetry: Telemetry,
    sessions: Sessions,
    redoer: Redoer,
    weights: ActiveWeights,
    learner: Learner,
) -> RpcServer:
    resolver = redoer.resolver
    limits, telling = resolver.limits, resolver.telling
    store = PostgresIdentityStore(sessions, limits, settings.statement_timeout_s)
    merger, reviews = Merger(store, telling, resolver.wake, weights, limits), PostgresReviewStore(store)
    servicer = IdentityServicer(
        resolver,
        merger,
        Questions(store, weights),
        Checker(store, weights, limits, resolver.rules),
        Reviewer(reviews, merger),
        Queue(reviews, weights, thresholds_of(limits), telling.clock),
        Groups(PostgresGroupStore(sessions)),
        redoer,
        Surveys(PostgresSurveyStore(store), weights, limits, telling.clock, settings.stream_s),
        Eraser(PostgresRecordEraser(sessions, settings.statement_timeout_s)),
    )

    weighing = WeightsServicer(learner, Chooser(PostgresWeightsStore(sessions), weights, telling.clock))

    def add_services(server: grpc.aio.Server) -> Sequence[str]:
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server)
        weights_pb2_grpc.add_WeightsServiceServicer_to_server(weighing, server)
        return (SERVICE_NAME, WEIGHTS_SERVICE_NAME)

    listen = ServerSettings(settings.address, drain_s=settings.drain_s, reflection=settings.reflection)
    return RpcServer(listen, add_services, telemetry.tracer, open_security(settings), telemetry.metrics)


def thresholds_of(limits: Limits) -> Thresholds:
    """Return the bits at which a review is in the balance: where a pair may be merged, where a group falls apart."""
    return Thresholds(MERGE_BITS_MIN, limits.rules.bits_min)


def limits_of(settings: IdentitySettings) -> Limits:
    """Return the bounds of one resolve."""
    return Limits(
        Rules(records_max=settings.entity_records_max, margin_bits=settings.margin_bits),
        settings.key_rows_max,
        settings.candidates_max,
        settings.near_max,
        settings.pairs_max,
        auto_merge=settings.merge == "auto",
    )
