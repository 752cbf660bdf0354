"""Uploads and results of Bulk API 2.0: what is told, how it is told apart, and what is never guessed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base import CallFailed, ErrorClass, Failed, Reference, Target, Write, Written
from headwater.connectors.base.bulk import JobState
from headwater.connectors.base.http import Answer
from headwater.connectors.salesforce import bulk_wire

TARGET = Target("contact", "Contact", "Headwater_Id__c", ("LastName", "Title", "Active__c"), ("AccountId",))


def write(external_id: str = "e1", fields: Mapping[str, Any] | None = None, **more: Any) -> Write:
    """Return a write."""
    return Write(external_id, more.pop("crm_id", ""), fields or {"LastName": external_id}, **more)


def table(content: bytes) -> list[dict[str, str]]:
    """Return a CSV's rows."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def answer(text: str) -> Answer:
    """Return a result."""
    return Answer(200, {}, text.encode())


def test_records_that_change_different_fields_go_in_one_upload() -> None:
    """What a record leaves alone is empty, what it clears is #N/A."""
    rows = table(
        bulk_wire.csv_of(
            TARGET,
            [
                write("e1", {"LastName": "A", "Active__c": True, "Title": None}),
                write("e2", {"Title": ""}, references=(Reference("AccountId", ("001A",)),)),
                write("e3", {"Active__c": False, "LastName": 5}),
            ],
        )
    )
    assert rows == [
        {"Headwater_Id__c": "e1", "LastName": "A", "Active__c": "true", "Title": "#N/A", "AccountId": ""},
        {"Headwater_Id__c": "e2", "LastName": "", "Active__c": "", "Title": "#N/A", "AccountId": "001A"},
        {"Headwater_Id__c": "e3", "LastName": "5", "Active__c": "false", "Title": "", "AccountId": ""},
    ]


def test_records_whose_id_is_known_are_updated_by_it() -> None:
    """And claimed by their external id; others are upserted by it."""
    known = write("e1", crm_id="003A")
    assert table(bulk_wire.csv_of(TARGET, [known]))[0] == {
        "Headwater_Id__c": "e1",
        "Id": "003A",
        "LastName": "e1",
    }
    opened = bulk_wire.open_request("v61.0", TARGET, [known])
    assert (opened.path, opened.body["operation"]) == ("/services/data/v61.0/jobs/ingest", "update")
    upsert = bulk_wire.open_request("v61.0", TARGET, [write()]).body
    assert (upsert["operation"], upsert["externalIdFieldName"]) == ("upsert", "Headwater_Id__c")


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["LastName", "Title"]), texts.filter(lambda text: text != "#N/A")),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_comes_through_and_no_upload_is_larger_than_told(drawn: list[dict[str, str]]) -> None:
    """Quotes, commas, line ends of every kind, and all of Unicode."""
    writes = [write(f"e{number}", fields) for number, fields in enumerate(drawn)]
    content = bulk_wire.csv_of(TARGET, writes)
    for told, one in zip(table(content), writes, strict=True):
        for name, value in one.fields.items():
            assert told[name] == (value or "#N/A")
    header = len(content.split(b"\n", 1)[0]) + 1
    assert len(content) - header <= sum(bulk_wire.bytes_of(TARGET, one) or 0 for one in writes)


def test_a_text_that_would_clear_the_field_goes_by_itself() -> None:
    """#N/A as a value cannot be told in an upload."""
    assert bulk_wire.bytes_of(TARGET, write("e1", {"Title": "#N/A"})) is None


def test_results_are_matched_by_external_id_whatever_their_order() -> None:
    """Good, bad and left over; one that no result names is in neither part."""
    writes = [write(f"e{number}") for number in range(1, 6)]
    good = 'sf__Id,sf__Created,Headwater_Id__c,LastName\n003B,false,e2,x\n003A,true,e1,"a\nb"\n003Z,true,nobody,x\n'
    bad = 'sf__Id,sf__Error,Headwater_Id__c\n,"DUPLICATE_VALUE:duplicate value found: X__c duplicates value on record with id: 003000000000001:X__c --",e3\n'
    left = "Headwater_Id__c,LastName\ne4,x\n"
    results = bulk_wire.read_results(TARGET, writes, answer(good), answer(bad), answer(left))
    assert results.outcomes["e1"] == Written("003A", created=True)
    assert results.outcomes["e2"] == Written("003B", created=False)
    refused = results.outcomes["e3"]
    assert isinstance(refused, Failed)
    assert (refused.error.error_class, refused.error.code) == (ErrorClass.CONFLICT, "DUPLICATE_VALUE")
    assert (refused.error.existing_crm_id, refused.error.field) == ("003000000000001", "X__c")
    assert set(results.outcomes) == {"e1", "e2", "e3"}
    assert results.untouched == {"e4"}


@pytest.mark.parametrize(
    ("text", "error_class", "field"),
    [
        ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record: --", ErrorClass.SERVER, ""),
        (
            "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
            ErrorClass.VALIDATION,
            "LastName",
        ),
        (
            "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:AccountId --",
            ErrorClass.REFERENCE,
            "AccountId",
        ),
        ("SOMETHING_NEW", ErrorClass.VALIDATION, ""),
    ],
)
def test_refusals_of_rows_are_told_apart(text: str, error_class: ErrorClass, field: str) -> None:
    """By Salesforce's code and the field it names."""
    one = write("e1", references=(Reference("AccountId", ("001A",)),))
    bad = f'sf__Id,sf__Error,Headwater_Id__c\n,"{text}",e1\n'
    refused = bulk_wire.read_results(TARGET, [one], answer(""), answer(bad), answer("")).outcomes["e1"]
    assert isinstance(refused, Failed)
    assert (refused.error.error_class, refused.error.field) == (error_class, field)


@pytest.mark.parametrize(
    "text",
    [
        "<html>Down for Maintenance</html>\nx\n",
        "sf__Id,sf__Created\n003A,true\n",
        'sf__Id,Headwater_Id__c\n"003A',
        "\xff",
    ],
)
def test_what_is_no_result_is_not_read_as_an_empty_one(text: str) -> None:
    """Else every record would be sent again."""
    broken = Answer(200, {}, text.encode("latin-1"))
    with pytest.raises(CallFailed, match="RESULTS_UNREADABLE"):
        bulk_wire.read_results(TARGET, [write()], broken, answer(""), answer(""))


@pytest.mark.parametrize(
    ("state", "wanted"),
    [("Open", JobState.OPEN), ("UploadComplete", JobState.RUNNING), ("InProgress", JobState.RUNNING),
     ("JobComplete", JobState.DONE), ("Failed", JobState.DONE), ("Aborted", JobState.DONE), ("Paused", JobState.RUNNING)],
)  # fmt: skip
def test_states_of_a_job(state: str, wanted: JobState) -> None:
    """One that nobody knows is waited for."""
    assert bulk_wire.read_state({"state": state}) is wanted
