"""What our Dynamics connector sends for the operations that Microsoft's own client is driven through."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.parity.ours import Operation

from headwater.connectors.base import Reference, Target, Write
from headwater.connectors.base.http import Request
from headwater.connectors.dynamics import wire
from headwater.connectors.dynamics.batching import batch_request
from headwater.connectors.dynamics.schema import Table

KEY = "hw_headwaterid"
ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"
ID = "33333333-3333-4333-8333-333333333333"
TABLE = Table("contact", ID, "contacts", "contactid", sets={"parentcustomerid_account": "accounts"})
CONTACT = Target("contact", "contact", KEY, ("lastname", "emailaddress1"))
PERSON = {"lastname": "Zoë", "emailaddress1": "zoe@example.com"}
ADDS = {"query": [("$select", f"contactid,{KEY}")], "headers": {"prefer": "return=representation"}}
"""So that the answer says which record it is about, and whether it was made."""


def _upserts(*writes: Write) -> Request:
    return batch_request(wire.API, [wire.upsert_operation(TABLE, CONTACT, write) for write in writes])


def _updates(*writes: Write) -> Request:
    return batch_request(wire.API, [wire.update_operation(TABLE, CONTACT, write) for write in writes])


_FIRST = Write("e-1", "", PERSON)
_BOUND = Write("e-1", "", {"lastname": "A"}, (Reference("parentcustomerid_account", (ONE,)),))
_MANY = [Write(f"e-{number}", "", {"lastname": f"P{number}"}) for number in range(3)]

_READS = (
    ("table", "prepare", wire.table_request("contact")),
    ("columns", "prepare", wire.columns_request(ID)),
    ("keys", "prepare", wire.keys_request("contact")),
    ("create_column", "prepare", wire.create_column_request(ID, KEY, long=False)),
    ("create_long_column", "prepare", wire.create_column_request(ID, "hw_note", long=True)),
    ("create_key", "prepare", wire.create_key_request("contact", KEY)),
    ("upsert_multiple", "upsert", wire.upsert_multiple_request(TABLE, CONTACT, _MANY)),
    ("by_key", "look_up", wire.query_request(TABLE, (KEY, "lastname"), KEY, ["e-1", "o'neil"])),
    ("by_id", "owners", wire.query_request(TABLE, (KEY,), "contactid", [ONE, TWO])),
)
_BATCHES = (
    ("upsert", "upsert", _upserts(_FIRST)),
    ("upsert_quoted", "upsert", _upserts(replace(_FIRST, external_id="o'neil é"))),
    ("upsert_cleared", "upsert", _upserts(Write("e-1", "", {"description": ""}))),
    ("upsert_bound", "references", _upserts(_BOUND)),
    ("upsert_two", "upsert", _upserts(_FIRST, Write("e-2", "", {"lastname": "B"}))),
    ("update", "upsert", _updates(Write("e-1", ONE, {"lastname": "C"}))),
    ("update_two", "upsert", _updates(Write("e-1", ONE, {}), Write("e-2", TWO, {}))),
)
OPERATIONS = (
    *(Operation(name, proves, request) for name, proves, request in _READS),
    *(Operation(name, proves, request, adds=ADDS) for name, proves, request in _BATCHES),
)
