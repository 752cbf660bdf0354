"""What every service's start has in common: environment, logs, telemetry, a checked database, an end.

`run_service` is a service's whole `__main__`; `open_database` is the first thing its `app` does.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
from anyio import to_thread

from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import LAST_RESORT_S, Shutdown, run_process
from headwater.kernel.metrics.door import DoorSettings, serving_metrics
from headwater.kernel.pg.durability import check_durability
from headwater.kernel.pg.errors import PostgresFault, RolesMissing
from headwater.kernel.pg.migrations import check_schema, find_roles, package_of
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.pg.roles import HOW, MODE_VARIABLE, WEAKER, FoundRoles
from headwater.kernel.replicas import ReplicaSettings, ReplicaSupervisor, process_count, watch_parent
from headwater.kernel.security.security import check_addresses
from headwater.kernel.settings import ReplicatedSettings, ServiceSettings, read_settings
from headwater.kernel.telemetry import Telemetry, TelemetrySettings, configure_logging, start_telemetry

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_log = logging.getLogger(__name__)

TELEMETRY_FLUSH_S: Final = 2.0
"""How long the end may take for spans that wait."""

COLLECTOR_THRESHOLDS: Final = (50_000, 20, 100)
"""Objects made and not yet freed before the youngest are looked through, and how many such looks before the older
ones are; Python's default is 700, 10, 10, which costs ingest some 5 % of its CPU."""

Settings = TypeVar("Settings", bound=ServiceSettings)


def run_service(
    service: str,
    model: type[Settings],
    serve: Callable[[Settings, Telemetry, Shutdown], Awaitable[None]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run *service* until it is told to end; return its exit code.

    Args:
        service: name of the service, of its schema and of its `service.name`.
        model: its settings.
        serve: serves until the shutdown is requested, then drains.
        arguments: of the command line; by default the process's own.
    """
    configure_logging(service, "info")
    environment = {**os.environ, **_read_arguments(service, model, arguments)}
    try:
        settings = read_settings(model, environment)
        check_addresses(settings, _listens(settings))
    except StartRefused as refused:
        _log.critical("start refused: %s", refused)
        return StartRefused.exit_code
    configure_logging(service, settings.log_level, replica=settings.replica)
    if isinstance(settings, ReplicatedSettings) and not settings.replica:
        count = process_count(settings.processes)
        if count > 1:
            _log.info("settings: %s", settings.printed())
            return _supervise(service, settings, count, environment)
    if not settings.replica:
        _log.info("settings: %s", settings.printed())

    spare_the_collector()

    async def run(shutdown: Shutdown) -> None:
        if settings.replica:
            _end_with_supervisor(shutdown, settings.end_s)
        telemetry = start_telemetry(service, TelemetrySettings(sample_ratio=settings.trace_ratio))
        door = DoorSettings(settings.metrics_address, settings.metrics_targets_dir, service, settings.replica)
        try:
            async with serving_metrics(door, telemetry.metrics):
                await serve(settings, telemetry, shutdown)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(telemetry.shutdown, TELEMETRY_FLUSH_S)

    return run_process(run, end_s=settings.end_s)


def _listens(settings: ServiceSettings) -> list[str]:
    """Return the addresses that a service is to listen on."""
    names = settings.listens if isinstance(settings, ReplicatedSettings) else ("address",)
    return [address for name in names if (address := getattr(settings, name, ""))]


def spare_the_collector() -> None:
    """Let cycles be looked for seldom, and never among what was imported: that is for good.

    Hot values are no part of cycles and are freed at once without it; what it does find are exceptions' frames
    and ended calls, a few MB between two looks.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def _read_arguments(
    service: str, model: type[ServiceSettings], arguments: Sequence[str] | None
) -> dict[str, str]:
    """Return the variables that the command line sets."""
    parser = argparse.ArgumentParser(
        prog=f"python -m headwater.{service}",
        description=f"Runs Headwater's {service} service; settings come from the environment.",
    )
    if issubclass(model, ReplicatedSettings):
        explained = "processes that share the port; 0: one for each core, at most 8"
        parser.add_argument("--processes", metavar="N", help=explained)
    given = vars(parser.parse_args(arguments))
    return {model.variable(name): value for name, value in given.items() if value is not None}


def _supervise(service: str, settings: ReplicatedSettings, count: int, environment: Mapping[str, str]) -> int:
    """Run *count* processes of *service* and end with them."""
    replicas = ReplicaSettings(
        command=(sys.executable, "-m", f"headwater.{service}"),
        count=count,
        addresses={
            settings.variable(name): address
            for name in settings.listens
            if (address := getattr(settings, name))
        },
        grace_s=settings.end_s + LAST_RESORT_S,
    )
    supervisor = ReplicaSupervisor(replicas, environment, random.Random())  # noqa: S311 - jitter, no secret
    return run_process(supervisor.run, end_s=settings.end_s + 2 * LAST_RESORT_S)


def _end_with_supervisor(shutdown: Shutdown, end_s: float) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.call_soon_threadsafe(shutdown.request)

    watch_parent(end, end_s=end_s + LAST_RESORT_S)


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
    found = await _look_at(service, settings)
    return await open_pool(
        settings.database_url,
        application_name=f"headwater-{service}",
        size_min=size_min,
        size_max=size_max,
        statement_timeout_s=statement_timeout_s,
        session_reset=session_reset,
        **_stepping_down(found, service),
    )


async def _look_at(service: str, settings: ServiceSettings) -> FoundRoles | None:
    """Refuse an unfit database; return the roles that it has, as its user."""
    looking = await open_pool(settings.database_url, application_name=f"headwater-{service}", size_max=1)
    try:
        async with looking, looking.acquire() as connection:
            findings = await check_durability(connection, override=settings.durability_override)
            found = await find_roles(connection, service, package_of(service))
            await check_schema(connection, service, package_of(service))
            if found is None and settings.database_roles == "required":
                raise RolesMissing(f"{MODE_VARIABLE}=required, and the schema {service} has no roles: {HOW}")
    except PostgresFault as fault:
        raise StartRefused(str(fault), reason=fault.reason) from fault
    for finding in findings:
        _log.warning("durability overridden: %s", finding)
    if found is None:
        _log.warning("no roles in this database: %s. %s", WEAKER, HOW)
    return found


def _stepping_down(found: FoundRoles | None, service: str) -> dict[str, Any]:
    if found is None:
        return {}
    roles = found.roles
    _log.info("works as %s, and as %s for a call", roles.service(service), roles.tenant(service))
    return {
        "role": roles.service(service),
        "tenant_role": roles.tenant(service),
        "owner_role": roles.owner if found.may_own else "",
    }
