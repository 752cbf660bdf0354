"""What stands is judged with the weights that count once it is touched, and not before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity.ground import WEIGHTS, Ground, incoming
from tests.unit.identity.people import FIELDS

from headwater.identity.domain.resolving.values import Incoming, Limits, Pair
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.weights import Weights

ANN: dict[str, Any] = {"first_name": "Ann", "last_name": "Lee", "email": "ann@firm.io"}
BOB: dict[str, Any] = {"first_name": "Bob", "last_name": "Orbeli", "email": "bob@other.io"}


def _learned(number: int, prior_bits: float) -> Mapping[str, Weights]:
    """Return weights that differ from the shipped ones by their prior."""
    return {
        name: replace(one, version=f"learned-{number}", prior_bits=prior_bits)
        for name, one in WEIGHTS.items()
    }


def _two(ground: Ground) -> tuple[Pair, Pair]:
    """Let two people be there twice; return each one's pair."""
    ground.resolve(incoming("a1", **ANN), incoming("a2", "erp", **ANN))
    (ann,) = ground.edges
    ground.resolve(incoming("b1", **BOB), incoming("b2", "erp", **BOB))
    (bob,) = set(ground.edges) - {ann}
    return ann, bob


def test_only_what_is_touched_is_scored_anew() -> None:
    """The neighbourhood of a new record follows the new weights; another one keeps bits and version."""
    ground = Ground()
    ann, bob = _two(ground)
    before = dict(ground.edges)
    ground.weights = _learned(4, WEIGHTS["contact"].prior_bits - 3.0)
    ground.resolve(incoming("a3", "web", **ANN))
    assert ground.edges[ann] == before[ann] - 3.0
    assert ground.edges[bob] == before[bob]
    assert (ground.scored_with[ann], ground.scored_with[bob]) == (4, 0)


def test_the_weights_before_bring_the_bits_before_back() -> None:
    """After a rollback, what is touched has its old bits again, exactly."""
    ground = Ground()
    ann, _ = _two(ground)
    before = ground.edges[ann]
    ground.weights = _learned(4, -20.0)
    ground.resolve(incoming("a3", "web", **ANN))
    assert ground.edges[ann] != before
    ground.weights = WEIGHTS
    ground.resolve(incoming("a4", "app", **ANN))
    assert (ground.edges[ann], ground.scored_with[ann]) == (before, 0)


def test_a_pair_that_new_weights_speak_against_is_forgotten() -> None:
    """Below what a pair never compared counts, its edge goes, though neither of the two said anything new."""
    ground = Ground(Limits(auto_merge=False))
    weak: dict[str, Any] = {"first_name": "Ann", "last_name": "Lee", "company": "Acorn Ltd"}
    ground.resolve(*(incoming("a1", source, **weak) for source in ("crm", "erp", "web")))
    assert len(ground.edges) == 3
    ground.weights = _learned(4, -60.0)
    ground.resolve(incoming("a1", "crm", **weak, phone="+12125550147"))
    assert not ground.edges


def _numbered(rows: list[dict[str, Any]]) -> list[Incoming]:
    return [incoming(f"r{number:02d}", **row) for number, row in enumerate(rows)]


RECORDS = st.lists(FIELDS, min_size=1, max_size=14).map(_numbered)


@given(RECORDS, st.floats(-30, -5))
@settings(max_examples=40, deadline=None)
def test_every_edge_has_the_bits_of_the_version_it_names(records: list[Incoming], prior_bits: float) -> None:
    """Whatever is touched when: an explanation by that version, later, gives these bits."""
    ground = Ground(Limits(auto_merge=False))
    sets = {0: WEIGHTS, 2: _learned(2, round(prior_bits))}
    for at, record in enumerate(records):
        ground.weights = sets[2] if at % 2 else WEIGHTS
        ground.resolve(record)
    shared = frozenset(use.value for use in ground.uses.values() if use.generic)
    for (one, other), number in ground.scored_with.items():
        ours, theirs = ground.members[one].told.parts, ground.members[other].told.parts
        assert ground.edges[one, other] == score_bits(ours, theirs, sets[number]["contact"], shared)


def test_shipped_weights_alone_score_nothing_anew() -> None:
    """On day one no stored edge is looked at again: what was planned is what was planned before."""
    ground = Ground()
    ann, _ = _two(ground)
    ground.resolve(incoming("a3", "web", **ANN))
    written = {pair for pair, _, _ in ground.plans[-1].edges}
    assert ann not in written
    assert {number for _, _, number in ground.plans[-1].edges} == {0}
