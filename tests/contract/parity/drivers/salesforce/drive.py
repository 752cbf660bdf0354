"""Every operation of ours through simple-salesforce; prints each name when it is done and waits for a line.

Collections have no method of their own there: they go through its REST door, with the body of the vendor's guide.
"""
# ruff: noqa: T201

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import bulk2
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceBulkV2LoadError, SalesforceError
from simple_salesforce.format import format_soql

JOB = "7505500000Hdwtr"
ROWS = [
    {"Headwater_Id__c": "e-1", "LastName": 'Zoë, "the" O\'Neil'},
    {"Headwater_Id__c": "e-2", "LastName": "Two\nlines"},
]


def operations(client: Any) -> Mapping[str, Callable[[], Any]]:
    """Return every operation by its name."""
    bulk = client.bulk2.Contact._client  # noqa: SLF001 - the steps of a job, one by one
    columns = "SELECT Id, Headwater_Id__c, Email, LastName FROM Contact"
    since = "SELECT Id, IsDeleted, SystemModstamp, LastName FROM Contact WHERE"
    by_key = format_soql(f"{columns} WHERE Headwater_Id__c IN {{}}", ["e-1", "o'neil \\ é"])
    owners = format_soql("SELECT Id, Headwater_Id__c FROM Contact WHERE Id IN {}", ["0035500001Hdwtr"])
    fetched = "SELECT Id, IsDeleted, SystemModstamp, LastName FROM Contact WHERE Id IN ('0035500001Hdwtr')"
    triggers = "SELECT Name FROM ApexTrigger WHERE Status = 'Active'"
    record = {"attributes": {"type": "Contact"}, "LastName": "Zoë", "AccountId": "0015500001Hdwtr"}
    upserted = {"allOrNone": False, "records": [{**record, "Headwater_Id__c": "e-1"}]}
    updated = {"allOrNone": False, "records": [{**record, "Id": "0035500001Hdwtr", "Headwater_Id__c": "e-1"}]}
    removed = {"ids": "0035500001Hdwtr,0035500002Hdwtr", "allOrNone": "false"}
    upsert, update = bulk2.Operation.upsert, bulk2.Operation.update
    return {
        "by_key": lambda: client.query(by_key),
        "by_id": lambda: client.query(owners),
        "next_page": lambda: client.query_more("01gD0000002HU6KIAW-2000"),
        "changed": lambda: client.query(
            f"{since} SystemModstamp >= 1970-01-01T00:00:00Z ORDER BY SystemModstamp, Id LIMIT 200",
            include_deleted=True,
        ),
        "counted": lambda: client.query(
            "SELECT COUNT() FROM Contact WHERE SystemModstamp >= 2026-01-31T10:00:00Z", include_deleted=True
        ),
        "fetched": lambda: client.query(fetched, include_deleted=True),
        "describe": client.Contact.describe,
        "limits": client.limits,
        "tooling": lambda: client.toolingexecute("query", params={"q": triggers}),
        "upsert": lambda: client.restful(
            "composite/sobjects/Contact/Headwater_Id__c", method="PATCH", json=upserted
        ),
        "update": lambda: client.restful("composite/sobjects", method="PATCH", json=updated),
        "delete": lambda: client.restful("composite/sobjects", params=removed, method="DELETE"),
        "bulk_upsert": lambda: bulk.create_job(upsert, external_id_field="Headwater_Id__c"),
        "bulk_update": lambda: bulk.create_job(update),
        "bulk_upload": lambda: bulk.upload_job_data(JOB, bulk2._convert_dict_to_csv(ROWS)),  # noqa: SLF001
        "bulk_close": lambda: bulk.close_job(JOB),
        "bulk_abort": lambda: bulk.abort_job(JOB, False),
        "bulk_look": lambda: bulk.get_job(JOB, False),
        "bulk_done": lambda: bulk.get_ingest_results(JOB, "successfulResults"),
        "bulk_failed": lambda: bulk.get_ingest_results(JOB, "failedResults"),
        "bulk_left": lambda: bulk.get_ingest_results(JOB, "unprocessedrecords"),
    }


class Plain(HTTPAdapter):
    """The capture server speaks no TLS; the client knows nothing else."""

    def send(self, request: Any, *args: Any, **named: Any) -> Any:
        """Send it as it is, without TLS."""
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **named)


def main() -> None:
    """Run them one after the other."""
    session = requests.Session()
    session.mount("https://", Plain())
    client = Salesforce(session_id="t", instance_url=sys.argv[1], version="61.0", session=session)
    for name, run in operations(client).items():
        try:
            run()
        except (
            SalesforceBulkV2LoadError,
            SalesforceError,
            KeyError,
            ValueError,
        ) as error:  # the answers are bare; what was sent is the point
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        print(name, flush=True)
        sys.stdin.readline()


main()
