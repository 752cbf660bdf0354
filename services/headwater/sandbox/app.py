"""Owns the wiring of the sandbox: store, vendors, fleet, gate, admin. The only place that picks implementations."""

from __future__ import annotations

import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from headwater.sandbox.admin import admin
from headwater.sandbox.dynamics.vendor import Dynamics
from headwater.sandbox.enrichment.vendor import Enrichment
from headwater.sandbox.fleet import Fleet
from headwater.sandbox.gate import Gate
from headwater.sandbox.hubspot.vendor import HubSpot
from headwater.sandbox.pipedrive.vendor import Pipedrive
from headwater.sandbox.salesforce.event_server import serving
from headwater.sandbox.salesforce.vendor import Salesforce
from headwater.sandbox.server import Connections, serve
from headwater.sandbox.store.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from headwater.sandbox.accounts import VendorName
    from headwater.sandbox.fleet import Vendor
    from headwater.sandbox.settings import SandboxSettings


def wall_ms() -> int:
    """The wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def random_id() -> str:
    """An id that no other process gives."""
    return str(uuid.uuid4())


def fleet_of(
    settings: SandboxSettings,
    database: Database,
    now_ms: Callable[[], int] = wall_ms,
    new_id: Callable[[], str] = random_id,
) -> Fleet:
    """The fleet with all vendors."""
    vendors: Mapping[VendorName, Vendor] = {
        "hubspot": HubSpot(),
        "salesforce": Salesforce(),
        "pipedrive": Pipedrive(),
        "dynamics": Dynamics(),
        "enrichment": Enrichment(),
    }
    return Fleet(database, settings, vendors, now_ms, new_id)


def application(fleet: Fleet, connections: Connections) -> ASGIApp:
    """The ASGI application: `/_sandbox` for tests and operators, everything else for the vendors' clients."""
    operators, gate = admin(fleet), Gate(fleet, connections)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = operators if scope["path"].startswith("/_sandbox") else gate
        await chosen(scope, receive, send)

    return app


def run(settings: SandboxSettings) -> None:
    """Serve until asked to stop."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.data_dir / "sandbox.db")
    connections = Connections()
    try:
        fleet = fleet_of(settings, database)
        serve(application(fleet, connections), settings, connections, fleet.work, lambda: _beside(fleet))
    finally:
        database.close()


@asynccontextmanager
async def _beside(fleet: Fleet) -> AsyncIterator[Mapping[str, int]]:
    async with serving(fleet, f"{fleet.settings.host}:{fleet.settings.events_port}") as port:
        yield {"events_port": port}
