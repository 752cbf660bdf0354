"""Records read again by later rules, and what a record says in all."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity.people import FIELDS

from headwater.identity.domain.identifying import (
    NOTHING,
    SHIPPED,
    Normaliser,
    attributes_of,
    combine,
    identify,
    said_of,
)
from headwater.identity.domain.normalising import NORMALISATION_VERSION, Normal, normalise
from headwater.identity.domain.proposing import in_all
from headwater.identity.domain.records import GroupId, RecordId, RecordRef, record_id_of
from headwater.identity.domain.redoing import Said, reread, says_else
from headwater.kernel.ids import EntityId, EventKey, TenantId

ONE = uuid.UUID(int=1)


def _shouting(object_name: str, attributes: Mapping[str, str]) -> Normal:
    told = {name: value.replace("acorn.test", "oak.test") for name, value in attributes.items()}
    return normalise(object_name, told)


LATER = Normaliser(NORMALISATION_VERSION + 1, _shouting)


def _record(
    *said: Mapping[str, str], version: int = NORMALISATION_VERSION, object_name: str = "contact"
) -> Said:
    ref = RecordRef("crm", object_name, "1")
    kept = [text for one in said if (text := said_of(object_name, one))]
    told, digest = SHIPPED.read(object_name, kept)
    record_id = record_id_of(TenantId("acme"), ref)
    return Said(record_id, ref, EntityId(ONE), GroupId(ONE), EventKey(ONE), told, digest, version, kept)


def test_a_record_that_the_new_rules_read_otherwise_says_something_else() -> None:
    """Its parts and keys are those of the new rules, its old ones go."""
    record = _record({"email": "ann@acorn.test"})
    (found,) = reread([record], LATER).changed
    assert says_else(found)
    assert found.after.parts.mailboxes[0].domain == "oak.test"
    assert set(found.before.keys) - set(found.after.keys)


def test_a_record_that_they_read_alike_has_another_digest_only() -> None:
    """So that it is known the next time it is told."""
    (found,) = reread([_record({"email": "ann@firm.io"})], LATER).changed
    assert not says_else(found)
    assert found.digest == LATER.digest_of("contact", {"email": "ann@firm.io"})


def test_a_record_by_the_same_or_newer_rules_is_left_alone() -> None:
    """An older process takes nothing back."""
    newer = [_record({"email": "ann@acorn.test"}, version=LATER.version + n) for n in (0, 1)]
    found = reread(newer, LATER)
    assert (list(found.same), list(found.changed)) == ([], [])


@pytest.mark.parametrize("record", [_record(), _record({"name": "Big one"}, object_name="deal")])
def test_a_record_that_never_said_who_it_is_stays_as_it_is(record: Said) -> None:
    """Only its version changes."""
    found = reread([record], LATER)
    assert (list(found.same), list(found.changed)) == ([RecordId(record.record_id)], [])


def test_what_cannot_be_kept_is_left_out_of_what_was_said() -> None:
    """A NUL means nothing to any rule; equal attributes are kept as equal texts, whatever their order."""
    assert attributes_of([said_of("contact", {"email": "ann\0@firm.io"})]) == [{"email": "ann@firm.io"}]
    two = {"email": "ann@firm.io", "city": "Lima"}
    assert said_of("contact", two) == said_of("contact", dict(reversed(two.items())))


@given(st.lists(FIELDS, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_is_kept_reads_as_what_was_told(rows: list[dict[str, str]]) -> None:
    """Statement by statement, put on top of each other as they came."""
    told = [{name: value for name, value in row.items() if value} for row in rows]
    found, digest = SHIPPED.read("contact", [text for one in told if (text := said_of("contact", one))])
    assert found == reduce(combine, (identify("contact", one) for one in told), NOTHING)
    if told[-1]:
        assert digest == SHIPPED.digest_of("contact", told[-1])


@given(st.lists(FIELDS, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_a_record_says_in_all_reads_as_what_it_said_piece_by_piece(rows: list[dict[str, str]]) -> None:
    """The same mailboxes and numbers, and of all else the newest."""
    whole = identify("contact", in_all(rows)).parts
    pieces = reduce(combine, (identify("contact", row) for row in rows), NOTHING).parts
    assert {one.address for one in whole.mailboxes} == {one.address for one in pieces.mailboxes}
    assert set(whole.phones) == set(pieces.phones)
    for name in ("linkedin", "city"):
        assert getattr(whole, name) == getattr(pieces, name)
