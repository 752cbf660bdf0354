"""What our HubSpot connector sends for the operations that HubSpot's own client is driven through."""

from __future__ import annotations

import datetime as dt

from tests.contract.parity.ours import Operation

from headwater.connectors.base import Polled, Step, StepKind, Target, Write
from headwater.connectors.base.flows import grant_form
from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import write_cursor
from headwater.connectors.hubspot import merging_wire, polling, wire
from headwater.connectors.hubspot.auth import TOKEN_PATH
from headwater.connectors.hubspot.removing import archive_request

CONTACTS = Target("contact", "contacts", "headwater_id", ("email", "firstname"))
POLLED = Polled("contacts", ("firstname",))
_UPSERT = Write("e-1", "", {"email": "zoë@x.example"})
_UPDATE = Write("e-1", "77", {"firstname": "A"})
_FORM = grant_form(
    {"client_id": "an id", "client_secret": "s3cret"}, "r-1", "", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
)


def _poll(cursor: polling.Cursor) -> Request:
    return polling.request_of(POLLED, write_cursor(cursor), 200)


OPERATIONS = (
    Operation("upsert", "upsert", wire.upsert_request(CONTACTS, [_UPSERT, _UPSERT])),
    Operation("update", "upsert", wire.update_request(CONTACTS, [_UPDATE])),
    Operation("by_key", "look_up", wire.read_request(CONTACTS, ["e-1"])),
    Operation("by_id", "owners", wire.owners_request(CONTACTS, ["77"])),
    Operation("archive", "remove", archive_request("contacts", ["77"])),
    Operation("search", "poll", _poll(polling.Cursor(since_ms=1700))),
    Operation("archived", "poll", _poll(polling.Cursor(step="archived", last_id="5"))),
    Operation("probe", "test-connection", wire.probe_request("contacts")),
    Operation(
        "create", "merge", merging_wire.create(Step(StepKind.CREATE, "contacts", fields={"firstname": "A"}))
    ),
    Operation(
        "change",
        "merge",
        merging_wire.change(Step(StepKind.SET, "contacts", crm_id="77", fields={"firstname": None})),
    ),
    Operation(
        "merge",
        "merge",
        merging_wire.merge(Step(StepKind.MERGE, "contacts", crm_id="77", other_id="78")),
    ),
    Operation("properties", "prepare", wire.properties_request("contacts")),
    Operation(
        "create_property",
        "prepare",
        wire.create_property_request("contacts", "headwater_id", {}, unique=True),
    ),
    Operation(
        "associate",
        "references",
        wire.associate_request(CONTACTS, "companies", [wire.Pair("e-1", "1", "2")]),
    ),
    Operation("refresh", "tokens", Request("POST", TOKEN_PATH, TOKEN_PATH, "auth", form=_FORM), token=""),
)
