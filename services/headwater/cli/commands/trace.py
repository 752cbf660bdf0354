"""`headwater trace KEY`: the waterfall of one event, retries included."""

from __future__ import annotations

from typing import Annotated, Any, Final

import httpx
import typer
from anyio.to_thread import run_sync

from headwater.cli.asking import asking
from headwater.cli.naming import HELP, event_request
from headwater.cli.output import table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.console.client import ConsoleClient
from headwater.console.model import RelatedTrace, Trace
from headwater.console.terminal import render_waterfall
from headwater.console.waterfall import waterfall
from headwater.kernel.errors import NotFound, Unavailable

app = typer.Typer(rich_markup_mode="rich")

RELATED_MAX: Final = 12
"""Linked traces that are named; the page shows all."""


@app.command()
@asking
async def trace(session: Session, services: Services, key: Annotated[str, typer.Argument(help=HELP)]) -> None:
    """Draw one event's way: producer, ingest, projection, identity, policy, every CRM call, and retries' own traces.

    Example:

      headwater trace 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f
    """
    trace_ids = await trace_ids_of(services, session.tenant_id, key)
    found, related = await run_sync(_fetch, services.addresses.console, trace_ids)
    if not found:
        raise NotFound(
            f"the console holds no span of event {key}: not sampled, or older than the store reaches"
        )
    page = f"{services.addresses.console}/trace/{found[0].trace_id}"
    document = {"event_key": key, "page": page, "traces": [_document(item) for item in found]}
    document["related"] = [{"trace_id": item.summary.trace_id, "name": item.summary.name} for item in related]
    drawn: list[Any] = []
    for item in found:
        drawn += [f"[bold]trace {item.trace_id}[/]", render_waterfall(waterfall(item.spans)), ""]
    rows = [
        (
            item.summary.name,
            ", ".join(item.summary.services),
            item.summary.span_count,
            item.summary.trace_id,
        )
        for item in related
    ]
    drawn.append(table(("linked: batches it was part of", "services", "spans", "trace"), rows))
    session.output.result(document, *drawn, page)


async def trace_ids_of(services: Services, tenant_id: str, key: str) -> tuple[str, ...]:
    """Return the traces that an event is in: the producer's first, then those of projection and attempts."""
    request = event_request(tenant_id, key)
    found = await services.ask(services.ingest.GetEvent, request)
    attempts = (attempt.trace_id for attempt in found.fate.attempts)
    listed = [found.event.event.trace.traceparent[3:35], *attempts, found.fate.trace_id]
    return tuple(dict.fromkeys(trace_id for trace_id in listed if trace_id))


def _fetch(console: str, trace_ids: tuple[str, ...]) -> tuple[list[Trace], list[RelatedTrace]]:
    try:
        with ConsoleClient(console) as client:
            found = [trace for trace_id in trace_ids if (trace := client.trace(trace_id)) is not None]
            drawn = {trace.trace_id for trace in found}
            linked = client.related(found[0].trace_id) if found else []
            direct = [item for item in linked if item.distance == 1 and item.summary.trace_id not in drawn]
            return found, direct[:RELATED_MAX]
    except httpx.HTTPError as error:
        raise Unavailable(f"the console does not answer at {console}: {error}") from error


def _document(found: Trace) -> dict[str, Any]:
    spans = [
        {
            "span_id": row.span.span_id,
            "parent_span_id": row.span.parent_span_id,
            "service": row.span.service,
            "name": row.span.name,
            "depth": row.depth,
            "offset_ns": row.offset_ns,
            "duration_ns": row.duration_ns,
            "error_type": row.error_type,
            "attempt": row.attempt,
            "links": [link.trace_id for link in row.links],
        }
        for row in waterfall(found.spans)
    ]
    return {"trace_id": found.trace_id, "spans": spans}
