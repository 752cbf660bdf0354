"""What our Salesforce connector sends for the operations that simple-salesforce is driven through."""

from __future__ import annotations

import datetime as dt

from tests.contract.parity.ours import Operation

from headwater.connectors.base import Polled, Reference, Target, Write
from headwater.connectors.salesforce import bulk_wire, polling, wire
from headwater.connectors.salesforce.conditions import tooling_request
from headwater.connectors.salesforce.removing import delete_request

VERSION = "v61.0"
JOB = "7505500000Hdwtr"
PERSON = "0035500001Hdwtr"
CONTACT = Target("contact", "Contact", "Headwater_Id__c", ("Email", "LastName"))
BARE = Target("contact", "Contact", "Headwater_Id__c")
POLLED = Polled("Contact", ("LastName",))
TIME = dt.datetime(2026, 1, 31, 10, tzinfo=dt.UTC)
_UPSERT = Write("e-1", "", {"LastName": "Zoë"}, (Reference("AccountId", ("0015500001Hdwtr",)),))
_UPDATE = Write("e-1", PERSON, {"LastName": "Zoë"}, (Reference("AccountId", ("0015500001Hdwtr",)),))
_MANY = [Write("e-1", "", {"LastName": 'Zoë, "the" O\'Neil'}), Write("e-2", "", {"LastName": "Two\nlines"})]
(_BY_KEY,) = wire.look_up_queries(CONTACT, ["e-1", "o'neil \\ é"])
(_BY_ID,) = wire.look_up_queries(BARE, [PERSON], key="Id")
_TRIGGERS = "SELECT Name FROM ApexTrigger WHERE Status = 'Active'"

OPERATIONS = (
    Operation("by_key", "look_up", wire.query_request(VERSION, _BY_KEY)),
    Operation("by_id", "owners", wire.query_request(VERSION, _BY_ID)),
    Operation("next_page", "look_up", wire.next_page_request(VERSION, "01gD0000002HU6KIAW-2000")),
    Operation("changed", "poll", polling.request_of(POLLED, polling.cursor_at(None), 200, VERSION)),
    Operation("counted", "poll", polling.count_request(POLLED, TIME, VERSION)),
    Operation("fetched", "poll", polling.fetch_request(POLLED, [PERSON], VERSION)),
    Operation("describe", "prepare", wire.describe_request(VERSION, "Contact")),
    Operation("limits", "test-connection", wire.limits_request(VERSION)),
    Operation("tooling", "conditions", tooling_request(VERSION, _TRIGGERS)),
    Operation("upsert", "upsert", wire.upsert_request(VERSION, CONTACT, [_UPSERT])),
    Operation("update", "upsert", wire.update_request(VERSION, CONTACT, [_UPDATE])),
    Operation("delete", "remove", delete_request(VERSION, [PERSON, "0035500002Hdwtr"])),
    Operation("bulk_upsert", "bulk", bulk_wire.open_request(VERSION, CONTACT, [_UPSERT])),
    Operation("bulk_update", "bulk", bulk_wire.open_request(VERSION, CONTACT, [_UPDATE])),
    Operation(
        "bulk_upload", "bulk", bulk_wire.upload_request(VERSION, JOB, bulk_wire.csv_of(CONTACT, _MANY))
    ),
    Operation("bulk_close", "bulk", bulk_wire.state_request(VERSION, JOB, "UploadComplete")),
    Operation("bulk_abort", "bulk", bulk_wire.state_request(VERSION, JOB, "Aborted")),
    Operation("bulk_look", "bulk", bulk_wire.look_request(VERSION, JOB)),
    Operation("bulk_done", "bulk", bulk_wire.results_request(VERSION, JOB, "successfulResults")),
    Operation("bulk_failed", "bulk", bulk_wire.results_request(VERSION, JOB, "failedResults")),
    Operation("bulk_left", "bulk", bulk_wire.results_request(VERSION, JOB, "unprocessedrecords")),
)
