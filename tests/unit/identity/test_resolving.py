"""Planning a batch: who joins, who is linked, what merges and what a person is asked."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity.ground import Ground, incoming, keyed
from tests.unit.identity.people import FIELDS

from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.clustering.tiers import Tier
from headwater.identity.domain.resolving.values import Incoming, Limits
from headwater.identity.domain.scoring.priors import shipped
from headwater.kernel.ids import EntityId

ANN: dict[str, Any] = {"first_name": "Ann", "last_name": "Lee"}


def streamed(records: list[Incoming], limits: Limits) -> tuple[tuple[str, ...], ...]:
    """Return the groups of the driver in memory."""
    stream = Stream(Memory(shipped("contact"), limits.rules, limits.key_rows_max))
    for record in records:
        stream.resolve(keyed(record))
    return stream.groups()


def numbered(rows: list[dict[str, Any]]) -> list[Incoming]:
    """Return a record per row."""
    return [incoming(f"r{number:02d}", **row) for number, row in enumerate(rows)]


RECORDS = st.lists(FIELDS, min_size=1, max_size=24).map(numbered)


@given(RECORDS, st.integers(0, 1_000), st.sampled_from([2, 4, 40]))
@settings(max_examples=60, deadline=None)
def test_batches_in_any_order_end_in_the_groups_of_the_stream(
    records: list[Incoming], seed: int, key_rows_max: int
) -> None:
    """Whatever the batches and their order, and however soon keys crowd; save where an entity stands together."""
    limits = Limits(key_rows_max=key_rows_max, auto_merge=False)
    chance = random.Random(seed)
    arriving = list(records)
    chance.shuffle(arriving)
    ground = Ground(limits)
    torn = False
    while arriving:
        size = chance.randint(1, 5)
        ground.resolve(*arriving[:size])
        torn = torn or any(one.question == "split" for one in ground.plans[-1].candidates)
        del arriving[:size]
    if not torn:
        assert ground.groups() == streamed(records, limits)


@given(RECORDS, st.integers(0, 1_000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_stands_is_consistent(records: list[Incoming], seed: int, auto: bool) -> None:  # noqa: FBT001
    """An entity is within one group, holds its exclusive keys alone, and resolving again changes nothing."""
    chance = random.Random(seed)
    ground = Ground(Limits(auto_merge=auto))
    arriving = list(records)
    chance.shuffle(arriving)
    while arriving:
        size = chance.randint(1, 5)
        ground.resolve(*arriving[:size])
        del arriving[:size]
    groups: dict[EntityId, set[object]] = defaultdict(set)
    for row in ground.members.values():
        groups[row.entity_id].add(row.group_id)
    assert all(len(found) == 1 for found in groups.values())
    again = ground.resolve(*records)
    assert all(one.kind == "known" for one in again)
    assert not ground.plans[-1].writes
    for record, one in zip(records, again, strict=True):
        row = ground.members[record.record_id]
        assert (one.entity_id, one.group_id) == (row.entity_id, row.group_id)


def test_a_record_with_an_identifier_joins_the_entity_that_has_it() -> None:
    """By mailbox and name: one entity, and the answer says why."""
    ground = Ground()
    (first,) = ground.resolve(incoming("1", email="ann@firm.io", **ANN))
    (second,) = ground.resolve(incoming("2", email="ann@firm.io", first_name="A.", last_name="Lee"))
    assert (second.entity_id, second.kind, second.rule) == (first.entity_id, "matched", "contact.email")
    assert (second.tier, second.matched) == (Tier.MERGE, incoming("1").ref)
    assert second.bits > 10


def test_the_order_of_a_batch_decides_who_founds() -> None:
    """The first record of the entity gives it its id, also when a later one ties the two."""
    records = [
        incoming("1", email="ann@firm.io"),
        incoming("2", linkedin_url="linkedin.com/in/annlee"),
        incoming("3", email="ann@firm.io", linkedin_url="linkedin.com/in/annlee"),
    ]
    found = Ground().resolve(*records)
    assert [one.kind for one in found] == ["created", "matched", "matched"]
    assert {str(one.entity_id) for one in found} == {records[0].record_id}


def test_two_entities_that_a_third_record_ties_merge() -> None:
    """The entity with more records stays, then the older; the merge names its rule and what it moves."""
    ground = Ground()
    first, second = ground.resolve(
        incoming("1", email="ann@firm.io", **ANN), incoming("2", linkedin_url="linkedin.com/in/annlee", **ANN)
    )
    assert first.entity_id != second.entity_id
    (third,) = ground.resolve(
        incoming("3", email="ann@firm.io", linkedin_url="linkedin.com/in/annlee", **ANN)
    )
    (merge,) = ground.plans[-1].merges
    assert (merge.winner_id, merge.loser_id, third.entity_id) == (
        first.entity_id,
        second.entity_id,
        first.entity_id,
    )
    assert merge.moved == (incoming("2").ref,)
    assert merge.rule.startswith("contact.")


def test_in_review_mode_a_person_is_asked_instead() -> None:
    """Nothing merges; the tie is a candidate with its bits, and the record joins the better of the two."""
    ground = Ground(Limits(auto_merge=False))
    first, second = ground.resolve(
        incoming("1", email="ann@firm.io", **ANN), incoming("2", linkedin_url="linkedin.com/in/annlee", **ANN)
    )
    (third,) = ground.resolve(
        incoming("3", email="ann@firm.io", linkedin_url="linkedin.com/in/annlee", **ANN)
    )
    assert not ground.plans[-1].merges
    (candidate,) = ground.plans[-1].candidates
    assert {candidate.entity_id, candidate.other_entity_id} == {first.entity_id, second.entity_id}
    assert candidate.bits > 10
    assert third.entity_id in {first.entity_id, second.entity_id}


def test_entities_that_a_person_told_apart_stay_apart() -> None:
    """Neither merged nor linked nor asked about again, whatever the evidence: one that could be either is itself."""
    ground = Ground()
    records = [incoming("1", email="ann@firm.io", **ANN), incoming("2", phone="+12125557812", **ANN)]
    first, second = ground.resolve(*records)
    one, other = sorted(record.record_id for record in records)
    ground.apart.add((one, other))
    (third,) = ground.resolve(incoming("3", email="ann@firm.io", phone="+12125557812", **ANN))
    assert not ground.plans[-1].merges
    assert not any(
        {one.entity_id, one.other_entity_id} == {first.entity_id, second.entity_id}
        for one in ground.plans[-1].candidates
    )
    groups = {ground.members[record.record_id].group_id for record in records}
    assert len(groups) == 2
    assert third.entity_id not in {first.entity_id, second.entity_id}


def test_a_mailbox_of_many_surnames_turns_generic_and_lets_go() -> None:
    """What it linked comes apart, in whatever batches its users come."""
    people = [
        ("Mirela", "Santanov"),
        ("Mirela", "Brunnel"),
        ("Mirela", "Chekwube"),
        ("Mirela", "Dzhanov"),
        ("Pia", "Ekman"),
    ]
    records = [
        incoming(str(n), first_name=given_name, last_name=family, email="crew@acorn.example")
        for n, (given_name, family) in enumerate(people)
    ]
    ground = Ground()
    for record in records:
        ground.resolve(record)
    assert any(use.generic and use.value == "crew@acorn.example" for use in ground.uses.values())
    assert len(ground.groups()) == len(people)


def test_a_key_that_crowds_brings_nobody_together() -> None:
    """Beyond the limit its holders are forgotten, those that came first too, and it stays so."""
    records = [incoming(str(n), first_name="Ann", last_name="Lee", job_title=f"t{n}") for n in range(6)]
    ground = Ground(Limits(key_rows_max=3))
    ground.resolve(*records[:3])
    assert len(ground.groups()) == 1
    ground.resolve(*records[3:])
    assert not ground.holders
    assert all(use.crowded for use in ground.uses.values())
    assert ground.groups() == streamed(records, ground.limits)


def test_a_record_to_be_found_only_never_founds() -> None:
    """It leaves no trace unless an identifier leads it to an entity."""
    ground = Ground()
    (lost, found) = ground.resolve(
        incoming("1", email="ann@firm.io", match_only=True), incoming("2", email="bo@firm.io")
    )
    assert (lost.kind, lost.entity_id, found.kind) == ("unmatched", None, "created")
    assert [row.ref.external_id for row in ground.members.values()] == ["2"]
    (again,) = ground.resolve(incoming("1", email="bo@firm.io", match_only=True))
    assert (again.kind, again.entity_id) == ("matched", found.entity_id)


def test_a_record_to_be_found_only_is_not_linked_in() -> None:
    """Similarity is not enough to place it."""
    ground = Ground()
    ground.resolve(incoming("1", company="Acorn Freight", **ANN))
    (lost,) = ground.resolve(incoming("2", company="Acorn Freight", match_only=True, **ANN))
    assert lost.kind == "unmatched"
    assert len(ground.members) == 1


def test_later_evidence_asks_before_it_tears_an_entity() -> None:
    """Two records of one entity come to have two profiles: they stay, and a person is asked to split."""
    ground = Ground()
    ground.resolve(incoming("1", email="ann@firm.io", **ANN), incoming("2", email="ann@firm.io", **ANN))
    ground.resolve(incoming("1", linkedin_url="linkedin.com/in/ann-lee-1"))
    first, second = ground.resolve(
        incoming("2", linkedin_url="linkedin.com/in/ann-lee-2"), incoming("1", **ANN)
    )
    assert first.entity_id == second.entity_id
    assert first.group_id == second.group_id
    (candidate,) = ground.plans[-1].candidates
    assert (candidate.question, candidate.blocked_by) == ("split", "linkedin_conflict")


def test_what_a_known_record_says_later_finds_and_is_found() -> None:
    """An old mailbox still leads to the record that has a new one."""
    ground = Ground()
    (first,) = ground.resolve(incoming("1", email="old@firm.io", **ANN))
    ground.resolve(incoming("1", email="new@firm.io"))
    (old,) = ground.resolve(incoming("2", email="old@firm.io"))
    (new,) = ground.resolve(incoming("3", email="new@firm.io"))
    assert old.entity_id == new.entity_id == first.entity_id


def test_a_record_that_comes_twice_in_a_batch_is_known_the_second_time() -> None:
    """One member with all that it says."""
    ground = Ground()
    found = ground.resolve(
        incoming("1"), incoming("1", email="ann@firm.io", **ANN), incoming("2", email="ann@firm.io")
    )
    assert [one.kind for one in found] == ["created", "known", "matched"]
    assert len({one.entity_id for one in found}) == 1
    assert len(ground.plans[-1].members) == 2


@pytest.mark.parametrize("object_name", ["deal", "activity"])
def test_objects_that_are_never_compared_are_themselves(object_name: str) -> None:
    """Whatever they have in common."""
    one, two = Ground().resolve(
        incoming("1", object_name=object_name, name="Renewal"),
        incoming("2", object_name=object_name, name="Renewal"),
    )
    assert one.entity_id != two.entity_id


def test_contacts_leads_and_accounts_never_meet() -> None:
    """Keys belong to one object."""
    found = Ground().resolve(
        incoming("1", phone="+12125557812", **ANN),
        incoming("2", object_name="lead", phone="+12125557812", **ANN),
        incoming("3", object_name="account", phone="+12125557812", name="Lee"),
    )
    assert len({one.group_id for one in found}) == 3


def test_no_entity_grows_beyond_its_bound() -> None:
    """A union beyond the number of records is refused and put before a person."""
    small = replace(Limits(), rules=replace(Limits().rules, records_max=3))
    ground = Ground(small)
    for n in range(5):
        ground.resolve(incoming(str(n), email="ann@firm.io", **ANN))
    assert max(len(group) for group in ground.groups()) <= 3
    assert any(one.blocked_by == "too_large" for plan in ground.plans for one in plan.candidates)
