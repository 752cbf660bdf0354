"""Namesakes: which two names can be one person's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.identity.domain.namesakes import are_strangers
from headwater.identity.domain.normalising.person import read_person
from headwater.identity.domain.normalising.values import PersonName

PARTS = st.text(alphabet="abcxyzABC.éß'&- ", max_size=12)


@given(PARTS, PARTS, PARTS, PARTS)
def test_strangers_are_strangers_both_ways(a: str, b: str, c: str, d: str) -> None:
    """Whether two names conflict does not depend on the order, and nobody is a stranger to himself."""
    ours, theirs = read_person(a, b, "").name, read_person(c, d, "").name
    assert are_strangers(ours, theirs) == are_strangers(theirs, ours)
    assert not are_strangers(ours, ours)


@pytest.mark.parametrize(
    ("ours", "theirs", "strangers"),
    [
        (("nora", "keller"), ("paul", "brandt"), True),
        (("nora", "keller"), ("nora", "brandt"), False),
        (("n", "keller"), ("nora", "brandt"), False),
        (("bob", "keller"), ("robert", "brandt"), False),
        (("keller", "nora"), ("nora", "keller"), False),
        (("", "keller"), ("", "brandt"), True),
        (("nora", "keller"), ("paul", "keller"), True),
        (("geeorge", "keller"), ("george", "keller"), False),
        (("nora", ""), ("paul", "brandt"), False),
        (("nora", "casey brown"), ("noor", "brown"), False),
    ],
)
def test_names_conflict_only_when_nothing_explains_them(
    ours: tuple[str, str], theirs: tuple[str, str], *, strangers: bool
) -> None:
    """Marriage, initials, nicknames, swaps and typos explain; a household is two people."""
    assert are_strangers(PersonName(*ours), PersonName(*theirs)) is strangers
