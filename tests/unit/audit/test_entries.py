"""What a leaf commits to: every field of an entry, in one form, and its values only through a salt."""

from __future__ import annotations

import datetime as dt
import random
import struct
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.histories import EDITS, change, changes, entry

from headwater.audit.entries import Entry, commit, commitment_of, leaf_of, record_of
from headwater.audit.exports import encode, read_entries

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20)
MOMENTS = st.datetimes(timezones=st.just(dt.UTC), min_value=dt.datetime(1990, 1, 1), max_value=dt.datetime(2100, 1, 1))  # noqa: DTZ001  # fmt: skip
ENTRIES = st.builds(
    Entry,
    seq=st.integers(1, 2**53),
    audit_id=st.integers(1, 2**63 - 1),
    tenant_id=TEXTS,
    audit_time=MOMENTS,
    action=TEXTS,
    actor=TEXTS,
    entity_id=st.none() | st.uuids(),
    event_key=st.none() | st.uuids(),
    connector=TEXTS,
    policy_version=TEXTS,
    trace_id=TEXTS,
    object=st.none() | TEXTS,
    attempt_number=st.none() | st.integers(-(2**31), 2**31 - 1),
    version=st.none() | st.integers(-(2**63), 2**63 - 1),
    start_time=st.none() | MOMENTS,
    outcome=st.none() | TEXTS,
    latency_ms=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    span_id=st.none() | TEXTS,
    salt=st.binary(min_size=16, max_size=16),
    changes=st.lists(TEXTS, max_size=3).map(lambda items: msgspec.Raw(msgspec.json.encode(items))),
)


def test_the_form_is_the_one_that_is_written_down() -> None:
    """An entry of one text and one number, byte by byte; should this ever change, the version byte has to."""
    made = Entry(1, 7, tenant_id="t", action="a", actor="b", salt=bytes(16), changes=msgspec.Raw(b"[]"))
    hidden = sha256(b"\x02" + bytes(16) + b"[]").digest()

    def text(value: bytes) -> bytes:
        return struct.pack(">ii", 25, len(value)) + value

    expected = b"".join(
        (
            struct.pack(">i", 18), text(b"t"), struct.pack(">iiq", 20, 8, 7), struct.pack(">iiq", 1184, 8, 0),
            text(b"a"), text(b"b"), struct.pack(">ii", 2950, -1) * 2, text(b"") * 3,
            struct.pack(">ii", 25, -1), struct.pack(">ii", 23, -1), struct.pack(">ii", 20, -1),
            struct.pack(">ii", 1184, -1), struct.pack(">ii", 25, -1), struct.pack(">ii", 701, -1),
            struct.pack(">ii", 25, -1), struct.pack(">ii", 17, 32), hidden,
        )
    )  # fmt: skip
    assert record_of(made) == expected
    assert leaf_of(made) == sha256(b"\x00\x01" + expected).digest()


@given(ENTRIES)
def test_an_entry_survives_its_line(made: Entry) -> None:
    """Written as JSON and read again it gives the same leaf: nothing is lost, rounded or put in another order."""
    (read,) = read_entries([encode(made)])
    assert leaf_of(read) == leaf_of(made)


@given(ENTRIES, ENTRIES)
def test_two_entries_have_two_records(one: Entry, other: Entry) -> None:
    """Unless they are alike in everything but their number."""
    fields = [name for name in one.__struct_fields__ if name not in {"seq", "changes", "salt"}]
    alike = all(getattr(one, name) == getattr(other, name) for name in fields)
    if not alike or commitment_of(one) != commitment_of(other):
        assert record_of(one) != record_of(other)


@pytest.mark.parametrize("number", range(len(EDITS) - 1))
def test_every_field_is_committed_to(number: int) -> None:
    """A change of any of them changes the leaf."""
    made = entry(1, random.Random(1))
    assert leaf_of(EDITS[number](made)) != made.leaf


def test_values_are_hidden_by_their_salt() -> None:
    """The same values of two entries say nothing of each other; without the salt a guess cannot be tested."""
    one = change(entry(1, random.Random(1)), changes=changes("same"))
    other = change(one, salt=bytes(16))
    assert commitment_of(one) != commitment_of(other)
    assert commitment_of(one) != commit(b"", bytes(changes("same")))


def test_what_is_erased_keeps_its_leaf() -> None:
    """The commitment stands for values and salt."""
    made = entry(1, random.Random(1))
    gone = change(made, salt=b"", changes=msgspec.UNSET, commitment=commitment_of(made))
    assert (gone.is_erased, leaf_of(gone)) == (True, made.leaf)
