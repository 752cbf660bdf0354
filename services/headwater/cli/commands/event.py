"""`headwater event KEY`: one event as recorded, and its fate."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from headwater.cli.asking import asking
from headwater.cli.naming import HELP, event_request
from headwater.cli.output import facts, table, violations_table
from headwater.cli.plain import moment, payload_of, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.wording import delivery_state, disposition, quarantine_state
from headwater.client.outcomes import read_violations
from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import sync_pb2

app = typer.Typer(rich_markup_mode="rich")


@app.command()
@asking
async def event(session: Session, services: Services, key: Annotated[str, typer.Argument(help=HELP)]) -> None:
    """Show one event: what was recorded, which entities it touched, every attempt to write them, every change made.

    Example:

      headwater event 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f
    """
    request = event_request(session.tenant_id, key)
    found = await services.ask(services.ingest.GetEvent, request)
    session.output.result(plain(found), *_shown(found))


def _shown(found: ingest_pb2.GetEventResponse) -> list[Any]:
    recorded, said = found.event, found.event.event
    parts: list[Any] = [
        facts(
            {
                "event key": recorded.event_key,
                "record": f"{said.source} / {said.object} / {said.external_id}",
                "event time": moment(said.event_time),
                "recorded": moment(recorded.record_time),
                "disposition": disposition(recorded.disposition),
                "position": f"{recorded.position.xid}:{recorded.position.seq}",
                "released from": recorded.released_from,
                "trace": said.trace.traceparent[3:35],
                "payload": json.dumps(payload_of(said), ensure_ascii=False),
            }
        )
    ]
    if found.HasField("quarantine"):
        entry = found.quarantine
        parts += [
            f"quarantine: {quarantine_state(entry.state)}",
            violations_table(read_violations(entry.violations)),
        ]
    if not found.HasField("fate"):
        return [*parts, f"fate: {found.fate_missing_reason or 'none'}"]
    return [*parts, *_fate_shown(found.fate)]


def _fate_shown(fate: sync_pb2.EventFate) -> list[Any]:
    deliveries = [
        (row.connector, row.object, row.entity_id, delivery_state(row.state), row.crm_id, row.last_error)
        for row in fate.deliveries
    ]
    attempts = [
        (
            row.connector,
            row.entity_id,
            row.attempt_number,
            moment(row.start_time),
            row.outcome,
            row.error_code,
            row.trace_id,
        )
        for row in fate.attempts
    ]
    changes = [
        (
            moment(entry.audit_time),
            entry.action,
            change.field,
            change.before_json,
            change.after_json,
            change.rule,
        )
        for entry in fate.audit
        for change in entry.changes
    ]
    return [
        facts(
            {
                "projection": fate.projection,
                "projected": moment(fate.project_time),
                "entities": ", ".join(fate.entity_ids),
            }
        ),
        table(
            ("connector", "object", "entity", "state", "CRM id", "last error"), deliveries, title="deliveries"
        ),
        table(
            ("connector", "entity", "attempt", "began", "outcome", "code", "trace"),
            attempts,
            title="attempts",
        ),
        table(("time", "action", "field", "before", "after", "rule"), changes, title="changes"),
    ]
