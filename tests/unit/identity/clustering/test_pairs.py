"""Two records take short ways through linking and merging: they come to what the ways for many come to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity.people import FIELDS, parts

from headwater.identity.domain.clustering.linkage import Rules, link, no_guard, no_names
from headwater.identity.domain.clustering.linkage import _Linkage as ForMany
from headwater.identity.domain.clustering.tiers import Merging, mergeable

BITS = st.integers(-8_000, 14_000).map(lambda grains: grains / 1024)


@given(BITS, BITS, st.sampled_from(["", "name_conflict"]))
def test_a_pair_is_linked_as_the_linkage_for_many_links_it(bits: float, bits_min: float, reason: str) -> None:
    """Wherever the threshold lies, clamped or not, refused or not."""
    rules = Rules(bits_min=bits_min)
    edges = {"a": {"b": bits}, "b": {"a": bits}}
    many = ForMany(("a", "b"), edges, rules, lambda _left, _right: reason, no_names)
    many.run()
    found = link(("a", "b"), edges, rules, lambda _left, _right: reason)
    assert sorted(found.groups) == sorted(many.groups())
    assert list(found.refused) == many.refused


def test_one_record_is_a_group() -> None:
    """There is nothing to link it with."""
    assert link(("a",), {}, Rules(), no_guard).groups == (("a",),)


@given(FIELDS, FIELDS, st.integers(-4, 20), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_pair_is_parted_as_a_group_of_many_is(
    one: dict[str, str],
    other: dict[str, str],
    bits: int,
    same: bool,  # noqa: FBT001
) -> None:
    """Records that stand alone change nothing, and take the way for many."""
    told = {"a": parts(**one), "b": parts(**(one if same else other))}
    edges = {"a": {"b": float(bits)}, "b": {"a": float(bits)}}
    merging = Merging(told, frozenset())
    assert mergeable(("a", "b"), edges, merging) == mergeable(("a", "b"), edges, merging, [("a",)])
