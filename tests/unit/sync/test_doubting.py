"""When a write in doubt is looked up, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sync.deliveries import claimed

from headwater.connectors.base import Found, Promise, Target, Write, WriteKind, creating_kind, keyed_kind
from headwater.sync.domain.doubting import (
    LOOK_UP_ALWAYS,
    Doubts,
    Verdict,
    looked_up,
    repeated,
    told,
)

TARGET = Target("contact", "Contact", "Headwater_Id__c")
SAFE = Promise(repeat_safe=True, reason="keyed")
KEYED = {WriteKind.UPSERT: SAFE, WriteKind.UPDATE: SAFE}
CREATING = {WriteKind.UPDATE: SAFE, WriteKind.CREATE: Promise(repeat_safe=False, reason="no key")}


def kind_of(_target: Target, write: Write) -> WriteKind:
    """Return the kind of a write of a vendor with keys."""
    return keyed_kind(write)


FOUND = Found("e-1", "003", {"Email": "a@x.io"})


@pytest.mark.parametrize(
    ("doubts", "changed", "asked"),
    [
        (Doubts(kind_of, KEYED, repeat_allowed=False), {}, True),
        (Doubts(kind_of, KEYED, repeat_allowed=True), {}, False),
        (Doubts(kind_of, KEYED, repeat_allowed=True), {"state": "deleted"}, True),
        (Doubts(kind_of, {}, repeat_allowed=True), {}, True),
        (LOOK_UP_ALWAYS, {}, True),
    ],
    ids=["not allowed", "allowed and safe", "ended", "nothing promised", "no vendor"],
)
def test_a_repeat_without_a_look_up_needs_promise_and_policy(
    doubts: Doubts, changed: dict[str, Any], *, asked: bool
) -> None:
    """Only where the vendor promises and the policy allows is a write in doubt sent again unasked."""
    assert doubts.must_look_up(claimed(in_doubt=True, **changed), TARGET) is asked


def test_a_create_is_looked_up_whatever_the_policy_allows() -> None:
    """A vendor without a key: the first write is looked up, an update of a known record need not be."""
    item = claimed(in_doubt=True)
    doubts = Doubts(lambda _target, write: creating_kind(write), CREATING, repeat_allowed=True)
    assert doubts.must_look_up(item, TARGET)
    assert not doubts.must_look_up(claimed(in_doubt=True, crm_id="003"), TARGET)


def test_what_is_not_in_doubt_is_not_looked_up() -> None:
    """A look-up costs a call: only a doubt is worth it."""
    assert not LOOK_UP_ALWAYS.must_look_up(claimed(), TARGET)


@pytest.mark.parametrize(
    ("found", "before", "verdict"),
    [
        (FOUND, {}, "applied"),
        (None, {}, "not_applied"),
        (None, {"crm_id": "003"}, "not_applied"),
        (FOUND, {"crm_id": "003", "known": {"Email": "old@x.io"}}, "applied"),
        (FOUND, {"crm_id": "003", "known": {"Email": "a@x.io"}}, "not_applied"),
    ],
    ids=["created", "absent", "gone", "changed", "as before"],
)
def test_the_verdict_is_what_the_crm_shows(
    found: Found | None, before: dict[str, Any], verdict: Verdict
) -> None:
    """A record that was not there, or other values than before: it was applied; else it was not."""
    assert looked_up(claimed(in_doubt=True, **before), found).verdict == verdict


def test_an_ended_entity_that_was_never_written_leaves_no_verdict() -> None:
    """It is looked up for another reason than a lost answer."""
    assert told(looked_up(claimed(in_doubt=True, state="deleted"), None)) == ()


def test_the_audit_says_how_the_doubt_was_settled() -> None:
    """Verdict first, then what the look-up showed; a repeat says that nobody looked."""
    verdict, learned = told(looked_up(claimed(in_doubt=True), FOUND))
    assert (verdict["after"], verdict["rule"], learned["field"]) == ("applied", "looked_up", "Email")
    (again,) = told(repeated(claimed(in_doubt=True)))
    assert (again["after"], again["rule"]) == ("repeated", "repeat_safe")
    assert told(claimed()) == ()


def test_what_a_look_up_showed_stays_told_when_the_same_round_looks_again() -> None:
    """A batch that broke is halved and looked up once more: nothing of the first look was settled yet."""
    first = looked_up(claimed(in_doubt=True), FOUND)
    second = looked_up(first, FOUND)
    assert second.verdict == "applied"
    assert second.learned == first.learned != ()
