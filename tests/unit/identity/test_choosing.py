"""Records that come after a split: which half they go with, and when a person is asked."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity.ground import Ground, incoming
from tests.unit.identity.people import FIELDS

from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.tiers import Tier
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.resolving.placing import EITHER
from headwater.identity.domain.resolving.values import Incoming, Limits, Resolution, pair_of
from headwater.kernel.ids import EntityId

ANN: dict[str, Any] = {"first_name": "Ann", "last_name": "Santanov"}
PHONE = "+12125557812"
MORE: dict[str, Any] = {"company": "Acorn Freight", "city": "London", "job_title": "Buyer"}


def _halves(ground: Ground, one: list[Incoming], other: list[Incoming]) -> tuple[EntityId, EntityId]:
    """Put records down as two entities that a person told apart."""
    homes: list[EntityId] = []
    for half in (one, other):
        aside = Ground(ground.limits)
        found = {answer.entity_id for answer in aside.resolve(*half)}
        (home,) = found
        assert home is not None
        homes.append(home)
        for record in half:
            ground.members[record.record_id] = aside.members[record.record_id]
            for key in record.identified.keys:
                ground.holders[key].append(record.record_id)
        ground.edges.update(aside.edges)
        ground.ages[home] = len(ground.ages)
    ground.apart |= {pair_of(here.record_id, there.record_id) for here in one for there in other}
    return homes[0], homes[1]


def _late(ground: Ground, **attributes: Any) -> Resolution:
    (found,) = ground.resolve(incoming("late", **attributes))
    return found


@pytest.mark.parametrize("swapped", [False, True])
def test_a_late_record_goes_with_the_half_that_it_matches_better(swapped: bool) -> None:  # noqa: FBT001
    """Both halves have its mailbox; the one that has its firm and town, too, gets it, whichever has the lower id."""
    plain = [incoming("1", email="ann@firm.io", **ANN)]
    full = [incoming("2", email="ann@firm.io", phone=PHONE, **ANN, **MORE)]
    ground = Ground()
    first, second = _halves(ground, *((full, plain) if swapped else (plain, full)))
    found = _late(ground, email="ann@firm.io", phone=PHONE, **ANN, **MORE)
    assert found.entity_id == (first if swapped else second)
    assert found.tier is Tier.MERGE
    assert ground.members[full[0].record_id].group_id == found.group_id
    assert not ground.plans[-1].candidates


def test_the_average_over_all_records_of_a_half_counts() -> None:
    """One record as good as it gets beside two strangers says less than a half that agrees throughout."""
    mixed = [
        incoming("1", email="ann@firm.io", phone=PHONE, **ANN, **MORE),
        incoming("2", phone=PHONE, first_name="Ann", last_name="Santanov", city="Lima"),
        incoming("3", phone=PHONE, first_name="Ann", last_name="Santanov", city="Lima"),
    ]
    steady = [incoming(str(n), email="ann@firm.io", phone=PHONE, **ANN, **MORE) for n in (4, 5)]
    ground = Ground()
    _, better = _halves(ground, mixed, steady)
    assert _late(ground, email="ann@firm.io", phone=PHONE, **ANN, **MORE).entity_id == better


def test_between_equal_halves_a_person_is_asked() -> None:
    """The record is itself, linked to neither; it is put before a person with each half, and with what stands against it."""
    ground = Ground()
    halves = [incoming("1", email="ann@firm.io", **ANN)], [incoming("2", email="ann@firm.io", **ANN)]
    homes = _halves(ground, *halves)
    found = _late(ground, email="ann@firm.io", **ANN)
    assert (found.kind, found.tier) == ("created", Tier.REVIEW)
    groups = {ground.members[record.record_id].group_id for half in halves for record in half}
    assert found.group_id not in groups
    asked = {one.other_entity_id: one.blocked_by for one in ground.plans[-1].candidates}
    assert asked == dict.fromkeys(homes, EITHER)
    assert {one.entity_id for one in ground.plans[-1].candidates} == {found.entity_id}


def test_the_margin_is_a_setting() -> None:
    """With none, the half that matches better by however little gets the record; with a wide one, a person is asked."""
    told: dict[str, Any] = {"email": "ann@firm.io", **ANN}
    for margin_bits, kind in ((0.0, "matched"), (20.0, "created")):
        ground = Ground(Limits(Rules(margin_bits=margin_bits)))
        _halves(ground, [incoming("1", **told)], [incoming("2", city="London", **told)])
        assert _late(ground, city="London", **told).kind == kind


def test_what_a_person_was_asked_about_is_not_merged_by_the_next_record() -> None:
    """A second record that could be either joins the first one that could; neither half takes them."""
    ground = Ground()
    _halves(ground, [incoming("1", email="ann@firm.io", **ANN)], [incoming("2", email="ann@firm.io", **ANN)])
    waiting = _late(ground, email="ann@firm.io", **ANN)
    (next_one,) = ground.resolve(incoming("later", email="ann@firm.io", **ANN))
    assert next_one.entity_id == waiting.entity_id
    assert not ground.plans[-1].merges


def test_a_record_that_says_more_leaves_the_doubt() -> None:
    """Told what tells the halves apart, the waiting record's entity merges into the one that it matches."""
    ground = Ground()
    told: dict[str, Any] = {"email": "ann@firm.io", **ANN}
    page = "linkedin.com/in/ann-santanov"
    first, _ = _halves(
        ground,
        [incoming("1", linkedin_url=page, phone=PHONE, **told)],
        [incoming("2", linkedin_url=f"{page}-2", **told)],
    )
    waiting = _late(ground, **told)
    assert waiting.kind == "created"
    _late(ground, linkedin_url=page, phone=PHONE, **told)
    (merge,) = ground.plans[-1].merges
    assert {merge.winner_id, merge.loser_id} == {first, waiting.entity_id}


@given(st.lists(FIELDS, min_size=4, max_size=14), st.integers(0, 1_000))
@settings(max_examples=60, deadline=None)
def test_what_was_told_apart_never_becomes_one(rows: list[dict[str, Any]], seed: int) -> None:
    """Whatever comes later, in batches of any size: no entity has records of both halves."""
    chance = random.Random(seed)
    ground = Ground()
    records = [incoming(f"r{number:02d}", **row) for number, row in enumerate(rows)]
    first = records[: chance.randint(2, 3)]
    ground.resolve(*first)
    homes = sorted({ground.members[one.record_id].entity_id for one in first})
    if len(homes) < 2:
        return
    here = [one.record_id for one in first if ground.members[one.record_id].entity_id == homes[0]]
    there = [one.record_id for one in first if ground.members[one.record_id].entity_id == homes[1]]
    ground.apart |= {pair_of(one, other) for one in here for other in there}
    ground.resolve(incoming("r00", **rows[0]), incoming("nudge", **rows[1]))
    rest = records[len(first) :]
    while rest:
        size = chance.randint(1, 4)
        ground.resolve(*rest[:size])
        del rest[:size]
        assert _homes(ground, here).isdisjoint(_homes(ground, there))


def _homes(ground: Ground, records: list[RecordId]) -> set[EntityId]:
    return {ground.members[one].entity_id for one in records}
