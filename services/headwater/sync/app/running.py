"""Runs the process: the API, the engine, what works beside it, and the end in order."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from headwater.kernel.clock import Clock, SystemClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.lifecycle import Shutdown, announce_ready
from headwater.kernel.security.denial_book import PostgresDenialBook
from headwater.kernel.telemetry import Telemetry
from headwater.sync.app.engine import delivery_host, projector_host
from headwater.sync.app.ground import SERVICE, Ground, open_ground
from headwater.sync.app.offices import open_offices
from headwater.sync.app.shelves import Shelves
from headwater.sync.app.workers import called_workers, jobs
from headwater.sync.delivery.watching import DueWatch
from headwater.sync.measuring import StateReader
from headwater.sync.serving import server_of
from headwater.sync.settings import SyncSettings
from headwater.sync.store.gauges import PostgresGauges
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.watching import PostgresDueTimes
from headwater.sync.vault.secrets import reopen_changed
from headwater.sync.wakeup import (
    DELIVERY_CHANNEL,
    LOG_CHANNEL,
    RUNG,
    VAULT_CHANNEL,
    Wakeup,
    hearers_of,
    listen,
)

HAND_OVER_S: Final = 2.0
"""How long letting go of the leases may take."""

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
    async with open_ground(settings, telemetry, clock) as ground:
        shelves, bells = Shelves.on(ground), {channel: Wakeup() for channel in RUNG}
        projecting, deliveries = projector_host(ground, bells[LOG_CHANNEL]), delivery_host(ground, shelves)
        watch = DueWatch(PostgresDueTimes(ground.pool), deliveries.accounts)
        hearers = {
            **hearers_of(bells),
            DELIVERY_CHANNEL: watch.notify,
            VAULT_CHANNEL: lambda told: reopen_changed(deliveries.accounts(), told),
        }
        _measure(ground)
        async with (
            server_of(
                open_offices(ground, shelves), telemetry, settings, PostgresDenialBook(ground.pool)
            ).serving() as port,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(ground.membership.keep)
            tasks.start_soon(listen, ground.pool, hearers)
            for worker, channel in called_workers(ground, shelves):
                tasks.start_soon(worker, bells[channel])
            for job in (projecting.run, deliveries.run, watch.watch, *jobs(ground, shelves)):
                tasks.start_soon(job)
            try:
                yield port
                await deliveries.drain()
            finally:
                tasks.cancel_scope.cancel()
        await _hand_over(ground.leases)


def _measure(ground: Ground) -> None:
    metrics = ground.telemetry.metrics
    gauges = PostgresGauges(ground.pool)
    metrics.at_scrape(
        StateReader(gauges, ground.policies.current, metrics, ground.clock, ground.membership).read
    )


async def _hand_over(leases: PostgresLeases) -> None:
    """Let the next process begin at once; without a database the leases lapse by themselves."""
    with anyio.move_on_after(HAND_OVER_S, shield=True):
        try:
            await leases.leave()
        except Unavailable as error:
            _log.warning("leases are left to lapse: %s", error)
