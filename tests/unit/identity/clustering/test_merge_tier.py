"""The merge tier: what ties firmly enough to act without a person, and what only looks so."""

from __future__ import annotations

from itertools import permutations, product

import msgspec
import pytest
from tests.unit.identity.people import parts

from headwater.identity.domain.clustering.tiers import NUMBER_ALONE, Merging

NUMBER = {"phone": "+12125550147"}


def merging(one: dict[str, str], other: dict[str, str]) -> Merging:
    """Return the rule over two records."""
    return Merging({"a": parts(**one), "b": parts(**other)}, frozenset())


@pytest.mark.parametrize(
    ("one", "other", "firm"),
    [
        ({"first_name": "Kaya"}, {"first_name": "Kaya"}, True),
        ({"first_name": "Robert"}, {"first_name": "Bob"}, True),
        ({"first_name": "Kaya"}, {"first_name": "K."}, False),
        ({"first_name": "Kaya"}, {}, False),
        ({"first_name": "Kaya"}, {"first_name": "Kaya", "generation": "Jr."}, False),
        ({"first_name": "Kaya"}, {"first_name": "Kaya", "email": "kaya.orbeli2@acorn.test"}, False),
        ({"first_name": "Kaya", "title": "Buyer"}, {"first_name": "Kaya", "title": "Head of Freight"}, False),
        ({"first_name": "Kaya", "title": "Buyer"}, {"first_name": "Kaya"}, True),
    ],
)
def test_a_number_alone_may_be_a_familys_or_a_houses(
    one: dict[str, str], other: dict[str, str], *, firm: bool
) -> None:
    """Who of them it is, names and job titles must say; a second identifier does instead."""
    sides = [
        NUMBER
        | {"last_name": f"Orbeli {side.get('generation', '')}"}
        | {name: value for name, value in side.items() if name != "generation"}
        for side in (one, other)
    ]
    rule = merging(*sides)
    assert rule.allows("a", "b", 30.0) is firm
    assert rule.weakness(*rule.parts.values()) == ("" if firm else NUMBER_ALONE)
    page = {"linkedin_url": "linkedin.com/in/kaya-orbeli-1"}
    assert merging(sides[0] | page, sides[1] | page).allows("a", "b", 30.0)


def test_the_order_in_which_identifiers_were_told_does_not_matter() -> None:
    """A page ties firmly, also where a record told its number long before; that a number is there takes nothing away."""
    sides = [{"first_name": "Kaya", "last_name": "Orbeli", "title": title} for title in ("Buyer", "Driver")]
    page = {"linkedin_url": "linkedin.com/in/kaya-orbeli-1", "email": "kaya@orbeli.test"}
    one, other = (parts(**side, **NUMBER, **page) for side in sides)
    assert len(one.strong) == 3
    for ours, theirs in product(permutations(one.strong), permutations(other.strong)):
        told = {
            "a": msgspec.structs.replace(one, strong=ours),
            "b": msgspec.structs.replace(other, strong=theirs),
        }
        rule = Merging(told, frozenset())
        assert rule.allows("a", "b", 30.0)
        assert rule.weakness(*told.values()) == ""
