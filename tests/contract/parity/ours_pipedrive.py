"""What our Pipedrive connector sends for the operations that Pipedrive's own client is driven through."""

from __future__ import annotations

import datetime as dt

from tests.contract.parity.ours import Operation

from headwater.connectors.base import Polled, Reference, Target, Write
from headwater.connectors.base.flows import grant_form
from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import to_ms, write_cursor
from headwater.connectors.pipedrive import polling, wire
from headwater.connectors.pipedrive.auth import API_TOKEN_HEADER, token_request
from headwater.connectors.pipedrive.fields import Catalogue, catalogue_of
from headwater.connectors.pipedrive.kinds import KINDS, Kind

KEY = "946947d1b02fd3ef20798d6112ec5d895a686a21"
DEFINITION = {
    "field_name": "headwater_id",
    "field_code": KEY,
    "field_type": "varchar",
    "is_custom_field": True,
}
TIME = dt.datetime(2026, 1, 31, 10, tzinfo=dt.UTC)
PERSONS, ORGANIZATIONS, DEALS = KINDS["persons"], KINDS["organizations"], KINDS["deals"]
POLLED = Polled("persons", ("headwater_id",))


def _catalogue(kind: Kind) -> Catalogue:
    return catalogue_of(kind, [DEFINITION])


def _body(kind: Kind, write: Write) -> dict[str, object]:
    target = Target("contact", kind.name, "headwater_id")
    body = wire.body_of(target, write, _catalogue(kind), {})
    assert isinstance(body, dict), body
    return body


def _poll(cursor: polling.Cursor) -> Request:
    return polling.request_of(PERSONS, POLLED, _catalogue(PERSONS), write_cursor(cursor), 200)


_PERSON = Write("e-1", "", {"name": "Zoë O'Neil", "email": "zoe@example.com"}, (Reference("org_id", ("7",)),))
_CHANGED = Write("e-1", "42", {"name": "Zoë"})
_COMPANY = Write("e-1", "", {"name": "Acme", "address": "1 Wharf Street"})
_DEAL = Write("e-1", "9", {"value": 12.5, "expected_close_date": "2026-01-31"})
_OAUTH = {"client_id": "an id:1", "client_secret": "s3cret"}

_CALLS = (
    ("create", "upsert", wire.create_request(PERSONS, _body(PERSONS, _PERSON))),
    ("update", "upsert", wire.update_request(PERSONS, "42", _body(PERSONS, _CHANGED))),
    ("delete", "remove", wire.delete_request(PERSONS, "42")),
    ("by_ids", "owners", wire.ids_request(PERSONS, ["42", "43"], [KEY])),
    ("newest", "look_up", wire.newest_request(PERSONS, [KEY], "")),
    ("newest_onward", "look_up", wire.newest_request(PERSONS, [KEY], "c=1&2")),
    ("changed", "poll", _poll(polling.Cursor(since_ms=to_ms(TIME)))),
    ("search", "look_up", wire.search_request(PERSONS, KEY, "e 1/'&?")),
    ("recents", "poll", _poll(polling.Cursor(step="recents", gone_ms=to_ms(TIME)))),
    ("fields", "prepare", wire.fields_request(PERSONS, "")),
    ("create_field", "prepare", wire.create_field_request(PERSONS, "headwater_id", long=False)),
    ("create_long_field", "prepare", wire.create_field_request(DEALS, "headwater_note", long=True)),
    ("create_organization", "upsert", wire.create_request(ORGANIZATIONS, _body(ORGANIZATIONS, _COMPANY))),
    ("update_deal", "upsert", wire.update_request(DEALS, "9", _body(DEALS, _DEAL))),
    ("who", "test-connection", wire.me_request()),
)
OPERATIONS = (
    *(
        Operation(name, proves, request, {API_TOKEN_HEADER: "a-token"}, token="")
        for name, proves, request in _CALLS
    ),
    Operation("refresh", "tokens", token_request(grant_form(_OAUTH, "r-1", "", TIME)), token=""),
)
