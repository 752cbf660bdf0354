"""The ingest service put together: the only place that picks implementations. Order of start and end.

Start: telemetry, pool, durability, schema, policies, flushers, server. End: stop accepting, answer the calls
under way, flush what gathered, close the pool, flush telemetry.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import grpc

from headwater.connectors.base.webhooks import load_scheme
from headwater.ingest.archiving import FileArchive
from headwater.ingest.http.admitting import Doorman
from headwater.ingest.http.bodies import BodySettings
from headwater.ingest.http.routes import HttpDoor, HttpSettings
from headwater.ingest.http.server import HttpServer, HttpServerSettings
from headwater.ingest.ports import Archive, Days, Secrets
from headwater.ingest.rpc.fates import SyncFates
from headwater.ingest.rpc.secrets import WebhookSecrets
from headwater.ingest.rpc.service import IngestRpc, RpcSettings, add_to_server
from headwater.ingest.rpc.streaming import StreamSettings
from headwater.ingest.secrets import EnvironmentSecrets
from headwater.ingest.settings import NO_ARCHIVE, IngestSettings
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.days import PostgresDays
from headwater.ingest.store.log import PostgresEventLog
from headwater.ingest.store.policies import PostgresPolicies
from headwater.ingest.store.quarantine import PostgresQuarantine
from headwater.ingest.store.reading import PostgresEventReader
from headwater.ingest.usecases.expiring import Expiry, ExpirySettings
from headwater.ingest.usecases.flushing import Flusher, FlushSettings
from headwater.ingest.usecases.gathering import Gather
from headwater.ingest.usecases.keeping import Keeper, KeeperSettings
from headwater.ingest.usecases.measuring import QuarantineReader
from headwater.ingest.usecases.metering import IngestMeter
from headwater.ingest.usecases.policies import PolicyBook, PolicyBookSettings
from headwater.ingest.usecases.reading import Inspector
from headwater.ingest.usecases.receiving import Receiver
from headwater.ingest.usecases.recording import Recorder, RecordSettings
from headwater.ingest.usecases.releasing import Releaser
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.clock import Clock, SystemClock
from headwater.kernel.lifecycle import Shutdown, announce_ready
from headwater.kernel.pg.presence import PresenceSettings, PresenceWatch
from headwater.kernel.rpc import CallSettings, ConnectionSettings, RpcServer, ServerSettings, open_channel
from headwater.kernel.security.denial_book import PostgresDenialBook
from headwater.kernel.security.security import Security, open_security
from headwater.kernel.service import open_database
from headwater.kernel.telemetry import Telemetry
from headwater.kernel.telemetry.http import HttpServerTracing
from headwater.kernel.telemetry.rpc import client_tracing

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

SERVICE = "ingest"
LAST_WORD_S = 1.0
"""How long the readers' last wake-up may take at the end."""
GATHER_PARTS = 4
"""A flush begins beside another when so many-th of a full batch waits."""
CHANNEL_CLOSE_S = 2.0

_log = logging.getLogger(__name__)


async def serve(settings: IngestSettings, telemetry: Telemetry, shutdown: Shutdown) -> None:
    """Serve until the end is asked for and everything accepted is answered.

    Raises:
        StartRefused: the database is unfit, its schema is not this release's, or the address is taken.
    """
    async with open_doors(settings, telemetry) as doors:
        announce_ready(service=SERVICE, port=doors.port, http_port=doors.http_port)
        await shutdown.wait()
        _log.info("the end was asked for, draining")


@asynccontextmanager
async def serving(
    settings: IngestSettings,
    telemetry: Telemetry,
    *,
    clock: Clock | None = None,
    chance: random.Random | None = None,
) -> AsyncIterator[int]:
    """Run the service while the block runs; yields its gRPC port; as `open_doors`."""
    async with open_doors(settings, telemetry, clock=clock, chance=chance) as doors:
        yield doors.port


@asynccontextmanager
async def open_doors(
    settings: IngestSettings,
    telemetry: Telemetry,
    *,
    clock: Clock | None = None,
    chance: random.Random | None = None,
    secrets: Secrets | None = None,
) -> AsyncIterator[Doors]:
    """Run the service while the block runs; yields its ports; drains on the way out.

    Args:
        secrets: of webhooks; the environment's and the vault's when None.

    Raises:
        StartRefused: the database is unfit, its schema is not this release's, or an address is taken.
    """
    async with await _open_pool(settings) as pool, _channel(settings, telemetry) as channel:
        secrets = secrets or WebhookSecrets(
            EnvironmentSecrets(os.environ), channel, timeout_s=settings.fate_timeout_s
        )
        chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        service = _Service(settings, pool, channel, telemetry, clock or SystemClock(), chance, secrets)
        async with service.running() as doors:
            yield doors


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the service listens: the port of gRPC, and that of HTTP, 0 when there is no such door."""

    port: int
    http_port: int


@asynccontextmanager
async def maintaining(settings: IngestSettings) -> AsyncIterator[tuple[Days, Archive | None]]:
    """Give an operator's command the log's days and their archive while the block runs; no service is started.

    Raises:
        StartRefused: the database is unfit, or its schema is not this release's.
    """
    # Dropping waits for locks, and archiving reads a whole day: longer than a statement of the service may take.
    pool = await open_database(SERVICE, settings, size_min=1, size_max=2, statement_timeout_s=0)
    async with pool:
        yield PostgresDays(pool, acquire_timeout_s=settings.pool_acquire_timeout_s), _archive(settings)


@asynccontextmanager
async def letting_go(settings: IngestSettings) -> AsyncIterator[Expiry]:
    """Give an operator's command what lets tenants' events go while the block runs, as `maintaining`."""
    pool = await open_database(SERVICE, settings, size_min=1, size_max=2, statement_timeout_s=0)
    async with pool:
        policies = PolicyBook(
            PostgresPolicies(pool, acquire_timeout_s=settings.pool_acquire_timeout_s),
            PolicyBookSettings(poll_s=settings.policy_poll_s),
            random.Random(),  # noqa: S311 - jitter, no secret
        )
        await policies.refresh()
        days = PostgresDays(pool, acquire_timeout_s=settings.pool_acquire_timeout_s)
        yield expiry_of(settings, days, policies)


class _Service:
    """Every part of one running service."""

    def __init__(
        self,
        settings: IngestSettings,
        pool: Pool,
        channel: grpc.aio.Channel | None,
        telemetry: Telemetry,
        clock: Clock,
        chance: random.Random,
        secrets: Secrets,
    ) -> None:
        patience_s = settings.pool_acquire_timeout_s
        self._announcer = Announcer(pool, acquire_timeout_s=patience_s)
        self._event_logs = [
            PostgresEventLog(
                pool, telemetry.spans, self._announcer, acquire_timeout_s=patience_s, keeps_connection=True
            )
            for _ in range(settings.flushers)
        ]
        quarantine = PostgresQuarantine(pool, self._announcer, acquire_timeout_s=patience_s)
        reader = PostgresEventReader(pool, acquire_timeout_s=patience_s)
        telemetry.metrics.at_scrape(QuarantineReader(quarantine, telemetry.metrics, clock).read)
        self._stopping = Shutdown()
        self._gather = Gather(
            rows_enough=settings.batch_rows_max // GATHER_PARTS,
            rows_max=settings.buffer_rows,
            bytes_max=settings.buffer_bytes,
            retry_s_max=settings.retry_after_s_max,
        )
        self._policies = PolicyBook(
            PostgresPolicies(pool, acquire_timeout_s=patience_s),
            PolicyBookSettings(poll_s=settings.policy_poll_s),
            chance,
        )
        meter = IngestMeter(telemetry.metrics)
        self._flushers = [
            Flusher(
                self._gather,
                event_log,
                self._policies,
                telemetry.spans,
                _flush_settings(settings),
                chance,
                meter,
            )
            for event_log in self._event_logs
        ]
        days = PostgresDays(pool, acquire_timeout_s=patience_s)
        expiry = expiry_of(settings, days, self._policies)
        self._keeper = _keeper(settings, days, clock, chance, expiry)
        record_settings = RecordSettings(settings.batch_events_max, settings.retention_days)
        recorder = Recorder(self._gather, self._policies, clock, record_settings, meter)
        self._rpc = IngestRpc(
            recorder,
            Inspector(reader, quarantine, self._policies, expiry, clock),
            Releaser(quarantine, self._policies, clock),
            SyncFates(channel, timeout_s=settings.fate_timeout_s),
            _rpc_settings(settings),
            self._stopping,
        )
        security = open_security(settings, clock)
        self._server = RpcServer(
            _server_settings(settings), self._add_services, telemetry.tracer, security, telemetry.metrics
        )
        self._server.audit_denials(PostgresDenialBook(pool))
        receiver = Receiver(recorder, self._policies, reader, secrets, clock, load_scheme)
        tracing = HttpServerTracing(telemetry.tracer)
        self._door = HttpDoor(
            recorder, receiver, tracing, _http_settings(settings), self._stopping, Doorman(security)
        )
        self._http = _http_server(settings, self._door, security)
        self._presence = PresenceWatch(pool, self._tell_presence, PresenceSettings(settings.database_away_s))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Doors]:
        """Run the actors, and the servers inside them, while the block runs; the doors close together."""
        await self._policies.refresh()
        async with anyio.create_task_group() as watchers:
            watchers.start_soon(self._policies.watch)
            watchers.start_soon(self._keeper.run)
            watchers.start_soon(self._announcer.run)
            watchers.start_soon(self._presence.watch)
            async with AsyncExitStack() as kept, anyio.create_task_group() as flushers:
                for event_log in self._event_logs:
                    kept.push_async_callback(event_log.aclose)
                for flusher in self._flushers:
                    flushers.start_soon(flusher.run)
                async with self._http_door() as http_port, self._server.serving() as port:
                    try:
                        yield Doors(port, http_port)
                    finally:
                        self._stopping.request()
                self._gather.close()
            with anyio.move_on_after(LAST_WORD_S):
                await self._announcer.announce()
            watchers.cancel_scope.cancel()

    @asynccontextmanager
    async def _http_door(self) -> AsyncIterator[int]:
        """Yield the HTTP door's port, 0 when there is none; it closes as soon as the end is asked for."""
        if self._http is None:
            yield 0
            return
        async with self._http.serving(self._stopping) as port:
            yield port

    async def _tell_presence(self, present: bool) -> None:  # noqa: FBT001 - the watch's own word
        self._door.set_serving(present)
        await self._server.set_serving(present)

    def _add_services(self, server: grpc.aio.Server) -> Sequence[str]:
        add_to_server(self._rpc, server)
        return (ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name,)


async def _open_pool(settings: IngestSettings) -> Pool:
    return await open_database(
        SERVICE,
        settings,
        size_min=min(settings.flushers + 1, settings.pool_size_max),
        size_max=max(settings.pool_size_max, settings.flushers + 4),
        session_reset=False,
    )


@asynccontextmanager
async def _channel(settings: IngestSettings, telemetry: Telemetry) -> AsyncIterator[grpc.aio.Channel | None]:
    if not settings.sync_address:
        yield None
        return
    tracing = client_tracing(telemetry.tracer)
    channel = open_channel(settings.sync_address, tracing, security=settings.calling)
    try:
        yield channel
    finally:
        with anyio.move_on_after(CHANNEL_CLOSE_S, shield=True):
            await channel.close()


def expiry_of(settings: IngestSettings, days: Days, policies: PolicyBook) -> Expiry:
    """Return what lets tenants' events go by their policies."""
    kept = ExpirySettings(settings.retention_days, settings.reader_names)
    return Expiry(days, _archive(settings), policies.keepings, kept)


def _keeper(
    settings: IngestSettings, days: PostgresDays, clock: Clock, chance: random.Random, expiry: Expiry
) -> Keeper:
    kept = KeeperSettings(
        settings.keep_interval_s, settings.seal_rows, settings.retention_days, settings.reader_names
    )
    return Keeper(days, _archive(settings), clock, kept, chance, expiry)


def _archive(settings: IngestSettings) -> FileArchive | None:
    if settings.archive_dir in {"", NO_ARCHIVE}:
        return None
    return FileArchive(
        Path(settings.archive_dir),
        command=settings.archive_command,
        command_timeout_s=settings.archive_command_timeout_s,
    )


def _flush_settings(settings: IngestSettings) -> FlushSettings:
    return FlushSettings(settings.batch_rows_max, settings.flush_retry_s, settings.backoff_s_max)


def _rpc_settings(settings: IngestSettings) -> RpcSettings:
    stream = StreamSettings(
        settings.stream_batches_ahead,
        settings.stream_rows_ahead,
        settings.stream_bytes_ahead,
        settings.stream_batch_wait_s,
    )
    return RpcSettings(
        settings.deadline_required, settings.deadline_default_s, settings.deadline_max_s, stream=stream
    )


def _server_settings(settings: IngestSettings) -> ServerSettings:
    return ServerSettings(
        address=settings.address,
        message_bytes_max=settings.message_bytes_max,
        drain_s=settings.drain_s,
        reflection=settings.reflection,
        share_port=settings.replica > 0,
        calls=CallSettings(settings.calls_max, settings.retry_after_s_max, settings.request_s),
        connections=ConnectionSettings(
            connections_max=settings.connections_max,
            streams_max=settings.streams_max,
            metadata_bytes_max=settings.metadata_bytes_max,
            handshake_s=settings.handshake_s,
            ping_s=settings.ping_s,
            ping_timeout_s=settings.ping_timeout_s,
            idle_s=settings.connection_idle_s,
            age_s=settings.connection_age_s,
            age_grace_s=settings.connection_age_grace_s,
        ),
    )


def _http_settings(settings: IngestSettings) -> HttpSettings:
    bodies = BodySettings(
        settings.http_body_bytes_max, settings.http_bodies_bytes_max, settings.http_body_timeout_s
    )
    return HttpSettings(wait_s=settings.deadline_default_s, bodies=bodies)


def _http_server(settings: IngestSettings, door: HttpDoor, security: Security) -> HttpServer | None:
    if not settings.http_address:
        return None
    listening = HttpServerSettings(
        address=settings.http_address,
        connections_max=settings.http_connections_max,
        head_timeout_s=settings.http_head_timeout_s,
        keep_alive_s=settings.http_keep_alive_s,
        drain_s=settings.drain_s,
        reuse_port=settings.replica > 0,
    )
    return HttpServer(listening, door.application(), security)
