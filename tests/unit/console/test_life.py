"""Answers put together to a life: what belongs to which delivery, what is left out, what is never taken over."""

from __future__ import annotations

from tests.integration.console.answering import (
    ENTITY,
    EVENT_KEY,
    PERSONAL,
    TENANT,
    entity,
    fate,
    group,
    recorded,
)

from headwater.console.life import ATTEMPTS_MAX, DELIVERIES_MAX, EventLife, Told, life_of
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import sync_pb2

TRIES = (("hubspot", "1" * 32, "2" * 16), ("salesforce", "3" * 32, "4" * 16))


def _told(**more: object) -> Told:
    told = Told(TENANT, EVENT_KEY, recorded(), fate(TRIES), [entity()], [group()])
    for name, value in more.items():
        setattr(told, name, value)
    return told


def test_nothing_personal_is_taken_over() -> None:
    """Of all that the services tell, no value of a person is left in the life."""
    told = _told()
    assert all(value in repr(told) for value in PERSONAL)
    life = repr(life_of(told))
    assert [value for value in PERSONAL if value in life] == []


def test_each_attempt_stands_at_its_own_delivery() -> None:
    """By connector and entity."""
    life = life_of(_told())
    assert [(one.connector, [item.trace_id for item in one.attempts]) for one in life.deliveries] == [
        ("hubspot", ["1" * 32]),
        ("salesforce", ["3" * 32]),
    ]
    assert [item.part for item in life.traces] == [
        "recorded", "projected", "hubspot attempt 1", "salesforce attempt 1",
    ]  # fmt: skip


def test_words_are_shown_only_of_the_cause_that_is_certain() -> None:
    """Of two causes with one code, neither of which names the entity, nobody's words are shown; the code always is."""
    one, other = group(), group()
    del one.sample_entity_ids[:]
    del other.sample_entity_ids[:]
    other.message = "something else"
    assert life_of(_told(groups=[one])).deliveries[0].said == one.message
    unsure = life_of(_told(groups=[one, other])).deliveries[0]
    assert (unsure.said, unsure.owner, unsure.error) == ("", "", "validation INVALID_EMAIL")
    other.sample_entity_ids.append(ENTITY)
    assert life_of(_told(groups=[one, other])).deliveries[0].said == "something else"
    other.error_code = "OTHER"
    assert life_of(_told(groups=[other])).deliveries[0].said == ""


def test_what_the_policy_keeps_back_is_no_error() -> None:
    """A delivery that waits for an approval says so, and has no runbook."""
    held = fate()
    held.deliveries[0].state = sync_pb2.DELIVERY_STATE_HELD
    held.deliveries[0].last_error = "approval: two fields"
    first = life_of(_told(fate=held)).deliveries[0]
    assert (first.kept_back, first.error, first.what_to_do) == ("approval: two fields", "", "")


def test_what_is_beyond_the_bounds_is_counted() -> None:
    """However much followed, a life has its size, and says how much it leaves out."""
    many = fate(tuple(("hubspot", f"{n:032x}", f"{n:016x}") for n in range(1, ATTEMPTS_MAX + 6)))
    many.deliveries.extend([many.deliveries[1]] * DELIVERIES_MAX)
    life = life_of(_told(fate=many))
    assert len(life.deliveries) == DELIVERIES_MAX
    assert sum(len(one.attempts) for one in life.deliveries) <= ATTEMPTS_MAX
    assert (life.left_out["deliveries"], life.left_out["attempts"]) == (2, 5)


def test_a_quarantined_event_tells_rules_not_values() -> None:
    """Field and rule of each violation, and the event that released it."""
    found = recorded()
    found.event.disposition = ingest_pb2.DISPOSITION_QUARANTINED
    wrong = event_pb2.Violation(
        field="event.payload.email", value=PERSONAL[0], rule="format.email", description=PERSONAL[2]
    )
    found.quarantine.CopyFrom(
        ingest_pb2.QuarantinedEvent(
            violations=[wrong], state=ingest_pb2.QUARANTINE_STATE_RELEASED, released_as=ENTITY
        )
    )
    life = life_of(_told(found=found))
    assert life.recorded is not None
    assert life.quarantined is not None
    assert life.recorded.outcome == "quarantined"
    assert (life.quarantined.state, life.quarantined.broken, life.quarantined.released_as) == (
        "released", ("event.payload.email: format.email",), ENTITY,
    )  # fmt: skip


def test_nothing_told_is_a_life_too() -> None:
    """Only what is missing."""
    life = life_of(Told(TENANT, EVENT_KEY, missing=["the record: ingest does not answer"]))
    assert life == EventLife(TENANT, EVENT_KEY, missing=("the record: ingest does not answer",))
