"""Which failures have the same cause: placeholders, and the groups of a batch."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.sync.domain.grouping import (
    MESSAGE_CHARS_MAX,
    Cause,
    cause_of,
    gather,
    normalise,
    recovered,
)
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import Settlement, State

WORDS = st.lists(
    st.sampled_from(["required", "field", "missing", "invalid", "is", "too", "long", "for", "unknown"]),
    max_size=5,
)
PARTS: tuple[st.SearchStrategy[str], ...] = (
    st.uuids().map(str),
    st.integers(min_value=0).map(str),
    st.emails(domains=st.just("example.com")).filter(
        lambda text: text.replace("@", "").replace(".", "").isalnum()
    ),
    st.text("abc xyz", min_size=1).map(lambda text: f'"{text}"'),
    st.integers(0, 2**31).map(lambda s: f"{dt.datetime.fromtimestamp(s, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"),
    st.from_regex(r"003[A-Z]{3}0000[0-9]{5}QAAS", fullmatch=True),
)


def failed(number: int, **changed: Any) -> Settlement:
    """Return the settlement of a failed try for entity *number*."""
    fields: dict[str, Any] = {
        "claimed": claimed(entity_id=key(number)), "state": State.DEAD, "version": 1, "crm_object": "Contact",
        "crm_id": "", "known": {}, "failure_count": 1, "try_count": 1, "start_time": NOON, "outcome": "failed",
        "lane": Lane.RETRY, "error_class": "validation", "error_code": "E", "error_message": f"record {number}",
    }  # fmt: skip
    return Settlement(**{**fields, **changed})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Contact already exists. Existing ID: 1234567", "Contact already exists. Existing ID: <n>"),
        ('Property "email" was not valid: "a@b"', "Property <value> was not valid: <value>"),
        (
            "duplicate value found: Headwater_Id__c on 003xx000004TmiQAAS",
            "duplicate value found: Headwater_Id__c on <id>",
        ),
        ("ann@x.io is not allowed", "<email> is not allowed"),
        ("no record 3f0f0f3f-5c3b-7c52-9b0f-3f0f0f3f0f3f", "no record <id>"),
        ("see https://api.example.com/objects/1?x=2 for more", "see <url> for more"),
        ("before 2026-03-01T12:00:00.123Z", "before <time>"),
        ("it's the owner's turn", "it's the owner's turn"),
        ("address1 and hs_v2_date are   unknown\n", "address1 and hs_v2_date are unknown"),
        ("lag of -3.5 s, 12/34", "lag of <n> s, <n>"),
        ("", ""),
    ],
)
def test_what_differs_from_record_to_record_becomes_a_placeholder(message: str, expected: str) -> None:
    """Names of fields and the vendor's own words stay: they are the cause."""
    assert normalise(message) == expected


@given(st.text())
def test_normalising_twice_changes_nothing(message: str) -> None:
    """So a group's message, seen as a message, is its own group; and it is bounded."""
    once = normalise(message)
    assert normalise(once) == once
    assert len(once) <= MESSAGE_CHARS_MAX


@example("1'a'")
@given(st.text("'\"`<>n0 12a@.-"))
def test_normalising_twice_changes_nothing_where_quotes_and_numbers_mix(message: str) -> None:
    """A placeholder's edges make no new match."""
    assert normalise(normalise(message)) == normalise(message)


@given(st.data(), WORDS, WORDS)
def test_messages_that_differ_in_such_parts_alone_are_one(
    data: st.DataObject, before: list[str], after: list[str]
) -> None:
    """The same kind of part at the same place, whatever its value."""
    kind = data.draw(st.sampled_from(PARTS))
    one, other = data.draw(kind), data.draw(kind)
    words = [" ".join((*before, part, *after)) for part in (one, other)]
    assert normalise(words[0]) == normalise(words[1])


@given(st.lists(WORDS.map(" ".join), min_size=2, max_size=2, unique=True))
def test_other_words_are_another_cause(messages: list[str]) -> None:
    """Nothing that is not a placeholder is lost."""
    assert normalise(messages[0]) != normalise(messages[1])


def test_a_group_id_tells_every_part_of_a_cause_apart() -> None:
    """Each part, and the tenant, makes another group; the same cause makes the same."""
    cause = Cause("salesforce", "upsert Contact", "validation", "E", "text")
    others = [replace(cause, **{name: "other"}) for name in Cause.__slots__]
    ids = {item.group_id(TENANT) for item in (cause, *others)} | {cause.group_id("other")}
    assert len(ids) == 7
    assert cause.group_id(TENANT) == uuid.UUID("c2501849-393e-5881-8d31-eec2980b989a")


def test_a_batch_is_gathered_by_cause() -> None:
    """What did not fail is left out; a lost answer is told apart; the last words are kept."""
    gathered = gather(
        [
            failed(1),
            failed(2, outcome="in_doubt"),
            failed(3, error_code="F"),
            failed(4, error_class="", outcome="updated"),
        ]
    )
    assert [(item.cause.error_code, item.members, item.last_message) for item in gathered] == [
        ("E", ((key(1), False), (key(2), True)), "record 2"),
        ("F", ((key(3), False),), "record 3"),
    ]


def test_an_endpoint_falls_back_to_the_object() -> None:
    """Where a try names no endpoint the CRM's object does, else ours."""
    ends = [
        cause_of(failed(1, **changed)).endpoint
        for changed in ({"endpoint": "look_up Contact"}, {}, {"crm_object": ""})
    ]
    assert ends == ["look_up Contact", "Contact", "contact"]


def test_only_what_failed_before_recovers() -> None:
    """A clean delivery costs no look at the groups."""
    erred = claimed(entity_id=key(2), erred=True)
    settled = [
        failed(1, error_class=""),
        failed(2, claimed=erred, error_class=""),
        failed(3, claimed=structs.replace(erred, entity_id=key(3))),
    ]
    assert recovered(settled) == [key(2)]
