"""Operators' corrections: they stand above every owner, go with their entity, and make none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.sync.tenant import TENANT, event, key
from tests.unit.sync.test_projecting import ADA, BOB, EVENTS, POLICY, Bench, identity, site, snapshot

from headwater.sync.domain.correcting import attached_entity, is_attached
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, RecordKey
from headwater.sync.domain.projecting import Effect
from headwater.sync.domain.reading import IdentityReading, Poisoned, RecordReading, read_event


class Desk(Bench):
    """A workspace where corrections are placed with the entity that they name, as the projector places them."""

    def apply(self, *events: LogEvent) -> list[Effect]:
        """Apply events in the order given."""
        for item in events:
            reading = read_event(POLICY, item)
            if isinstance(reading, RecordReading):
                self.homes.update(
                    {one.key: attached_entity(one.key) for one in reading.subjects if is_attached(one.key)}
                )
            assert isinstance(reading, (RecordReading, IdentityReading)), reading
        return super().apply(*events)


def correction(number: int, entity: Any = ADA, **fields: Any) -> LogEvent:
    """Return event *number*: an operator's correction of a contact."""
    return event(number, "operator", external_id=str(entity), **fields)


def test_a_correction_stands_above_every_owner_and_later_news() -> None:
    """Whatever rule the field has, until it is given back."""
    desk = Desk()
    desk.apply(EVENTS[0], correction(2, title="CEO"), event(9, "crm", external_id="9", title="Head of all"))
    assert desk.values()["title"] == "CEO"
    chosen = desk.workspace.entities[(TENANT, ADA)].fields["title"]
    assert (chosen.rule, chosen.source) == ("operator", "operator")
    desk.apply(correction(10, title=None))
    assert desk.values()["title"] == "Head of all"


def test_a_correction_makes_its_entity_due_and_names_the_person() -> None:
    """A new version for every account that is to hold it; the audit says who."""
    desk = Desk()
    desk.apply(EVENTS[0])
    desk.workspace.marks.clear()
    said = correction(5, first_name="Augusta")
    desk.apply(structs.replace(said, actor_id="jo"))
    assert {mark.version for mark in desk.workspace.marks.values()} == {2}
    note = desk.workspace.audit[-1]
    assert (note.actor, note.changes[0]["rule"]) == ("jo", "operator")


@given(st.permutations([*EVENTS, correction(6, title="CEO", plan="pro"), correction(7, title="Chair")]))
def test_corrections_and_records_give_one_entity_in_any_order(order: list[LogEvent]) -> None:
    """A rebuild reads shards in another order than they were written."""
    desk, other = Desk(), Desk()
    desk.apply(*order)
    other.apply(*EVENTS, correction(6, title="CEO", plan="pro"), correction(7, title="Chair"))
    assert snapshot(desk) == snapshot(other)
    assert desk.values()["title"] == "Chair"


def test_a_correction_makes_no_entity() -> None:
    """Until a record says that somebody is there: nothing is shown, nothing is due."""
    desk = Desk()
    desk.apply(correction(1, title="CEO"))
    entity = desk.workspace.entities[(TENANT, ADA)]
    assert (entity.version, entity.fields, desk.workspace.marks) == (0, {}, {})
    desk.apply(EVENTS[0])
    assert (desk.values()["title"], len(desk.workspace.marks)) == ("CEO", 2)


def test_a_correction_does_not_keep_a_deleted_entity_alive() -> None:
    """Only records do."""
    desk = Desk()
    gone = event(8, "site", external_id="1", operation=OPERATION_DELETE, payload=b"")
    desk.apply(EVENTS[0], correction(2, title="CEO"), gone)
    assert desk.state() == "deleted"


def test_a_correction_goes_through_a_merge_and_back() -> None:
    """With the winner while the two are one; exactly as before once they are split."""
    desk = Desk({site("1"): ADA, site("2"): BOB})
    desk.apply(EVENTS[0], EVENTS[2], correction(4, BOB, title="CFO"), correction(4, BOB, plan="pro"))
    before = snapshot(desk)
    desk.apply(identity(10, "merged", ADA, BOB, site("2")))
    assert desk.values()["title"] == "CFO"
    desk.apply(identity(11, "split", ADA, BOB, site("2")))
    assert snapshot(desk) == before


def test_a_correction_of_a_merged_entity_reaches_the_winner() -> None:
    """Who has not heard of the merge yet may still name the loser."""
    desk = Desk({site("1"): ADA, site("2"): BOB})
    desk.apply(
        EVENTS[0], EVENTS[2], identity(10, "merged", ADA, BOB, site("2")), correction(11, BOB, title="CFO")
    )
    assert desk.values()["title"] == "CFO"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (correction(1, nickname="x"), "known_field"),
        (correction(1, email="no address"), "email"),
        (correction(1, account="not-an-entity"), "format.uuid"),
        (event(1, "operator", external_id="not-an-entity", title="CEO"), "UUID"),
    ],
)
def test_a_correction_that_cannot_be_read_is_poisoned(item: LogEvent, told: str) -> None:
    """The door refuses it; what comes past it all the same holds nobody up."""
    reading = read_event(POLICY, item)
    assert isinstance(reading, Poisoned)
    assert told in reading.error


def test_a_corrected_reference_names_an_entity() -> None:
    """References of corrections are entities, as their records are."""
    reading = read_event(POLICY, correction(1, account=str(key(7))))
    assert isinstance(reading, RecordReading)
    record = RecordKey(TENANT, "account", "operator", str(key(7)))
    assert reading.references["account"].key == record
    assert attached_entity(record) == key(7)
