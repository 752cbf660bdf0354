"""`headwater trace KEY`: one event's life as the services tell it, and the waterfalls of its traces, retries included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote

import httpx
import msgspec
import typer
from anyio.to_thread import run_sync
from rich.text import Text

from headwater.cli.asking import asking
from headwater.cli.naming import HELP, event_request
from headwater.cli.output import table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.console.asking import Asker
from headwater.console.client import ConsoleClient
from headwater.console.life import EventLife, Told
from headwater.console.life_terminal import render_life
from headwater.console.model import RelatedTrace, Trace
from headwater.console.terminal import render_waterfall
from headwater.console.waterfall import waterfall
from headwater.ingest.v1 import ingest_pb2

app = typer.Typer(rich_markup_mode="rich")

RELATED_MAX: Final = 12
"""Linked traces that are named; the page shows all."""


@app.command()
@asking
async def trace(session: Session, services: Services, key: Annotated[str, typer.Argument(help=HELP)]) -> None:
    """Tell one event's life and draw its way: producer, ingest, projection, identity, policy, every CRM call, retries.

    The life (record, identity, decisions, deliveries with each attempt and its trace) is told whether or not the event
    was sampled; waterfalls are drawn of the traces that the console holds. Values are not shown: see `headwater event`.

    Example:

      headwater trace 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f
    """
    found = await services.ask(services.ingest.GetEvent, event_request(session.tenant_id, key))
    life = await life_around(services, session.tenant_id, found)
    seen = await run_sync(_fetch, services.addresses.console, trace_ids_of(found))
    life = life.with_held(item.trace_id for item in seen.traces)
    document = {
        "event_key": life.event_key,
        "page": _page(services.addresses.console, session.tenant_id, life.event_key, seen.traces),
        "life": msgspec.to_builtins(life),
        "traces": [_document(item) for item in seen.traces],
        "related": [{"trace_id": item.summary.trace_id, "name": item.summary.name} for item in seen.related],
        "traces_missing": seen.missing,
    }
    session.output.result(document, render_life(life), *_drawn(seen), str(document["page"]))


async def life_around(services: Services, tenant_id: str, found: ingest_pb2.GetEventResponse) -> EventLife:
    """Return the life of an event that ingest has told: what sync and identity know of it, and what they do not tell."""
    told = Told(tenant_id, found.event.event_key, found)
    told.fate = found.fate if found.HasField("fate") else None
    return await Asker(services.ingest, services.identity, services.sync).around(told)


def trace_ids_of(found: ingest_pb2.GetEventResponse) -> tuple[str, ...]:
    """Return the traces that an event is in: the producer's first, then those of projection and attempts."""
    attempts = (attempt.trace_id for attempt in found.fate.attempts)
    listed = [found.event.event.trace.traceparent[3:35], *attempts, found.fate.trace_id]
    return tuple(dict.fromkeys(trace_id for trace_id in listed if trace_id))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the console holds of an event's traces.

    Args:
        missing: why there is nothing to draw; empty when there is.
    """

    traces: list[Trace]
    related: list[RelatedTrace]
    missing: str = ""


def _fetch(console: str, trace_ids: tuple[str, ...]) -> Seen:
    try:
        with ConsoleClient(console) as client:
            found = [trace for trace_id in trace_ids if (trace := client.trace(trace_id)) is not None]
            drawn = {trace.trace_id for trace in found}
            linked = client.related(found[0].trace_id) if found else []
            direct = [item for item in linked if item.distance == 1 and item.summary.trace_id not in drawn]
            nothing = "the console holds no span of the event: not sampled, or older than the store reaches"
            return Seen(found, direct[:RELATED_MAX], "" if found else nothing)
    except httpx.HTTPError as error:
        return Seen([], [], f"the console does not answer at {console}: {error}")


def _page(console: str, tenant_id: str, event_key: str, traces: Sequence[Trace]) -> str:
    """Return the console's page of the first trace; the event's own where none is held."""
    if traces:
        return f"{console}/trace/{traces[0].trace_id}"
    return f"{console}/event/{event_key}?tenant={quote(tenant_id)}"


def _drawn(seen: Seen) -> Iterator[Any]:
    if seen.missing:
        yield Text(f"no waterfall: {seen.missing}", "yellow")
        return
    for item in seen.traces:
        yield from (f"[bold]trace {item.trace_id}[/]", render_waterfall(waterfall(item.spans)), "")
    rows = [
        (item.summary.name, ", ".join(item.summary.services), item.summary.span_count, item.summary.trace_id)
        for item in seen.related
    ]
    yield table(("linked: batches it was part of", "services", "spans", "trace"), rows)


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
