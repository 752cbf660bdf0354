"""Picks one event whose whole way is on record, to be shown as the end-to-end trace."""

from __future__ import annotations

from typing import Final

import anyio
import httpx
from anyio.to_thread import run_sync

from headwater.cli.run.summary import TraceShown
from headwater.cli.services import Services
from headwater.console.client import ConsoleClient
from headwater.console.model import Trace
from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import sync_pb2

CANDIDATES_MAX: Final = 8
TRIES_MAX: Final = 6
_PAUSE_S: Final = 0.5
"""Spans are exported once a second."""
_SERVICES_WANTED: Final = frozenset({"run", "sync"})


async def pick_trace(
    services: Services, tenant_id: str, deliveries: list[sync_pb2.Delivery]
) -> TraceShown | None:
    """Return the richest trace among some delivered events; None when the console has none of them."""
    keys = _candidates(deliveries)
    for _ in range(TRIES_MAX):
        found = [shown for key in keys if (shown := await _look(services, tenant_id, key)) is not None]
        best = max(found, key=lambda shown: (len(shown.services), shown.spans), default=None)
        if best is not None and best.services >= _SERVICES_WANTED:
            return best
        await anyio.sleep(_PAUSE_S)
    return best


def _candidates(deliveries: list[sync_pb2.Delivery]) -> list[str]:
    """Return events that brought something to every connector, activities and contacts first."""
    order = {"activity": 0, "contact": 1, "deal": 2}
    connectors = {item.connector for item in deliveries}
    reached: dict[str, set[str]] = {}
    for item in sorted(deliveries, key=lambda item: order.get(item.object, 9)):
        if item.state == sync_pb2.DELIVERY_STATE_DELIVERED and item.crm_id:
            reached.setdefault(item.event_key, set()).add(item.connector)
    return [key for key, names in reached.items() if names == connectors][:CANDIDATES_MAX]


async def _look(services: Services, tenant_id: str, key: str) -> TraceShown | None:
    request = ingest_pb2.GetEventRequest(tenant_id=tenant_id, event_key=key)
    found = await services.ask(services.ingest.GetEvent, request)
    trace_id = found.event.event.trace.traceparent[3:35]
    trace = await run_sync(_fetch, services.addresses.console, trace_id) if trace_id else None
    if trace is None:
        return None
    names = frozenset(span.service for span in trace.spans)
    return TraceShown(
        key, trace_id, f"{services.addresses.console}/trace/{trace_id}", len(trace.spans), names
    )


def _fetch(console: str, trace_id: str) -> Trace | None:
    try:
        with ConsoleClient(console) as client:
            return client.trace(trace_id)
    except httpx.HTTPError:
        return None
