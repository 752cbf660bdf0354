"""Activities refer to whoever their participants' records are in: through merges, and back through splits."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.policy.survivorship import Chosen, FieldFact
from headwater.policy.timeline import Timeline
from headwater.sync.domain.gathering import activity_of, misplaced, replace_people, touched_by
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.states import EntityState, RecordState

WORDS = Timeline()
ADDRESSES = ("a@x.io", "b@x.io", "c@x.io")
PEOPLE = (key(1), key(2), key(3))
homes_of = st.fixed_dictionaries({("mail", address): st.sampled_from(PEOPLE) for address in ADDRESSES})


def record(entities: dict[str, uuid.UUID | None]) -> RecordState:
    """Return the record of an email whose participants refer to *entities*."""
    value = [
        {"role": "to", "address": address.upper(), "name": "", **({"entity_id": str(one)} if one else {})}
        for address, one in entities.items()
    ]
    facts = {"participants": FieldFact(value, NOON, key(9))}
    return RecordState(RecordKey(TENANT, "activity", "mail", "m1"), key(8), facts)


def referred(held: RecordState) -> dict[str, uuid.UUID]:
    """Return address to the contact that it refers to."""
    return {
        item["address"].lower(): uuid.UUID(item["entity_id"]) for item in held.fields["participants"].value
    }


@given(homes_of, st.lists(homes_of, max_size=5))
def test_references_tell_only_where_records_are_now(
    first: dict[tuple[str, str], uuid.UUID], changes: list[dict[tuple[str, str], uuid.UUID]]
) -> None:
    """Whatever merges and splits lay between; and once they are right nothing is changed any more."""
    held = record(dict.fromkeys(ADDRESSES))
    replace_people(WORDS, held, first, {})
    for homes in changes:
        replace_people(WORDS, held, homes, {})
    for homes in (*reversed(changes), first):  # undone in reverse
        replace_people(WORDS, held, homes, {})
    assert referred(held) == {address: first["mail", address] for address in ADDRESSES}
    assert not replace_people(WORDS, held, first, {})
    assert held.fields["participants"].event_key == key(9)


def test_a_reference_to_a_merged_contact_stays_while_it_stands_for_the_same() -> None:
    """Deliveries follow merges anyhow: nothing is written anew for them."""
    held = record({"a@x.io": key(1)})
    assert not replace_people(WORDS, held, {("mail", "a@x.io"): key(2)}, {key(1): key(2)})
    assert replace_people(WORDS, held, {("mail", "a@x.io"): key(2)}, {})


def activity(**fields: object) -> EntityState:
    """Return an activity with these values, by mail."""
    chosen = {name: Chosen(value, "first", "mail", key(9), NOON) for name, value in fields.items()}
    return EntityState(TENANT, key(8), "activity", version=1, fields=chosen)


def test_every_kind_of_activity_has_one_form() -> None:
    """A note with its author's name, a call without ids: actor, status and a thread of its own."""
    people = [
        {"role": "caller", "address": "A@x.io", "name": ""},
        {"role": "to", "address": "none", "name": ""},
    ]
    call = activity_of(
        WORDS, activity(kind="call", occurred_at="2026-01-01T12:00:00Z", participants=people), {}
    )
    assert call is not None
    assert (call.kind, call.source, call.actor, call.message_id) == ("call", "mail", "a@x.io", str(key(8)))
    assert [person.address for person in call.people] == ["a@x.io"]
    note = activity_of(
        WORDS, activity(kind="note", occurred_at="2026-01-01T12:00:00Z", actor="dana", status="done"), {}
    )
    assert note is not None
    assert (note.actor, note.status, note.people) == ("dana", "done", ())


@pytest.mark.parametrize("state", ["deleted", "merged"])
def test_what_has_ended_or_has_no_time_is_no_activity(state: str) -> None:
    """It is in no timeline."""
    ended = activity(occurred_at="2026-01-01T12:00:00Z")
    ended.state = state
    assert activity_of(WORDS, ended, {}) is None
    assert activity_of(WORDS, activity(kind="note"), {}) is None
    assert not misplaced(WORDS, activity(kind="note"), {}, {})


def test_only_activities_that_a_changed_key_concerns_are_looked_at_again() -> None:
    """By mailbox, by domain, by staff of a renamed company; of a deal always, for its stage and days."""
    one, other = frozenset({("mailbox", "a@x.io")}), frozenset({("mailbox", "b@x.io")})
    contact = EntityState(TENANT, key(1), "contact")
    assert touched_by(contact, one, one, {}) == set()
    assert touched_by(contact, one, other, {}) == one | other
    account = EntityState(TENANT, key(2), "account")
    names = (frozenset({("name", "old")}), frozenset({("name", "new"), ("domain", "x.io")}))
    staff = {"old": [key(1)]}
    assert touched_by(account, *names, staff) == {("concerns", str(key(1))), ("domain", "x.io")}
    deal = EntityState(TENANT, key(3), "deal")
    held = frozenset({("account", str(key(2)))})
    assert touched_by(deal, held, held, {}) == {("concerns", str(key(2)))}
