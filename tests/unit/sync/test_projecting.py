"""What events change: order-free where it must be, exact when undone, marked only where it goes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import TENANT, event, key, policy

from headwater.sync.domain.facts import NO_CHANGE, STALE_RECORD
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, RecordKey
from headwater.sync.domain.projecting import PROJECTED, Effect, Workspace
from headwater.sync.domain.reading import IdentityReading, RecordReading, read_event

POLICY = policy()
ADA, BOB = key(101), key(102)


class Bench:
    """A workspace to which events are applied; records are placed where *homes* says, else with Ada."""

    def __init__(self, homes: Mapping[RecordKey, uuid.UUID] | None = None) -> None:
        self.workspace = Workspace({TENANT: POLICY})
        self.homes = dict(homes or {})

    def apply(self, *events: LogEvent) -> list[Effect]:
        """Apply events in the order given."""
        effects = []
        for item in events:
            reading = read_event(POLICY, item)
            if isinstance(reading, IdentityReading):
                effects.append(self.workspace.apply_identity(reading))
                continue
            assert isinstance(reading, RecordReading), reading
            resolved = {one.key: self._home(one.key) for one in reading.subjects}
            effects.append(self.workspace.apply_record(reading, resolved))
        return effects

    def _home(self, record: RecordKey) -> uuid.UUID:
        default = ADA if record.object == "contact" else uuid.uuid5(ADA, "/".join(record))
        return self.homes.get(record, default)

    def values(self, entity_id: uuid.UUID = ADA) -> dict[str, Any]:
        """Return the values of an entity."""
        entity = self.workspace.entities[(TENANT, entity_id)]
        return {name: chosen.value for name, chosen in entity.fields.items()}

    def state(self, entity_id: uuid.UUID = ADA) -> str:
        """Return the state of an entity."""
        return self.workspace.entities[(TENANT, entity_id)].state


def site(external_id: str) -> RecordKey:
    """Return a contact record of the site."""
    return RecordKey(TENANT, "contact", "site", external_id)


def identity(number: int, change: str, winner: uuid.UUID, loser: uuid.UUID, *moved: RecordKey) -> LogEvent:
    """Return a merge or a split."""
    payload = {
        "change": change,
        "winner": str(winner),
        "loser": str(loser),
        "object": "contact",
        "merge_id": str(uuid.uuid5(loser, str(winner))),
        "moved": [{"object": k.object, "source": k.source, "external_id": k.external_id} for k in moved],
        "seq": number,
    }
    return event(number, "headwater", "identity", payload=msgspec.json.encode(payload))


def snapshot(bench: Bench) -> dict[uuid.UUID, tuple[Any, ...]]:
    """Return values and state of every entity, provenance included, versions left out."""
    return {
        entity.entity_id: (entity.fields, entity.state, entity.merged_into)
        for entity in bench.workspace.entities.values()
    }


EVENTS = [
    event(1, "site", external_id="1", email="a@x.io", first="Ada", title="CTO", plan="pro"),
    event(2, "crm", external_id="9", email="ada@x.io", last="Lovelace", title="Chief Technology Officer"),
    event(3, "site", external_id="2", email="b@x.io", first="A.", last="L", plan="free"),
    event(2, "site", external_id="3", email="c@x.io", first="Adele"),
]


@given(st.permutations(EVENTS))
def test_events_of_different_records_give_one_entity_in_any_order(order: list[LogEvent]) -> None:
    """Values and their provenance do not depend on which record was heard of first."""
    straight, mixed = Bench(), Bench()
    straight.apply(*EVENTS)
    mixed.apply(*order)
    assert snapshot(mixed) == snapshot(straight)
    assert mixed.values()["title"] == "Chief Technology Officer"
    assert (mixed.values()["email"], mixed.values()["plan"]) == ("ada@x.io", "pro")


@given(st.permutations([event(n, email=f"{n}@x.io", title="x" * n) for n in range(1, 5)]))
def test_versions_of_one_record_give_the_newest_in_any_order(order: list[LogEvent]) -> None:
    """A late event never takes back what a newer one of the same record says."""
    bench = Bench()
    bench.apply(*order)
    assert (bench.values()["email"], bench.values()["title"]) == ("4@x.io", "xxxx")


def test_an_older_version_is_superseded_by_rule() -> None:
    """What is older in every field ends as stale, with no new version, audit or mark."""
    bench = Bench()
    bench.apply(event(5, email="new@x.io"))
    notes, marks = len(bench.workspace.audit), dict(bench.workspace.marks)
    (effect,) = bench.apply(event(3, email="old@x.io"))
    assert (effect.rule, effect.superseded, effect.entities) == (STALE_RECORD, True, ())
    assert (len(bench.workspace.audit), bench.workspace.marks) == (notes, marks)


def test_an_older_version_still_fills_what_nobody_said() -> None:
    """Time decides field by field, not event by event."""
    bench = Bench()
    bench.apply(event(5, email="new@x.io"))
    (effect,) = bench.apply(event(3, email="old@x.io", first="Ada"))
    assert (effect.rule, bench.values()) == (PROJECTED, {"email": "new@x.io", "first_name": "Ada"})


def test_what_is_known_already_changes_nothing() -> None:
    """The same values again end by a rule of their own."""
    bench = Bench()
    bench.apply(event(1, email="a@x.io"))
    (effect,) = bench.apply(event(2, email="a@x.io"))
    assert (effect.rule, effect.superseded) == (NO_CHANGE, True)


def test_a_value_that_loses_makes_no_new_version() -> None:
    """A record's change that the entity does not show is kept without stirring any CRM."""
    bench = Bench()
    bench.apply(event(1, "crm", email="a@x.io"))
    bench.workspace.marks.clear()
    (effect,) = bench.apply(event(2, "site", email="b@x.io"))
    assert (effect.rule, effect.versions) == (PROJECTED, (1,))
    assert bench.workspace.marks == {}
    assert bench.workspace.records[site("1")].fields["email"].value == "b@x.io"


def test_a_cleared_field_shows_the_next_owner() -> None:
    """An empty value takes the source's own value away, not the others'."""
    bench = Bench()
    bench.apply(event(1, "crm", email="crm@x.io", last="L"), event(2, "site", email="site@x.io"))
    bench.apply(event(3, "crm", email="", last="L"))
    assert bench.values()["email"] == "site@x.io"


def test_a_deleted_record_lives_again_by_a_newer_update() -> None:
    """Delete, then update: the entity comes back; whether or not its values are the old ones."""
    for email in ("b@x.io", "a@x.io"):
        bench = Bench()
        bench.apply(event(1, email="a@x.io"), event(2, operation=OPERATION_DELETE, payload=b""))
        assert (bench.state(), bench.values()) == ("deleted", {})
        (effect,) = bench.apply(event(3, email=email))
        assert (effect.rule, bench.state(), bench.values()) == (PROJECTED, "active", {"email": email})


def test_a_late_update_does_not_undo_a_delete() -> None:
    """An update from before the delete leaves the record deleted."""
    bench = Bench()
    bench.apply(event(1, email="a@x.io"), event(5, operation=OPERATION_DELETE, payload=b""))
    bench.apply(event(3, email="b@x.io"))
    assert bench.state() == "deleted"


def test_a_late_delete_does_not_undo_an_update() -> None:
    """A delete from before the update ends nothing."""
    bench = Bench()
    bench.apply(event(5, email="a@x.io"), event(3, operation=OPERATION_DELETE, payload=b""))
    assert bench.state() == "active"


def test_one_living_record_keeps_the_entity_alive() -> None:
    """An entity is deleted with its last record."""
    bench = Bench()
    bench.apply(event(1, "crm", email="a@x.io"), event(2, "site", email="b@x.io"))
    bench.apply(event(3, "crm", operation=OPERATION_DELETE, payload=b""))
    assert (bench.state(), bench.values()["email"]) == ("active", "b@x.io")


@given(st.permutations(EVENTS), st.integers(1, 3))
def test_a_split_restores_exactly_what_a_merge_joined(order: list[LogEvent], loser_size: int) -> None:
    """Merge, then split: both entities show what they showed, with the same provenance."""
    records = [item.record_key for item in EVENTS]
    moved = records[:loser_size]
    bench = Bench({record: BOB if record in moved else ADA for record in records})
    bench.apply(*order)
    before = snapshot(bench)
    bench.apply(identity(10, "merged", ADA, BOB, *moved))
    assert bench.state(BOB) == "merged"
    assert bench.workspace.entities[(TENANT, BOB)].merged_into == ADA
    bench.apply(identity(11, "split", ADA, BOB, *moved))
    assert snapshot(bench) == before


def test_a_split_below_a_later_merge_leaves_nothing_behind() -> None:
    """C goes into B, B into A; C split from B takes its values and an operator's correction of it out of A."""
    cara = uuid.uuid5(BOB, "cara")
    bench = Bench({site("1"): ADA, site("2"): BOB, site("3"): cara})
    corrected = RecordKey(TENANT, "contact", "operator", str(cara))
    bench.homes[corrected] = cara
    bench.apply(
        event(1, external_id="1", email="a@x.io"),
        event(2, external_id="2", email="b@x.io"),
        event(3, external_id="3", email="c@x.io", first="Cara"),
        event(4, "operator", external_id=str(cara), title="Chair"),
    )
    before = snapshot(bench)
    bench.apply(
        identity(5, "merged", BOB, cara, site("3")), identity(6, "merged", ADA, BOB, site("2"), site("3"))
    )
    bench.apply(identity(7, "split", BOB, cara, site("3")))
    assert bench.values(cara) == {"email": "c@x.io", "first_name": "Cara", "title": "Chair"}
    assert "first_name" not in bench.values(ADA)
    assert "title" not in bench.values(ADA)
    bench.apply(identity(8, "split", ADA, BOB, site("2")))
    assert snapshot(bench) == before


def test_a_merged_entity_shows_what_one_entity_would() -> None:
    """Merging late gives the values that placing together at once gives."""
    together, apart = Bench(), Bench({site("2"): BOB, site("3"): BOB})
    together.apply(*EVENTS)
    apart.apply(*EVENTS, identity(10, "merged", ADA, BOB, site("2"), site("3")))
    assert apart.values() == together.values()
    assert apart.values(BOB) == {}


def test_a_record_that_identity_still_places_with_the_loser_goes_to_the_winner() -> None:
    """Merges are followed for records that come after."""
    bench = Bench({site("2"): BOB, site("3"): BOB})
    bench.apply(event(1, email="a@x.io"), event(2, external_id="2", email="b@x.io", title="CTO"))
    bench.apply(identity(3, "merged", ADA, BOB, site("2")))
    bench.apply(event(4, external_id="3", email="c@x.io", title="Chief"))
    assert bench.workspace.records[site("3")].entity_id == ADA
    assert bench.values()["title"] == "Chief"


def test_marks_go_to_the_connectors_that_map_the_entity() -> None:
    """An account without a mapping, with unmet conditions or switched off gets no delivery."""
    bench = Bench()
    bench.apply(event(1, email="a@x.io", plan="free"), event(2, object_name="lead", email="l@x.io"))
    assert {mark[1] for mark in bench.workspace.marks} == {"salesforce"}
    bench.apply(event(3, external_id="2", email="b@x.io", plan="pro"))
    assert {mark[1] for mark in bench.workspace.marks} == {"salesforce"}


def test_a_condition_that_is_met_marks_the_conditional_connector() -> None:
    """The plan decides whether the contact goes there."""
    bench = Bench()
    bench.apply(event(1, email="a@x.io", plan="pro"))
    assert {mark[1] for mark in bench.workspace.marks} == {"salesforce", "hubspot"}


def test_a_source_marks_in_the_lane_that_the_policy_gives_it() -> None:
    """A bulk source goes behind; of several changes in one batch the most urgent lane counts."""
    bulk = POLICY.systems["site"].model_copy(update={"lane": "backfill"})
    bench = Bench()
    bench.workspace = Workspace(
        {TENANT: POLICY.model_copy(update={"systems": {**POLICY.systems, "site": bulk}})}
    )
    bench.apply(event(1, email="a@x.io"))
    assert [mark.lane for mark in bench.workspace.marks.values()] == [Lane.BACKFILL]
    bench.apply(event(2, "crm", external_id="2", last="Byron"), event(3, email="b@x.io"))
    assert [mark.lane for mark in bench.workspace.marks.values()] == [Lane.LIVE]


def test_participants_become_entities_and_references() -> None:
    """An activity names the entities of those who took part; they get their own values."""
    bench = Bench()
    people = [{"role": "to", "address": "ada@x.io", "name": "Ada Lovelace"}]
    (effect,) = bench.apply(event(1, "mail", "activity", subject="Hi", people=people))
    assert bench.values() == {"email": "ada@x.io", "first_name": "Ada", "last_name": "Lovelace"}
    activity = bench.workspace.entities[effect.entities[0]]
    assert bench.workspace.references(activity) == [(TENANT, activity.entity_id, "people", ADA)]
    assert len(effect.entities) == len(effect.versions) == 2


def test_a_reference_names_the_entity_it_means() -> None:
    """The source's id of the company is replaced by the company's entity."""
    bench = Bench()
    bench.apply(event(1, email="a@x.io", company="c-1"))
    company = uuid.uuid5(ADA, f"{TENANT}/account/site/c-1")
    contact = bench.workspace.entities[(TENANT, ADA)]
    assert bench.workspace.references(contact) == [(TENANT, ADA, "account", company)]


def test_every_new_version_has_one_audit_note() -> None:
    """The audit names before, after and rule of each field that changed."""
    bench = Bench()
    bench.apply(event(1, email="a@x.io"), event(2, email="b@x.io"))
    created, changed = bench.workspace.audit
    assert (created.action, changed.action) == ("entity_created", "field_changed")
    assert changed.changes == (
        {"field": "email", "before": "a@x.io", "after": "b@x.io", "rule": "source_priority"},
    )


def batches(events: Iterable[LogEvent]) -> Bench:
    """Apply events one workspace each, carrying only what the store would keep."""
    bench = Bench()
    for item in events:
        held = bench.workspace
        fresh = Bench()
        fresh.workspace.load(held.entities.values(), held.records.values())
        fresh.apply(item)
        bench = fresh
    return bench


@pytest.mark.parametrize("tail", [[], [identity(10, "merged", ADA, BOB)]])
def test_the_size_of_batches_makes_no_difference(tail: list[LogEvent]) -> None:
    """One batch of all events leaves what a batch of each leaves."""
    events = [*EVENTS, event(4, email="z@x.io"), *tail]
    whole = Bench()
    whole.apply(*events)
    assert snapshot(batches(events)) == snapshot(whole)
