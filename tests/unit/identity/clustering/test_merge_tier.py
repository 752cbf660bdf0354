"""The merge tier: what ties firmly enough to act without a person, and what only looks so."""

from __future__ import annotations

import pytest
from tests.unit.identity.people import parts

from headwater.identity.domain.clustering.tiers import NUMBER_ALONE, POST, Merging, mergeable

KAYA = {
    "first_name": "Kaya",
    "last_name": "Orbeli",
    "company": "Acorn Freight Ltd",
    "title": "Head of Freight",
}
NUMBER = {"phone": "+12125550147"}


def merging(one: dict[str, str], other: dict[str, str]) -> Merging:
    """Return the rule over two records."""
    return Merging({"a": parts(**one), "b": parts(**other)}, frozenset())


def test_one_name_with_one_job_at_one_organisation_is_one_person() -> None:
    """Whichever way the organisation is told, and in whatever words the title; ten bits are asked as ever."""
    other = KAYA | {
        "company": "",
        "website": "acornfreight.com",
        "title": "HEAD OF FREIGHT",
        "email": "k9@gmail.com",
    }
    rule = merging(KAYA, other)
    assert rule.tie(rule.parts["a"], rule.parts["b"]) == POST
    assert rule.allows("a", "b", 10.0)
    assert not rule.allows("a", "b", 9.9)


@pytest.mark.parametrize(
    "other",
    [
        KAYA | {"first_name": "K."},
        KAYA | {"first_name": "Kay"},
        KAYA | {"last_name": ""},
        KAYA | {"title": ""},
        KAYA | {"title": "Buyer"},
        KAYA | {"title": "Employee"},
        KAYA | {"company": ""},
        KAYA | {"company": "Brindle Foods"},
        KAYA | {"last_name": "Orbeli Jr."},
        KAYA | {"email": "kaya.orbeli2@acorn.test"},
    ],
    ids=lambda other: " ".join(other.values()),
)
def test_less_than_a_post_is_no_identifier(other: dict[str, str]) -> None:
    """An initial, another title, a filled-in one, another organisation; nor where it shows that it has namesakes."""
    for ours, theirs in ((KAYA, other), (other, KAYA)):
        rule = merging(ours, theirs)
        assert rule.tie(*rule.parts.values()) == ""
        assert not rule.allows("a", "b", 30.0)


def test_two_pages_keep_one_post_apart() -> None:
    """What contradicts two records being one person stands against a post as against any identifier."""
    pages = [KAYA | {"linkedin_url": f"linkedin.com/in/kaya-orbeli-{number}"} for number in (1, 2)]
    assert not merging(*pages).allows("a", "b", 30.0)


def test_a_post_joins_no_part_that_shows_namesakes() -> None:
    """A numbered mailbox among the records that a post would bring together: nobody can say which of two it is."""
    mail = {"email": "kaya.orbeli2@acorn.test"}
    people = {
        "a": parts(**KAYA),
        "b": parts(**KAYA, **NUMBER),
        "c": parts(**KAYA | {"title": ""}, **NUMBER, **mail, linkedin_url="linkedin.com/in/kaya-orbeli-1"),
        "d": parts(
            first_name="Kaya", last_name="Orbeli", linkedin_url="linkedin.com/in/kaya-orbeli-1", **NUMBER
        ),
    }
    rule = Merging(people, frozenset())
    edges = {
        "a": {"b": 12.0},
        "b": {"a": 12.0, "d": 20.0},
        "c": {"d": 25.0},
        "d": {"c": 25.0, "b": 20.0},
    }
    assert mergeable(("a", "b", "c", "d"), edges, rule) == [("a",), ("b", "c", "d")]
    assert mergeable(("a", "b"), edges, rule) == [("a", "b")]


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
