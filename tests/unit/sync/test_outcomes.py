"""How a delivery stands after each outcome."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON, key

from headwater.connectors.base import (
    ErrorClass,
    Failed,
    Found,
    Outcome,
    Reference,
    Target,
    VendorError,
    Write,
    WriteKind,
    Written,
)
from headwater.policy.account import Retry
from headwater.sync.delivery.outcomes import Judge, refuse_taken
from headwater.sync.domain.delivering import REFERENCES_KEY, Holder, Send, Settled, Wait
from headwater.sync.domain.doubting import Doubts, looked_up, repeated
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import Settlement, State

RETRY = Retry(fast_s=(1,), slow_s=(60,), in_doubt_s=2)
TARGET = Target("contact", "Contact", "Headwater_Id__c")


def judge() -> Judge:
    """Return a judge."""
    return Judge(RETRY, random.Random(1), "7", NOON)


def send(references: tuple[Reference, ...] = (), **changed: Any) -> Send:
    """Return a write of the e-mail address."""
    item = claimed(**changed)
    return Send(item, TARGET, Write(str(item.entity_id), item.crm_id, {"Email": "b@x.io"}, references), False)


def fail(error_class: ErrorClass, existing: str = "", **changed: Any) -> Settlement:
    """Judge a write that failed."""
    error = VendorError(error_class, "CODE", "words", http_status=400, existing_crm_id=existing)
    return judge().of_outcome(send(**changed), Failed(error), None)


@pytest.mark.parametrize(("created", "outcome"), [(True, "created"), (False, "updated")])
def test_a_write_that_succeeded_is_delivered(outcome: str, *, created: bool) -> None:
    """The CRM's id, what it holds now and the change are kept; failures are forgotten."""
    known = {"Email": "a@x.io", "Title": "CTO"}
    settled = judge().of_outcome(
        send((Reference("AccountId", ("001",)),), known=known, failure_count=3, tries_before=4),
        Written("003", created),
        None,
    )
    assert (settled.state, settled.outcome, settled.created) == (State.DELIVERED, outcome, created)
    assert (settled.crm_object, settled.crm_id, settled.version) == ("Contact", "003", 3)
    assert settled.known == {"Email": "b@x.io", "Title": "CTO", REFERENCES_KEY: {"AccountId": ["001"]}}
    assert (settled.failure_count, settled.try_count, settled.error_class) == (0, 0, "")
    assert [(item["field"], item["before"], item["after"]) for item in settled.changes] == [
        ("Email", "a@x.io", "b@x.io"),
        ("AccountId", None, ["001"]),
    ]


def test_a_failure_that_may_heal_counts_and_is_retried() -> None:
    """One try more, one failure more, a pause; what is known stays."""
    settled = fail(
        ErrorClass.SERVER, failure_count=1, tries_before=5, crm_id="003", known={"Email": "a@x.io"}
    )
    assert (settled.state, settled.outcome) == (State.RETRYING, "failed")
    assert (settled.failure_count, settled.try_count) == (2, 6)
    assert 0 <= settled.after_s <= 60
    assert (settled.crm_id, settled.known, settled.changes) == ("003", {"Email": "a@x.io"}, ())
    assert (settled.error_class, settled.error_code, settled.http_status) == ("server", "CODE", 400)


@pytest.mark.parametrize("error_class", [ErrorClass.RATE_LIMIT, ErrorClass.QUOTA])
def test_a_limit_uses_up_no_try(error_class: ErrorClass) -> None:
    """The pause is the vendor's; the failure does not count towards the end."""
    settled = fail(error_class, failure_count=1, tries_before=1)
    assert (settled.state, settled.failure_count, settled.try_count) == (State.RETRYING, 1, 2)


def test_a_lost_answer_is_in_doubt() -> None:
    """It is looked up where it was sent to."""
    settled = fail(ErrorClass.IN_DOUBT)
    assert (settled.state, settled.outcome, settled.after_s) == (State.IN_DOUBT, "in_doubt", 2)
    assert (settled.crm_object, settled.failure_count) == ("Contact", 1)


def test_losses_use_up_tries_until_the_last_look_up() -> None:
    """A write whose answer is lost each time is not sent for ever: after all tries the look-up ends it."""
    failures = 0
    for _ in range(3):
        settled = fail(ErrorClass.IN_DOUBT, failure_count=failures)
        assert settled.state is State.IN_DOUBT
        failures = settled.failure_count
    absent = looked_up(claimed(in_doubt=True, failure_count=failures), None)
    assert judge().is_spent(absent)
    dead = judge().of_spent(replace(send(), claimed=absent), None)
    assert (dead.state, dead.failure_count, dead.try_count) == (State.DEAD, 3, 1)
    assert [item["after"] for item in dead.changes][1] == "vendor"
    found = looked_up(claimed(in_doubt=True, failure_count=failures), Found("e", "003", {"Email": "b@x.io"}))
    assert not judge().is_spent(found)


def test_a_held_call_leaves_everything_as_it_was() -> None:
    """The breaker held it back: no attempt, no failure, and a doubt stays a doubt."""
    held = VendorError(ErrorClass.HELD, "BREAKER_OPEN", "open", retry_after_s=42.0)
    item = send(failure_count=2, tries_before=3, lane=Lane.BACKFILL)
    settled = judge().of_outcome(item, Failed(held), None)
    assert (settled.state, settled.outcome, settled.after_s) == (State.RETRYING, "", 42.0)
    assert (settled.failure_count, settled.try_count, settled.lane) == (2, 3, Lane.BACKFILL)
    assert judge().of_outcome(send(), Failed(held), None).state is State.PENDING
    assert judge().of_doubt(claimed(in_doubt=True), held, None).state is State.IN_DOUBT
    again = replace(send(), claimed=repeated(claimed(in_doubt=True)))
    unsent = judge().of_outcome(again, Failed(held), None)
    assert (unsent.state, unsent.claimed.verdict) == (State.IN_DOUBT, "")


def test_a_fault_of_the_server_is_looked_up_where_nothing_is_promised() -> None:
    """A vendor without keys may have made the record before it answered 500."""
    careful = replace(
        judge(), doubts=Doubts(lambda _target, _write: WriteKind.CREATE, {}, repeat_allowed=True)
    )
    fault = Failed(VendorError(ErrorClass.SERVER, "HTTP_500", "words", 500))
    assert careful.of_outcome(send(), fault, None).state is State.IN_DOUBT
    assert judge().of_outcome(send(), fault, None).state is State.RETRYING


def test_a_dead_letter_in_doubt_says_so() -> None:
    """When the look-up itself fails for good nobody knows, and the next one who touches it must look."""
    refused = VendorError(ErrorClass.PERMISSION, "403", "no")
    dead = judge().of_doubt(claimed(in_doubt=True), refused, None)
    assert (dead.state, dead.error_class, dead.changes[1]["after"]) == (State.DEAD, "in_doubt", "doubt")


def test_a_conflict_adopts_the_record_that_is_there() -> None:
    """The next try writes to it, at once."""
    settled = fail(ErrorClass.CONFLICT, "009")
    assert (settled.state, settled.crm_id, settled.crm_object) == (State.RETRYING, "009", "Contact")
    assert (settled.after_s, settled.failure_count) == (0, 1)


def test_a_record_that_is_gone_is_forgotten_and_written_anew() -> None:
    """Neither id nor known fields survive."""
    settled = fail(ErrorClass.NOT_FOUND, crm_id="003", known={"Email": "a@x.io"})
    assert (settled.state, settled.crm_id, settled.known) == (State.RETRYING, "", {})


def test_what_cannot_heal_is_dead_and_audited() -> None:
    """The dead letter says why."""
    settled = fail(ErrorClass.VALIDATION)
    assert (settled.state, settled.outcome, settled.failure_count) == (State.DEAD, "failed", 1)
    assert [item["after"] for item in settled.changes] == ["validation", "data"]


def test_a_look_up_that_finds_all_applied_says_so() -> None:
    """A write in doubt that turns out done is an attempt of its own kind."""
    doubtful = judge().of_settled(Settled(claimed(in_doubt=True), "unchanged"), "Contact", None)
    assert (doubtful.state, doubtful.outcome) == (State.DELIVERED, "looked_up")
    plain = judge().of_settled(Settled(claimed(), "unchanged", lacks_reference=True), "Contact", None)
    assert (plain.outcome, plain.lacks_reference) == ("unchanged", True)


def test_waiting_uses_up_nothing() -> None:
    """Nothing was tried, so nothing counts."""
    settled = judge().of_wait(Wait(claimed(failure_count=2, tries_before=3), 0.25))
    assert (settled.state, settled.outcome, settled.waits) == (State.PENDING, "", True)
    assert (settled.failure_count, settled.try_count, settled.after_s) == (2, 3, 0.25)


def test_a_look_up_that_fails_leaves_the_doubt() -> None:
    """The longer of the policy's and the vendor's pause is kept."""
    error = VendorError(ErrorClass.SERVER, "500", "words", retry_after_s=9.0)
    settled = judge().of_doubt(claimed(in_doubt=True), error, None)
    assert (settled.state, settled.outcome, settled.after_s) == (State.IN_DOUBT, "in_doubt", 9.0)


def test_two_entities_never_adopt_one_record() -> None:
    """An offer is refused when another entity holds the record, was just written as it, or came first."""
    offer = Failed(VendorError(ErrorClass.CONFLICT, "DUP", "words", existing_crm_id="003"))
    first, second = send(entity_id=key(1)), send(entity_id=key(2))

    def offered(holders: dict[str, Holder], *answers: tuple[Send, Any]) -> list[str]:
        judged = refuse_taken(answers, holders)
        return [outcome.error.existing_crm_id for _, outcome in judged if isinstance(outcome, Failed)]

    assert offered({}, (first, offer)) == ["003"]
    assert offered({"003": Holder(str(key(1)))}, (first, offer)) == ["003"]
    assert offered({"003": Holder(str(key(9)))}, (first, offer)) == [""]
    assert offered({}, (first, offer), (second, offer)) == ["003", ""]
    assert offered({}, (first, offer), (second, Written("003", created=True))) == [""]


def test_a_value_that_may_change_hands_is_tried_again() -> None:
    """While the record that holds it is being written, it is no dead letter yet; afterwards it is."""
    offer = Failed(VendorError(ErrorClass.CONFLICT, "DUP", "words", existing_crm_id="003"))
    for coming, state in ((True, State.RETRYING), (False, State.DEAD)):
        one = send(entity_id=key(1))
        ((_, refused),) = refuse_taken([(one, offer)], {"003": Holder(str(key(9)), coming)})
        assert judge().of_outcome(one, refused, None).state is state
        answers: list[tuple[Send, Outcome]] = [
            (one, offer),
            (send(entity_id=key(9)), Written("003", created=False)),
        ]
        ((_, refused), _) = refuse_taken(answers, {"003": Holder(str(key(9)), coming)})
        assert judge().of_outcome(one, refused, None).state is state
