"""What events say, and that none of them can stop the projector."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.sync.tenant import POLICY as POLICY_TEXT
from tests.unit.sync.tenant import TENANT, event, key, policy

from headwater.policy.loading import load_policy
from headwater.sync.domain.log import OPERATION_DELETE
from headwater.sync.domain.reading import (
    DELETION_IGNORED,
    Echo,
    IdentityReading,
    Poisoned,
    PolicyReading,
    RecordReading,
    read_event,
    split_name,
)

POLICY = policy()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
SITE_FIELDS = st.dictionaries(
    st.sampled_from(["email", "first", "last", "plan", "company", "people", "subject", "at"]),
    JSON,
    max_size=6,
)


@given(
    st.sampled_from(["contact", "account", "lead", "deal", "activity", "unheard"]),
    st.sampled_from(["site", "mail", "crm", "unheard"]),
    JSON | SITE_FIELDS,
)
def test_no_payload_raises(object_name: str, source: str, payload: Any) -> None:
    """Whatever an event holds, it is read or poisoned."""
    read = read_event(POLICY, event(1, source, object_name, payload=msgspec.json.encode(payload)))
    assert isinstance(read, (RecordReading, Poisoned))


@given(st.binary(max_size=64))
@example(b"[" * 100_000 + b"]" * 100_000)
def test_no_bytes_raise(payload: bytes) -> None:
    """Bytes that are no JSON are poison."""
    for source, object_name in (("site", "contact"), ("headwater", "identity")):
        read_event(POLICY, event(1, source, object_name, payload=payload))


@given(
    JSON
    | st.fixed_dictionaries(
        {
            "change": JSON,
            "winner": JSON,
            "loser": JSON,
            "object": JSON,
            "merge_id": JSON,
            "moved": JSON | st.lists(JSON),
            "seq": JSON,
        }
    )
)
@example(
    {
        "change": "merged",
        "winner": 5,
        "loser": 6,
        "object": "contact",
        "merge_id": 7,
        "moved": [],
        "seq": None,
    }
)
def test_no_identity_payload_raises(payload: Any) -> None:
    """An identity event of another shape is poison, too."""
    read = read_event(POLICY, event(1, "headwater", "identity", payload=msgspec.json.encode(payload)))
    assert isinstance(read, (IdentityReading, Poisoned))


def test_a_record_is_read_in_canonical_words() -> None:
    """Fields are renamed and normalised, a reference becomes a subject of its own."""
    read = read_event(POLICY, event(1, email="A@X.io", first="Ada", company="c-1", unread="x"))
    assert isinstance(read, RecordReading)
    assert read.fields == {"email": "a@x.io", "first_name": "Ada", "account": "c-1"}
    assert read.references["account"].key == (TENANT, "account", "site", "c-1")
    assert [subject.key.object for subject in read.subjects] == ["contact", "account"]


def test_a_delete_needs_no_payload() -> None:
    """A delete names its record alone."""
    read = read_event(POLICY, event(1, operation=OPERATION_DELETE, payload=b""))
    assert isinstance(read, RecordReading)
    assert (read.deleted, read.fields) == (True, {})


def test_participants_become_contacts_once_each() -> None:
    """Addresses are folded; what is no address is left alone; the source decides about creating."""
    people = [
        {"role": "from", "address": "Ada@x.io ", "name": "Lovelace, Ada"},
        {"role": "to", "address": "ada@x.io", "name": "Ada"},
        {"role": "to", "address": "+49 30 1234", "name": ""},
    ]
    read = read_event(POLICY, event(1, "mail", "activity", subject="Hi", people=people))
    assert isinstance(read, RecordReading)
    ((address, (subject, contact)),) = read.participants.items()
    assert (address, subject.match_only) == ("ada@x.io", False)
    assert contact == {"email": "ada@x.io", "first_name": "Ada", "last_name": "Lovelace"}


def test_an_event_without_a_policy_is_poisoned() -> None:
    """A tenant that nobody set up gets its events held, not lost."""
    assert isinstance(read_event(None, event(1, email="a@x.io")), Poisoned)


def test_own_events_need_no_policy() -> None:
    """Policies, merges and splits are read whatever the tenant has."""
    assert isinstance(read_event(None, event(1, "headwater", "policy", payload=b"{}")), PolicyReading)
    moved = [{"object": "contact", "source": "site", "external_id": "1"}]
    payload = {
        "change": "merged", "winner": str(key(1)), "loser": str(key(2)), "object": "contact", "moved": moved,
        "merge_id": str(key(3)), "seq": 3,
    }  # fmt: skip
    read = read_event(None, event(1, "headwater", "identity", payload=msgspec.json.encode(payload)))
    assert isinstance(read, IdentityReading)
    assert (read.winner, read.moved, read.seq) == (key(1), ((TENANT, "contact", "site", "1"),), 3)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ada Lovelace", "Ada", "Lovelace"),
        ("Lovelace, Ada", "Ada", "Lovelace"),
        ('"Ada  King"  Lovelace', "Ada King", "Lovelace"),
        ("Lovelace,", "", "Lovelace"),
        (",", "", "ada"),
        ("Ada", "", "Ada"),
        ("", "", "ada"),
        ("ada@x.io", "", "ada"),
    ],
)
def test_display_names_are_split(name: str, first: str, last: str) -> None:
    """There is always a last name, since CRMs require one."""
    assert split_name(name, "ada@x.io") == (first, last)


@given(st.text())
def test_every_display_name_gives_a_last_name(name: str) -> None:
    """Whatever people call themselves."""
    assert split_name(name, "ada@x.io")[1]


def test_a_delete_says_nothing_where_the_policy_leaves_it_out() -> None:
    """A system that cleans up after itself ends no entity; its other events are read as ever."""
    lenient = load_policy(
        POLICY_TEXT.replace("participants: create", "participants: create\n    deletes: ignore")
    )
    deleted = read_event(lenient, event(1, "mail", "activity", operation=OPERATION_DELETE, payload=b""))
    assert isinstance(deleted, Echo)
    assert deleted.rule == DELETION_IGNORED
    other = read_event(lenient, event(1, "crm", operation=OPERATION_DELETE, payload=b""))
    assert isinstance(other, RecordReading)
    assert other.deleted
