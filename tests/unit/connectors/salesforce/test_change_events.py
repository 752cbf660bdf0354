"""Change events as Salesforce encodes them: which fields changed, whose, and what follows for who listens."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base import CallFailed
from headwater.connectors.base.streaming import Listened
from headwater.connectors.salesforce.change_events import Change, change_of, heard_of, schema_of, topic_of
from headwater.sandbox.salesforce.event_schemas import encode
from headwater.sandbox.salesforce.event_schemas import schema_of as described

CONTACT: Final = schema_of(described("Contact").text)
PERSON: Final = "00355000010000AAAA"
TEXTS: Final = (
    "FirstName",
    "LastName",
    "Email",
    "Phone",
    "Title",
    "MailingCity",
    "MailingStreet",
    "OtherCountry",
)
READ: Final = Listened("/data/ChangeEvents", {"Contact": frozenset({"Email", "MailingCity"})})


def event(kind: str, *, entity: str = "Contact", ids: tuple[str, ...] = (PERSON,), **changed: Any) -> bytes:
    """Return an event as the sandbox encodes it."""
    header = {
        "entityName": entity, "recordIds": list(ids), "changeType": kind, "changeOrigin": "", "transactionKey": "t",
        "sequenceNumber": 1, "commitTimestamp": 1, "commitNumber": 1, "commitUser": "u",
    }  # fmt: skip
    return encode("Contact", header, changed)


@given(st.dictionaries(st.sampled_from(TEXTS), st.one_of(st.none(), st.text(max_size=5)), min_size=1))
def test_an_update_names_exactly_the_fields_that_changed(changed: dict[str, Any]) -> None:
    """Those within compound fields by their REST names, emptied ones too; and no other that REST knows."""
    change = change_of(event("UPDATE", **changed), CONTACT)
    assert change.fields is not None
    assert change.fields & described("Contact").places.keys() >= set(changed)
    assert {name for name in change.fields if name in TEXTS} == set(changed)


@pytest.mark.parametrize("kind", ["CREATE", "DELETE", "UNDELETE", "GAP_UPDATE", "GAP_DELETE"])
def test_what_names_no_fields_concerns_them_all(kind: str) -> None:
    """A creation is of the whole record, and a gap does not say."""
    assert change_of(event(kind), CONTACT).fields is None


def test_topics_are_named_after_objects() -> None:
    """Custom ones lose their ending before the event's."""
    assert topic_of("Contact") == "/data/ContactChangeEvent"
    assert topic_of("Site_Visit__c") == "/data/Site_Visit__ChangeEvent"


def test_only_changes_of_fields_that_are_read_are_wanted_each_record_once() -> None:
    """Another object and another field are counted; two changes of one record are one wish."""
    payloads = (
        event("UPDATE", Email="a@x.example"), event("UPDATE", MailingCity="Ulm"), event("UPDATE", Title="Boss"),
        event("UPDATE", entity="Lead", Email="b@x.example"),
    )  # fmt: skip
    heard = heard_of([(change_of(item, CONTACT), CONTACT) for item in payloads], READ, "aa")
    assert (heard.wanted, heard.unread, heard.mark) == ((("Contact", PERSON),), 2, "aa")


def test_a_field_that_no_event_tells_makes_every_change_count() -> None:
    """A formula is in no schema: any change may have changed it."""
    listened = Listened("t", {"Contact": frozenset({"Email", "Score__c"})})
    change = change_of(event("UPDATE", Title="Boss"), CONTACT)
    assert heard_of([(change, CONTACT)], listened, "").wanted == (("Contact", PERSON),)


def test_an_overflow_and_a_record_without_an_id_are_polled() -> None:
    """They name no record that could be read."""
    changes = [
        Change("Contact", "GAP_OVERFLOW", ("000000000000000AAA",), None),
        Change("Contact", "DELETE", ("003*",), None),
    ]
    for change in changes:
        heard = heard_of([(change, CONTACT)], READ, "")
        assert (heard.wanted, heard.missed) == ((), frozenset({"Contact"}))


def test_what_cannot_be_made_out_is_polled_for_every_object() -> None:
    """Nothing is stepped over silently."""
    assert heard_of([], READ, "", unreadable=1).missed == frozenset({"Contact"})


@given(st.binary(max_size=60))
def test_bytes_that_are_no_event_are_refused_as_such(payload: bytes) -> None:
    """Whatever comes, it is read or refused in one way."""
    assert refusal_of(payload) in {"", "EVENT_UNREADABLE"}


def refusal_of(payload: bytes) -> str:
    """Return the code by which an event is refused; empty when it is read."""
    try:
        change_of(payload, CONTACT)
    except CallFailed as refused:
        return refused.error.code
    return ""


@pytest.mark.parametrize(
    "text", ["", "{}", '{"type":"record","name":"A","fields":[]}', '{"type":"nothing","fields":[]}']
)
def test_a_schema_that_is_none_is_refused(text: str) -> None:
    """The topic is not one of change events, or the answer is broken."""
    with pytest.raises(CallFailed, match="SCHEMA_UNREADABLE"):
        schema_of(text)
