"""What every service's start has in common: environment, logs, telemetry, a checked database, an end.

`run_service` is a service's whole `__main__`; `open_database` is the first thing its `app` does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from anyio import to_thread

from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import Shutdown, run_process
from headwater.kernel.pg.durability import check_durability
from headwater.kernel.pg.errors import PostgresFault
from headwater.kernel.pg.migrations import check_schema, package_of
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.settings import ServiceSettings, read_settings
from headwater.kernel.telemetry import Telemetry, TelemetrySettings, configure_logging, start_telemetry

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_log = logging.getLogger(__name__)

TELEMETRY_FLUSH_S: Final = 2.0
"""How long the end may take for spans that wait."""

Settings = TypeVar("Settings", bound=ServiceSettings)


def run_service(
    service: str,
    model: type[Settings],
    serve: Callable[[Settings, Telemetry, Shutdown], Awaitable[None]],
) -> int:
    """Run *service* until it is told to end; return its exit code.

    Args:
        service: name of the service, of its schema and of its `service.name`.
        model: its settings.
        serve: serves until the shutdown is requested, then drains.
    """
    configure_logging(service, "info")
    try:
        settings = read_settings(model, os.environ)
    except StartRefused as refused:
        _log.critical("start refused: %s", refused)
        return StartRefused.exit_code
    configure_logging(service, settings.log_level)
    _log.info("settings: %s", settings.printed())

    async def run(shutdown: Shutdown) -> None:
        telemetry = start_telemetry(service, TelemetrySettings(sample_ratio=settings.trace_ratio))
        try:
            await serve(settings, telemetry, shutdown)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(telemetry.shutdown, TELEMETRY_FLUSH_S)

    return run_process(run)


async def open_database(
    service: str,
    settings: ServiceSettings,
    *,
    size_min: int,
    size_max: int,
    statement_timeout_s: float = 30.0,
    session_reset: bool = True,
) -> Pool:
    """Open a pool on a database that is durable and has this release's schema of *service*.

    Raises:
        StartRefused: it is not durable, too old, not migrated, or migrated by a newer release.
    """
    pool = await open_pool(
        settings.database_url,
        application_name=f"headwater-{service}",
        size_min=size_min,
        size_max=size_max,
        statement_timeout_s=statement_timeout_s,
        session_reset=session_reset,
    )
    try:
        async with pool.acquire() as connection:
            findings = await check_durability(connection, override=settings.durability_override)
            await check_schema(connection, service, package_of(service))
    except PostgresFault as fault:
        pool.terminate()
        raise StartRefused(str(fault), reason=fault.reason) from fault
    for finding in findings:
        _log.warning("durability overridden: %s", finding)
    return pool
