"""An operator's correction of an entity, as an event of source `operator` in the log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from headwater.cli.output import table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.client.outcomes import Accepted, Duplicate, Quarantined, Refused, read_outcome
from headwater.client.writing import event
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import InvalidInput
from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.sync.v1 import sync_pb2


def read_corrections(values: Sequence[str], unset: Sequence[str]) -> dict[str, str | None]:
    """Return field to value, None to give it back, from what was typed.

    Raises:
        InvalidInput: something is no FIELD=VALUE, a field is named twice, or none is.
    """
    fields: dict[str, str | None] = {}
    for item in values:
        name, equals, value = item.partition("=")
        if not equals or not name or not value or name in fields:
            raise InvalidInput(f"--set {item!r}: must be FIELD=VALUE, each field once")
        fields[name] = value
    for name in unset:
        if not name or name in fields:
            raise InvalidInput(f"--unset {name!r}: must be a FIELD, each field once")
        fields[name] = None
    if not fields:
        raise InvalidInput("nothing to correct: give --set FIELD=VALUE or --unset FIELD")
    return fields


async def correct(
    services: Services, session: Session, entity_id: str, fields: Mapping[str, str | None], *, apply: bool
) -> tuple[dict[str, Any], Table, str]:
    """Record the correction, or only show it; return the document, a table and a sentence.

    Raises:
        NotFound: no such entity is projected.
        InvalidInput: the values break the contract.
    """
    asked = sync_pb2.GetEntityStateRequest(tenant_id=session.tenant_id, entity_id=entity_id)
    entity = await services.ask(services.sync.GetEntityState, asked)
    if entity.state != "active":
        raise InvalidInput(f"entity {entity_id} is {entity.state}: correct the one that stands for it")
    held = {item.field: item for item in entity.fields}
    rows = [
        (
            name,
            held[name].value_json if name in held else "",
            held[name].source if name in held else "",
            "its sources decide" if value is None else value,
        )
        for name, value in fields.items()
    ]
    document: dict[str, Any] = {
        "entity_id": entity.entity_id,
        "object": entity.object,
        "fields": dict(fields),
        "dry_run": not apply,
        "event_key": await _record(services, session, entity, fields) if apply else "",
    }
    done = f"recorded as event {document['event_key']}" if apply else "would be recorded; add --yes to do it"
    return document, table(("field", "value now", "from", "corrected"), rows), done


async def _record(
    services: Services,
    session: Session,
    entity: sync_pb2.GetEntityStateResponse,
    fields: Mapping[str, str | None],
) -> str:
    message = event(
        OPERATOR_SOURCE,
        entity.object,
        entity.entity_id,
        dict(fields),
        event_time=dt.datetime.now(dt.UTC),
        actor=session.actor,
    )
    request = ingest_pb2.RecordEventRequest(tenant_id=session.tenant_id, event=message)
    answer = await services.ask(services.ingest.RecordEvent, request)
    match read_outcome(answer.outcome):
        case Accepted(key) | Duplicate(key):
            return str(key)
        case Quarantined(key, violations) | Refused(key, _, violations):
            raise InvalidInput(f"ingest did not take the correction (event {key})", violations=violations)
