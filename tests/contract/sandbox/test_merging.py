"""Merging records in both sandbox CRMs: as the vendors document it.

HubSpot: CRM API v3, merge; Contacts API v1, secondary email; its article on merging records (2025: a merge makes a new
record). Salesforce: SOAP API Developer Guide, merge() and undelete(); the partner WSDL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.sandbox.process import SandboxProcess

ACCOUNT: Final = "merging"
SOAP: Final = "/services/Soap/u/61.0"
DATA: Final = "/services/data/v61.0"


@pytest.fixture
def portal(sandbox: SandboxProcess) -> Iterator[httpx.Client]:
    """An empty portal."""
    sandbox.empty("hubspot", ACCOUNT)
    with sandbox.session("hubspot", ACCOUNT) as session:
        yield session


@pytest.fixture
def org(sandbox: SandboxProcess) -> Iterator[httpx.Client]:
    """An empty org."""
    sandbox.empty("salesforce", ACCOUNT)
    with sandbox.session("salesforce", ACCOUNT) as session:
        yield session


def contact(portal: httpx.Client, **properties: str) -> str:
    """Make a contact; return its id."""
    made = portal.post("/crm/v3/objects/contacts", json={"properties": properties})
    return str(made.raise_for_status().json()["id"])


def merge(portal: httpx.Client, primary: str, other: str) -> dict[str, Any]:
    """Merge two contacts; return the answer."""
    body = {"primaryObjectId": primary, "objectIdToMerge": other}
    told: dict[str, Any] = portal.post("/crm/v3/objects/contacts/merge", json=body).raise_for_status().json()
    return told


def test_a_merge_makes_a_record_with_a_new_id_and_the_primary_s_values(portal: httpx.Client) -> None:
    """The secondary fills what is empty; its address becomes a second one; both ids are remembered."""
    first = contact(portal, email="a@x.example", lastname="A", phone="1")
    second = contact(portal, email="b@x.example", lastname="B", city="Bonn")
    told = merge(portal, first, second)
    properties = told["properties"]
    assert told["id"] not in {first, second}
    assert (properties["lastname"], properties["city"], properties["phone"]) == ("A", "Bonn", "1")
    assert (properties["email"], properties["hs_additional_emails"]) == ("a@x.example", "b@x.example")
    assert properties["hs_merged_object_ids"] == f"{first};{second}"


def test_old_ids_lead_to_the_merged_record_through_later_merges(portal: httpx.Client) -> None:
    """Reading and writing by an id from before a merge meets the record that was made of it."""
    first, second, third = (contact(portal, email=f"{name}@x.example") for name in "abc")
    last = merge(portal, merge(portal, first, second)["id"], third)["id"]
    for old in (first, second, third):
        assert portal.get(f"/crm/v3/objects/contacts/{old}").raise_for_status().json()["id"] == last
    body = {"inputs": [{"id": second, "properties": {"city": "Ulm"}}]}
    written = portal.post("/crm/v3/objects/contacts/batch/update", json=body).raise_for_status().json()
    assert [one["id"] for one in written["results"]] == [last]


def test_associations_of_both_are_kept(portal: httpx.Client) -> None:
    """The merged record is tied to what either was tied to, and nothing to the old ones."""
    first, second = contact(portal, email="a@x.example"), contact(portal, email="b@x.example")
    firms = []
    for one in (first, second):
        made = portal.post("/crm/v3/objects/companies", json={"properties": {"name": f"Firm {one}"}}).json()
        firms.append(int(made["id"]))
        path = f"/crm/v4/objects/contacts/{one}/associations/default/companies/{made['id']}"
        portal.put(path).raise_for_status()
    merged = merge(portal, first, second)["id"]
    asked = {"inputs": [{"id": merged}, {"id": first}]}
    told = portal.post("/crm/v4/associations/contacts/companies/batch/read", json=asked).json()
    ((ends),) = [[int(end["toObjectId"]) for end in item["to"]] for item in told["results"]]
    assert sorted(ends) == sorted(firms)
    pair = {"inputs": [{"from": {"id": merged}, "to": [{"id": str(firms[0])}]}]}
    archived = portal.post("/crm/v4/associations/contacts/companies/batch/archive", json=pair)
    assert archived.status_code == 204
    left = portal.post("/crm/v4/associations/contacts/companies/batch/read", json=asked).json()["results"]
    assert [[int(end["toObjectId"]) for end in item["to"]] for item in left] == [[firms[1]]]


def test_a_second_address_is_taken_until_it_is_given_up(portal: httpx.Client) -> None:
    """No other contact may have it; the call of the first version of the API takes it from the record."""
    first, second = contact(portal, email="a@x.example"), contact(portal, email="b@x.example")
    merged = merge(portal, first, second)["id"]
    again = {"properties": {"email": "b@x.example"}}
    assert portal.post("/crm/v3/objects/contacts", json=again).status_code == 409
    told = portal.delete(f"/contacts/v1/secondary-email/{merged}/email/b@x.example").raise_for_status().json()
    assert told["secondaryEmails"] == []
    assert portal.post("/crm/v3/objects/contacts", json=again).status_code == 201


@pytest.mark.parametrize("other", ["", "1", "itself"])
def test_what_cannot_be_merged_is_refused(portal: httpx.Client, other: str) -> None:
    """No id, an unknown one, and the same record twice."""
    first = contact(portal, email="a@x.example")
    body = {"primaryObjectId": first, "objectIdToMerge": first if other == "itself" else other}
    answer = portal.post("/crm/v3/objects/contacts/merge", json=body)
    assert answer.status_code == (404 if other == "1" else 400)
    assert portal.get(f"/crm/v3/objects/contacts/{first}").status_code == 200


def soap(org: httpx.Client, operation: str, *, session: str = "") -> httpx.Response:
    """Call SOAP with the session of the REST calls, or another one."""
    token = session or org.headers["Authorization"].removeprefix("Bearer ")
    envelope = (
        '<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:sf="urn:partner.soap.sforce.com" xmlns:sfobj="urn:sobject.partner.soap.sforce.com"><soapenv:Header>'
        f"<sf:SessionHeader><sf:sessionId>{token}</sf:sessionId></sf:SessionHeader></soapenv:Header>"
        f"<soapenv:Body>{operation}</soapenv:Body></soapenv:Envelope>"
    )
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    return org.post(SOAP, content=envelope, headers=headers)


def merge_call(master: str, *others: str, kind: str = "Contact") -> str:
    """Return a merge."""
    merged = "".join(f"<sf:recordToMergeIds>{one}</sf:recordToMergeIds>" for one in others)
    master_record = (
        f"<sf:masterRecord><sfobj:type>{kind}</sfobj:type><sfobj:Id>{master}</sfobj:Id></sf:masterRecord>"
    )
    return f"<sf:merge><sf:request>{master_record}{merged}</sf:request></sf:merge>"


def made(org: httpx.Client, kind: str, **fields: str) -> str:
    """Make a row; return its id."""
    return str(org.post(f"{DATA}/sobjects/{kind}", json=fields).raise_for_status().json()["id"])


def two(org: httpx.Client) -> tuple[str, str, str]:
    """Make two contacts and a task of the second."""
    first = made(org, "Contact", LastName="A", Headwater_Id__c="one")
    second = made(org, "Contact", LastName="B", MailingCity="Bonn", Headwater_Id__c="two")
    return first, second, made(org, "Task", Subject="Call", WhoId=second)


def test_a_merge_deletes_the_other_and_parents_what_refers_to_it_anew(org: httpx.Client) -> None:
    """The master keeps its values and takes none; `queryAll` shows the other with its master; ids are told."""
    first, second, task = two(org)
    answer = soap(org, merge_call(first, second))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml;charset=UTF-8")
    told = dict(re.findall(r"<(\w+)>([^<]+)</\1>", answer.text))
    assert (told["id"], told["mergedRecordIds"], told["updatedRelatedIds"]) == (first, second, task)
    assert told["success"] == "true"
    assert org.get(f"{DATA}/sobjects/Task/{task}").json()["WhoId"] == first
    assert org.get(f"{DATA}/sobjects/Contact/{first}").json()["MailingCity"] is None
    assert org.get(f"{DATA}/sobjects/Contact/{second}").status_code == 404
    soql = f"SELECT Id, MasterRecordId FROM Contact WHERE Id = '{second}' AND IsDeleted = true"  # noqa: S608 - SOQL
    (row,) = org.get(f"{DATA}/queryAll", params={"q": soql}).json()["records"]
    assert row["MasterRecordId"] == first


def test_an_undelete_brings_the_row_back_and_parents_nothing(org: httpx.Client) -> None:
    """Its fields and its id are as before; what was re-parented stays with the master."""
    first, second, task = two(org)
    soap(org, merge_call(first, second))
    answer = soap(org, f"<sf:undelete><sf:ids>{second}</sf:ids></sf:undelete>")
    assert "<success>true</success>" in answer.text
    row = org.get(f"{DATA}/sobjects/Contact/{second}").raise_for_status().json()
    assert (row["MailingCity"], row["Headwater_Id__c"], row["MasterRecordId"]) == ("Bonn", "two", None)
    assert org.get(f"{DATA}/sobjects/Task/{task}").json()["WhoId"] == first


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("<sf:undelete><sf:ids>{first}</sf:ids></sf:undelete>", "UNDELETE_FAILED"),
        (merge_call("{first}", "{first}"), "DUPLICATE_VALUE"),
        (merge_call("{first}", "0035500001ZZZZZAA2"), "NOT_FOUND"),
        (merge_call("{first}", "{second}", kind="Task"), "INVALID_TYPE"),
        (merge_call("{first}"), "NUMBER_OUTSIDE_VALID_RANGE"),
    ],
)
def test_what_cannot_be_done_is_refused_by_item(org: httpx.Client, operation: str, code: str) -> None:
    """The call is answered; the item says why it failed, and nothing of it was done."""
    first, second, _ = two(org)
    answer = soap(org, operation.format(first=first, second=second))
    assert answer.status_code == 200
    assert f"<statusCode>{code}</statusCode>" in answer.text
    assert org.get(f"{DATA}/sobjects/Contact/{second}").status_code == 200


def test_a_session_that_is_none_is_a_fault(org: httpx.Client) -> None:
    """SOAP carries the session in its body, and answers a fault where REST answers 401."""
    answer = soap(org, merge_call("a", "b"), session="nobody")
    assert (answer.status_code, "<faultcode>sf:INVALID_SESSION_ID</faultcode>" in answer.text) == (500, True)
