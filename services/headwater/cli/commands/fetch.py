"""`headwater fetch RECORD...`: have records of a CRM read again, as a webhook would."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated

import typer

from headwater.cli.asking import asking
from headwater.cli.output import table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import read_who
from headwater.cli.wording import disposition
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import InvalidInput
from headwater.policy.pointing import FETCH_KEY

app = typer.Typer(rich_markup_mode="rich")


@app.command()
@asking
async def fetch(
    session: Session,
    services: Services,
    records: Annotated[
        list[str], typer.Argument(help="Records as source/object/id-in-the-CRM, as hubspot/contact/42.")
    ],
) -> None:
    """Have records of a CRM read again: the log gets what the CRM says of them now, deletions too.

    It is what a webhook does: it records that they changed, and the account fetches them. Reading one that did not change
    adds nothing.

    Example:

      headwater fetch hubspot/contact/42 hubspot/contact/43
    """
    request = ingest_pb2.BatchRecordEventsRequest(
        tenant_id=session.tenant_id, events=[_pointer(session, record) for record in records]
    )
    found = await services.ask(services.ingest.BatchRecordEvents, request)
    rows = [
        (
            record,
            disposition(item.disposition),
            item.event_key or item.reason,
            "; ".join(one.description for one in item.violations),
        )
        for record, item in zip(records, found.outcomes, strict=True)
    ]
    told = [dict(zip(("record", "outcome", "event", "why"), row, strict=True)) for row in rows]
    session.output.result({"records": told}, table(("record", "outcome", "event", "why"), rows))


def _pointer(session: Session, record: str) -> event_pb2.Event:
    _, named = read_who(record)
    if named is None:
        raise InvalidInput(f"{record!r} is an entity; name a record as source/object/id")
    event = event_pb2.Event(
        source=named.source,
        object=named.object,
        external_id=named.external_id,
        payload=json.dumps({FETCH_KEY: True}).encode(),
        actor=session.actor,
    )
    event.event_time.FromDatetime(dt.datetime.now(dt.UTC))
    return event
