"""What one delivery sends: the smallest write, or nothing, or not yet."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import key, policy

from headwater.connectors.base import Found, Reference, Write
from headwater.sync.domain.delivering import (
    REFERENCE_RECHECK_S,
    REFERENCES_KEY,
    Plan,
    ReferenceState,
    Send,
    Settled,
    Wait,
    adopt_found,
    chunks,
    connector_targets,
    known_after,
    plan_delivery,
    to_target,
)

SALESFORCE = policy().connectors["salesforce"]
HUBSPOT = policy().connectors["hubspot"]
KNOWN = {"Email": "a@x.io", "LastName": "Lovelace"}
HELD: dict[str, Any] = {"crm_object": "Contact", "crm_id": "003", "known": KNOWN}


def plan(**changed: Any) -> Plan:
    """Plan a delivery to Salesforce."""
    return plan_delivery(SALESFORCE, claimed(**changed), reference_wait_s=120.0)


def account(crm_id: str = "", *, coming: bool = True) -> tuple[ReferenceState, ...]:
    """Return a reference to a company."""
    return (ReferenceState("account", key(50), crm_id, coming),)


def test_a_mapping_has_one_target_and_equal_mappings_of_two_policies_have_two() -> None:
    """A delivery costs no new target; what another policy says is never taken for it."""
    mapping = SALESFORCE.objects["contact"][0]
    other = mapping.model_copy(update={"target": "Lead"})
    first = to_target("contact", mapping)
    assert to_target("contact", mapping) is first
    assert (to_target("contact", other).crm_object, to_target("lead", mapping).object_name) == (
        "Lead",
        "lead",
    )
    assert to_target("contact", mapping) is first


def test_the_first_write_holds_every_value_that_there_is() -> None:
    """Missing values are left out, defaults are not."""
    sent = plan(values={"email": "a@x.io"})
    assert isinstance(sent, Send)
    assert sent.write == Write(str(key(1)), "", {"Email": "a@x.io", "LastName": "unknown"})
    assert (sent.target.crm_object, sent.lacks_reference) == ("Contact", False)


def test_a_later_write_holds_only_what_differs() -> None:
    """The patch is minimal, and clears what is gone."""
    values = {"email": "a@x.io", "last_name": "King", "title": "cto"}
    sent = plan(**{**HELD, "known": {**KNOWN, "FirstName": "Ada"}}, values=values)
    assert isinstance(sent, Send)
    assert sent.write.fields == {"LastName": "King", "Title": "CTO", "FirstName": None}
    assert sent.write.crm_id == "003"


def test_nothing_is_sent_when_the_crm_holds_it_all() -> None:
    """An unchanged record costs no call."""
    settled = plan(**HELD)
    assert isinstance(settled, Settled)
    assert (settled.outcome, settled.rule) == ("unchanged", "")


def test_a_reference_on_its_way_is_waited_for() -> None:
    """The company comes first, for as long as the policy waits."""
    waiting = plan(references=account(), waited_s=119.0)
    assert isinstance(waiting, Wait)
    assert waiting.after_s == REFERENCE_RECHECK_S


@pytest.mark.parametrize(("waited_s", "coming"), [(120.0, True), (0.0, False)])
def test_a_record_goes_without_a_reference_that_does_not_come(waited_s: float, *, coming: bool) -> None:
    """After the wait, or when nothing is coming, it goes and says what it lacks."""
    sent = plan(references=account(coming=coming), waited_s=waited_s)
    assert isinstance(sent, Send)
    assert (sent.lacks_reference, sent.write.references) == (True, ())


def test_a_reference_that_arrived_is_sent_alone() -> None:
    """Only the new link is written, and known afterwards."""
    item = claimed(**HELD, references=account("001"))
    sent = plan_delivery(SALESFORCE, item, 120.0)
    assert isinstance(sent, Send)
    assert sent.write == Write(str(key(1)), "003", {}, (Reference("AccountId", ("001",)),))
    known = known_after(item, sent.write)
    assert known == {**KNOWN, REFERENCES_KEY: {"AccountId": ["001"]}}
    again = plan(**{**HELD, "known": known}, references=account("001"))
    assert isinstance(again, Settled)


def test_what_is_unchanged_still_says_that_it_lacks_a_reference() -> None:
    """So that it is woken when the reference arrives."""
    settled = plan(**HELD, references=account(coming=False))
    assert isinstance(settled, Settled)
    assert settled.lacks_reference


@pytest.mark.parametrize("state", ["merged", "deleted"])
def test_an_entity_that_ended_before_its_delivery_is_never_sent(state: str) -> None:
    """Nothing is created just to be marked as ended."""
    settled = plan(state=state, merged_into=key(2) if state == "merged" else None)
    assert isinstance(settled, Settled)
    assert (settled.outcome, settled.rule) == ("superseded", f"{state}_before_delivery")


def test_an_entity_that_ended_is_marked_and_otherwise_left_alone() -> None:
    """Nothing is ever deleted in a CRM, and references are not waited for."""
    sent = plan(**HELD, state="merged", merged_into=key(2), values={}, references=account())
    assert isinstance(sent, Send)
    assert sent.write.fields == {"Headwater_State__c": "merged", "Headwater_Winner__c": str(key(2))}


def test_an_entity_that_lives_again_loses_its_marks() -> None:
    """A split takes the marks of the merge away."""
    known = {**KNOWN, "Headwater_State__c": "merged", "Headwater_Winner__c": str(key(2))}
    sent = plan(**{**HELD, "known": known})
    assert isinstance(sent, Send)
    assert sent.write.fields == {"Headwater_State__c": None, "Headwater_Winner__c": None}


def test_an_unmapped_entity_is_superseded() -> None:
    """Conditions that no target meets send the entity nowhere."""
    settled = plan_delivery(HUBSPOT, claimed(connector="hubspot", values={"plan": "free"}), 120.0)
    assert isinstance(settled, Settled)
    assert (settled.outcome, settled.rule) == ("superseded", "not_mapped")


def test_a_delivered_entity_stays_where_it_is() -> None:
    """A condition that ends does not strand the record that the CRM holds."""
    item = claimed(connector="hubspot", crm_object="contacts", crm_id="7", values={"email": "b@x.io"})
    sent = plan_delivery(HUBSPOT, item, 120.0)
    assert isinstance(sent, Send)
    assert sent.write.fields == {"email": "b@x.io"}


def test_what_a_look_up_shows_replaces_what_was_assumed() -> None:
    """Empty fields are not known; nor are delivered references, which a look-up does not show."""
    item = claimed(**{**HELD, "known": {**KNOWN, REFERENCES_KEY: {"AccountId": ["001"]}}})
    found = Found(str(key(1)), "004", {"Email": "b@x.io", "LastName": None, "Title": ""})
    after = adopt_found(item, found)
    assert after.crm_id == "004"
    assert after.known == {"Email": "b@x.io"}
    assert adopt_found(claimed(), found).known == {"Email": "b@x.io"}


def test_what_a_look_up_found_otherwise_is_a_change_for_the_audit() -> None:
    """Each field that differs is told before and after; without a look-up there is nothing to tell."""
    held = {**KNOWN, "Amount": 5, REFERENCES_KEY: {"AccountId": ["001"]}}
    item = claimed(**{**HELD, "known": held})
    assert item.learned == ()
    found = Found(str(key(1)), "003", {"Email": "b@x.io", "LastName": None, "Amount": "5.0"})
    assert list(adopt_found(item, found).learned) == [
        {"field": "Email", "before": "a@x.io", "after": "b@x.io", "rule": "looked_up"},
        {"field": "LastName", "before": "Lovelace", "after": None, "rule": "looked_up"},
    ]


def test_targets_name_all_fields_that_may_be_written() -> None:
    """End marks are among them; the external id is not."""
    contact, company = connector_targets(SALESFORCE)
    assert contact.fields[-2:] == ("Headwater_State__c", "Headwater_Winner__c")
    assert (contact.external_id_field, contact.references) == ("Headwater_Id__c", ("AccountId",))
    assert company.crm_object == "Account"


def test_calls_hold_one_target_and_no_more_records_than_allowed() -> None:
    """Order is kept inside a target."""
    sends = [plan(entity_id=key(n)) for n in range(5)]
    company = plan(object="account", entity_id=key(9), values={"name": "X"})
    mixed = [item for item in (*sends[:2], company, *sends[2:]) if isinstance(item, Send)]
    groups = chunks(mixed, 2)
    assert [[item.write.external_id for item in group] for group in groups] == [
        [str(key(0)), str(key(1))],
        [str(key(2)), str(key(3))],
        [str(key(4))],
        [str(key(9))],
    ]
