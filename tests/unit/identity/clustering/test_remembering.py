"""Bits of pairs in crowds that are remembered: never other than worked out anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.identity.people import parts

from headwater.identity.domain.clustering.linkage import Members, Partition, Rules, no_guard
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.remembering import CROWD_MIN, Remembered
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.stored import dump
from headwater.identity.domain.scoring.weights import Weights

WEIGHTS = shipped("contact")
PHONE = "+12125550147"
CROWD = {
    f"r{number:02d}": {"first_name": "Kaya", "last_name": "Orbeli", "phone": PHONE, "city": city}
    for number, city in enumerate(["London", "Paris", "Lima"] * CROWD_MIN)
}


def _group(
    remembered: Remembered | None,
    crowd: dict[str, dict[str, str]],
    shared: frozenset[str] = frozenset(),
    weights: Weights = WEIGHTS,
) -> tuple[Partition, list[tuple[str, str]]]:
    """Group a crowd that only a chain of edges holds together; return the groups, and the pairs that were scored."""
    memory = Memory(weights, Rules(), remembered=remembered)
    memory.parts.update({one: parts(**told) for one, told in crowd.items()})
    memory.stored = {one: dump(told) for one, told in memory.parts.items()}
    memory.shared.update(shared)
    names = sorted(crowd)
    for one, other in pairwise(names):
        memory.edges[one][other] = memory.edges[other][one] = 4.0
    component: Members = tuple(names)
    scored: list[tuple[str, str]] = []
    by_parts = {id(told): one for one, told in memory.parts.items()}

    def score(ours: Parts, theirs: Parts, *how: Any) -> float:
        scored.append((by_parts[id(ours)], by_parts[id(theirs)]))
        return score_bits(ours, theirs, *how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headwater.identity.domain.clustering.memory.score_bits", score)
        return memory.group_component(component, no_guard), scored


def test_a_crowd_met_again_is_not_scored_again() -> None:
    """Of one that has a new record, only the pairs of that one are."""
    remembered = Remembered()
    first, scored = _group(remembered, CROWD)
    assert scored
    assert _group(remembered, CROWD) == (first, [])
    more = {**CROWD, "r99": {"first_name": "Kaya", "last_name": "Orbeli", "city": "Lima"}}
    groups, scored = _group(remembered, more)
    assert scored
    assert all("r99" in pair for pair in scored)
    assert groups == _group(None, more)[0]


@pytest.mark.parametrize(
    ("told", "shared", "weights"),
    [
        ({"city": "Perth"}, frozenset(), WEIGHTS),
        ({}, frozenset({PHONE}), WEIGHTS),
        ({}, frozenset(), replace(WEIGHTS, prior_bits=WEIGHTS.prior_bits - 4)),
    ],
)
def test_what_is_remembered_is_what_would_be_worked_out(
    told: dict[str, str], shared: frozenset[str], weights: Weights
) -> None:
    """A record that says something else, a number that turned generic, other weights of the same name."""
    remembered = Remembered()
    _group(remembered, CROWD)
    crowd = {**CROWD, "r05": {**CROWD["r05"], **told}}
    groups, scored = _group(remembered, crowd, shared, weights)
    alone, every = _group(None, crowd, shared, weights)
    assert groups == alone
    assert set(scored) == ({pair for pair in every if "r05" in pair} if told else set(every))


def test_the_oldest_make_room() -> None:
    """What is remembered is bounded, and what went is worked out again."""
    remembered = Remembered(records_max=CROWD_MIN, pairs_max=5)
    first, _ = _group(remembered, CROWD)
    again, scored = _group(remembered, CROWD)
    assert again == first
    assert scored
    remembered.numbers((), {}, {}, frozenset())
    assert len(remembered.bits) == 5
