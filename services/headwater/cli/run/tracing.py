"""Looks up the trace of the event that is shown from end to end."""

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

TRIES_MAX: Final = 10
_PAUSE_S: Final = 0.5
"""Spans are exported once a second."""
_SERVICES_WANTED: Final = frozenset({"run", "ingest", "sync"})


async def show_trace(services: Services, tenant_id: str, event_key: str) -> TraceShown | None:
    """Return the trace of one event, once its spans have arrived; None when the console has none of them."""
    shown: TraceShown | None = None
    spans = 0
    for _ in range(TRIES_MAX):
        shown = await _look(services, tenant_id, event_key) if event_key else None
        if shown is not None and shown.services >= _SERVICES_WANTED and shown.spans == spans:
            return shown
        spans = shown.spans if shown is not None else 0
        await anyio.sleep(_PAUSE_S)
    return shown


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
