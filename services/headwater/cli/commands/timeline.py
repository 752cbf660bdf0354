"""`headwater timeline ENTITY`: what happened with a contact, an account or a deal, the newest first."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from headwater.cli.asking import asking
from headwater.cli.auditing import moment_of
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import Who, read_who
from headwater.kernel.errors import InvalidInput
from headwater.sync.v1 import timeline_pb2 as pb

app = typer.Typer(rich_markup_mode="rich")

PAGE_ROWS: Final = 500
PEOPLE_SHOWN: Final = 3
COLUMNS: Final = (
    "activity_id", "occur_time", "kind", "source", "status", "subject", "actor", "thread_id", "message_id", "reason",
    "confidence", "people", "concerns",
)  # fmt: skip
"""Columns of an exported CSV file."""

Kinds = Annotated[
    list[str] | None, typer.Option("--kind", help="As email or meeting; repeatable.", show_default=False)
]
Sources = Annotated[
    list[str] | None, typer.Option("--source", help="System; repeatable.", show_default=False)
]
Since = Annotated[
    str,
    typer.Option(
        "--since",
        help="Not before: 2026-01-31, 2026-01-31T12:00, or 2h for two hours ago.",
        show_default=False,
    ),
]
Until = Annotated[str, typer.Option("--until", help="Before: as --since.", show_default=False)]
Thread = Annotated[str, typer.Option("--thread", help="Of one thread, by its id.", show_default=False)]
Confidence = Annotated[
    float, typer.Option("--confidence", min=0, max=1, help="Leave out what is less sure to concern it.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="Activities of the page.")]
Token = Annotated[str, typer.Option("--page-token", help="Go on where a page ended.", show_default=False)]
Export = Annotated[
    Path | None,
    typer.Option("--export", help="Write all pages to this file: .csv or .json.", show_default=False),
]


@app.command()
@asking
async def timeline(
    session: Session,
    services: Services,
    entity: Who,
    kind: Kinds = None,
    source: Sources = None,
    since: Since = "",
    until: Until = "",
    thread: Thread = "",
    confidence: Confidence = 0.0,
    limit: Limit = 50,
    page_token: Token = "",
    export: Export = None,
) -> None:
    """Show what happened with a contact, an account or a deal: emails, calls, meetings, forms, notes.

    Activities follow their people through merges and back through splits. `why` tells the reason for which each is
    here, with how sure it is.

    Examples:

      headwater timeline hubspot/contact/42 --kind email --since 2026-01-01

      headwater timeline 0f6b1d3e-6a4e-5b7e-9a56-1c6c1f0e9d11 --export timeline.csv
    """
    entity_id, record = read_who(entity)
    request = pb.ListTimelineRequest(
        tenant_id=session.tenant_id, kinds=kind or (), sources=source or (), thread_id=thread,
        since_time=moment_of("--since", since), until_time=moment_of("--until", until), confidence_min=confidence,
        page_size=limit, page_token=page_token,
    )  # fmt: skip
    if record is not None:
        request.record.CopyFrom(record)
    else:
        request.entity_id = entity_id
    if export is not None:
        await _export(session, services, request, export)
        return
    found = await services.ask(services.timelines.ListTimeline, request)
    rows = [_shown(item) for item in found.entries]
    columns = ("time", "kind", "actor", "subject", "with", "thread", "why", "sure")
    told = []
    if found.next_page_token:
        told.append(f"more: --page-token {found.next_page_token}")
    if found.waiting_count:
        told.append(f"{found.waiting_count:,} changes are not associated yet")
    session.output.result(plain(found), table(columns, rows), *told)


def _shown(item: pb.TimelineEntry) -> tuple[object, ...]:
    others = [one.address for one in item.people if one.address != item.actor]
    more = f" +{len(others) - PEOPLE_SHOWN}" if len(others) > PEOPLE_SHOWN else ""
    kind = f"{item.kind} ({item.status})" if item.status else item.kind
    people = ", ".join(others[:PEOPLE_SHOWN]) + more
    sure = f"{item.confidence:.0%}"
    return (
        moment(item.occur_time), kind, item.actor, item.subject, people, item.thread_id, item.reason, sure,
    )  # fmt: skip


async def _export(session: Session, services: Services, request: pb.ListTimelineRequest, file: Path) -> None:
    """Write every page to *file*, whole or not at all."""
    if file.suffix not in {".csv", ".json"}:
        raise InvalidInput(f"{file.name} is neither a .csv nor a .json file")
    entries = [plain(item) async for item in _every(services, request)]
    part = file.with_name(file.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as written:
        if file.suffix == ".json":
            json.dump(entries, written, ensure_ascii=False, indent=2)
        else:
            writer = csv.DictWriter(written, COLUMNS)
            writer.writeheader()
            writer.writerows(map(flat, entries))
    part.replace(file)
    told = {"file": str(file), "activities": len(entries)}
    session.output.result(told, facts(told))


async def _every(services: Services, request: pb.ListTimelineRequest) -> AsyncIterator[pb.TimelineEntry]:
    request.page_size = PAGE_ROWS
    while True:
        page = await services.ask(services.timelines.ListTimeline, request)
        for item in page.entries:
            yield item
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def flat(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an activity as one row: people and associations in one text each, nothing that a spreadsheet would run."""
    people = _joined(f"{one['role']}:{one['address']}" for one in entry["people"])
    concerns = _joined(
        f"{one['object']}:{one['entity_id']}:{one['reason']}:{one['confidence']}"
        for one in entry["associations"]
    )
    row = {**entry, "people": people, "concerns": concerns}
    return {name: _inert(row.get(name, "")) for name in COLUMNS}


def _joined(items: Iterable[str]) -> str:
    return " ".join(items)


def _inert(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
