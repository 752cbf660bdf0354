"""An independent Salesforce client works against the sandbox.

simple-salesforce insists on https and on a bare host name, so its `requests` session carries an adapter that puts
scheme, host and account prefix of the sandbox in place of `https://<instance>`. Nothing else of a request is touched.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceOperationError,
)

if TYPE_CHECKING:
    from tests.contract.sandbox.process import SandboxProcess

INSTANCE = "sandbox.invalid"
VERSION = "59.0"


class _Redirect(HTTPAdapter):
    """Sends what is meant for the instance to an account of the sandbox."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = str(request.url).replace(f"https://{INSTANCE}", self._place, 1)
        return super().send(request, *args, **kwargs)


def _org(sandbox: SandboxProcess, account: str, token: str | None = None) -> Any:
    session = requests.Session()
    session.mount(f"https://{INSTANCE}", _Redirect(f"{sandbox.url}/salesforce/{account}"))
    given = token or sandbox.token("salesforce", account)["access_token"]
    return Salesforce(instance=INSTANCE, session_id=given, session=session, version=VERSION)


@pytest.fixture
def org(sandbox: SandboxProcess) -> Any:
    """An empty org."""
    sandbox.empty("salesforce", "sdk")
    return _org(sandbox, "sdk")


def test_create_read_update_delete(org: Any) -> None:
    """A contact lives its life through the row API."""
    made = org.Contact.create({"LastName": "Client", "Email": "sdk@example.com"})
    assert org.Contact.update(made["id"], {"FirstName": "Sdk"}) == 204
    assert org.Contact.get(made["id"])["Name"] == "Sdk Client"
    assert org.Contact.delete(made["id"]) == 204
    assert org.query("SELECT Id FROM Contact")["totalSize"] == 0
    assert org.query_all("SELECT Id FROM Contact", include_deleted=True)["totalSize"] == 1


def test_upsert_by_external_id(org: Any) -> None:
    """The first upsert creates, the second updates the same row."""
    assert org.Contact.upsert("Headwater_Id__c/k-1", {"LastName": "One"}) == 201
    assert org.Contact.upsert("Headwater_Id__c/k-1", {"LastName": "Two"}) == 200
    assert org.Contact.get_by_custom_id("Headwater_Id__c", "k-1")["LastName"] == "Two"


def test_collections_upsert_keeps_the_order(org: Any) -> None:
    """Results come in the order of the rows, good and bad ones in their places."""
    rows = [
        {"attributes": {"type": "Contact"}, "Headwater_Id__c": "k-1", "LastName": "One"},
        {"attributes": {"type": "Contact"}, "Headwater_Id__c": "k-2"},
        {"attributes": {"type": "Contact"}, "Headwater_Id__c": "k-3", "LastName": "x" * 81},
    ]
    told = org.restful(
        "composite/sobjects/Contact/Headwater_Id__c",
        method="PATCH",
        json={"allOrNone": False, "records": rows},
    )
    assert [one["success"] for one in told] == [True, False, False]
    codes = [one["errors"][0]["statusCode"] for one in told[1:]]
    assert codes == ["REQUIRED_FIELD_MISSING", "STRING_TOO_LONG"]


def test_query_follows_the_pages(org: Any) -> None:
    """More than one page of rows is read whole through nextRecordsUrl."""
    rows = [{"attributes": {"type": "Lead"}, "LastName": f"L{n}", "Company": "Example"} for n in range(200)]
    for _ in range(11):
        org.restful("composite/sobjects", method="POST", json={"records": rows})
    first = org.query("SELECT Id, LastName FROM Lead WHERE Company = 'Example' ORDER BY LastName")
    everything = org.query_all("SELECT Id FROM Lead")
    assert (first["done"], len(first["records"]), first["totalSize"]) == (False, 2000, 2200)
    assert len({one["Id"] for one in everything["records"]}) == 2200


def test_describe_and_limits_are_read(org: Any) -> None:
    """Describes, the list of objects and the limits come through."""
    described = {one["name"]: one for one in org.Contact.describe()["fields"]}
    assert (described["Headwater_Id__c"]["externalId"], described["LastName"]["length"]) == (True, 80)
    assert {"Account", "Contact"} <= {one["name"] for one in org.describe()["sobjects"]}
    assert org.limits()["DailyApiRequests"]["Max"] == 100_000
    assert org.api_usage["api-usage"].total == 100_000


def test_errors_are_raised_as_the_client_knows_them(sandbox: SandboxProcess, org: Any) -> None:
    """A malformed query and a dead session come out as the client's own exceptions."""
    with pytest.raises(SalesforceMalformedRequest) as refused:
        org.query("SELECT Nope FROM Contact")
    content: Any = refused.value.content
    assert content[0]["errorCode"] == "INVALID_FIELD"
    with pytest.raises(SalesforceExpiredSession):
        _org(sandbox, "sdk", token="stale").query("SELECT Id FROM Contact")


def _results(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_bulk_upsert_takes_good_rows_and_tells_of_bad_ones(org: Any) -> None:
    """A job of Bulk API 2.0 goes its way: upload, close, wait, and every row is found in one of the results."""
    people = [
        {"Headwater_Id__c": f"e{n}", "LastName": f"Bulk {n}", "Email": f"b{n}@example.com"} for n in range(60)
    ]
    people[7]["Email"] = "not-an-address"
    [told] = org.bulk2.Contact.upsert(records=people, external_id_field="Headwater_Id__c")
    assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (60, 1)
    good = _results(org.bulk2.Contact.get_successful_records(told["job_id"]))
    [bad] = _results(org.bulk2.Contact.get_failed_records(told["job_id"]))
    assert len(good) == 59
    assert {row["sf__Created"] for row in good} == {"true"}
    assert bad["Headwater_Id__c"] == "e7"
    assert bad["sf__Error"].startswith("INVALID_EMAIL_ADDRESS:")
    assert org.Contact.get(good[0]["sf__Id"])["Headwater_Id__c"] == good[0]["Headwater_Id__c"]


def test_a_bulk_header_without_a_field_fails_the_whole_job(org: Any) -> None:
    """Nothing is processed, and every row comes back as unprocessed."""
    with pytest.raises(SalesforceOperationError, match="Field name not found : Nonsense__c"):
        org.bulk2.Contact.upsert(
            records=[{"Headwater_Id__c": "e1", "LastName": "A", "Nonsense__c": "x"}],
            external_id_field="Headwater_Id__c",
        )
    assert org.query("SELECT Id FROM Contact")["totalSize"] == 0


def test_an_aborted_bulk_job_writes_nothing(org: Any) -> None:
    """What was uploaded and never closed is not processed; a second upload to one job is refused."""
    bulk = org.bulk2.Contact._client  # noqa: SLF001 - the SDK has no public way to stop half-way
    job = bulk.create_job("upsert", external_id_field="Headwater_Id__c")
    rows = '"Headwater_Id__c","LastName"\n"e1","Never"\n'
    bulk.upload_job_data(job["id"], rows)
    with pytest.raises(SalesforceMalformedRequest, match="Found multiple contents"):
        bulk.upload_job_data(job["id"], rows)
    assert bulk.abort_job(job["id"], False)["state"] == "Aborted"
    with pytest.raises(SalesforceMalformedRequest, match="INVALIDJOBSTATE"):
        bulk.close_job(job["id"])
    assert _results(org.bulk2.Contact.get_unprocessed_records(job["id"])) == [
        {"Headwater_Id__c": "e1", "LastName": "Never"}
    ]
    assert org.query("SELECT Id FROM Contact")["totalSize"] == 0


def test_bulk_nulls_clear_and_empty_values_leave_alone(org: Any) -> None:
    """`#N/A` clears a field, an empty value is passed over."""
    made = org.Contact.create(
        {"LastName": "Keep", "Title": "Clerk", "Department": "North", "Headwater_Id__c": "e1"}
    )
    row = {"Headwater_Id__c": "e1", "LastName": "", "Title": "#N/A", "Department": ""}
    org.bulk2.Contact.upsert(records=[row], external_id_field="Headwater_Id__c")
    kept = org.Contact.get(made["id"])
    assert (kept["LastName"], kept["Title"], kept["Department"]) == ("Keep", None, "North")
