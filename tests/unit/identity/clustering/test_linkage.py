"""Average linkage: guards, thresholds, and independence of order."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from headwater.identity.domain.clustering.guards import TOO_LARGE, Guards
from headwater.identity.domain.clustering.linkage import Rules, partition
from headwater.identity.domain.clustering.naming import name_groups
from headwater.identity.domain.scoring.parts import Parts

RULES = Rules()
Edges = dict[str, dict[str, float]]


def edges(pairs: dict[tuple[str, str], float]) -> Edges:
    found: Edges = defaultdict(dict)
    for (one, other), bits in pairs.items():
        found[one][other] = found[other][one] = bits
    return found


PAIRS = st.dictionaries(
    st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")).filter(lambda p: p[0] < p[1]),
    st.integers(-12, 20).map(float),
)


@given(PAIRS, st.integers(0, 1_000))
def test_partition_does_not_depend_on_order(pairs: dict[tuple[str, str], float], seed: int) -> None:
    """The same records and pairs give the same groups, in whatever order they are told."""
    items, records = list(pairs.items()), list("abcdefg")
    random.Random(seed).shuffle(items)
    random.Random(seed).shuffle(records)
    assert partition(records, edges(dict(items)), RULES) == partition("abcdefg", edges(pairs), RULES)


@given(PAIRS)
def test_partition_holds_each_record_once(pairs: dict[tuple[str, str], float]) -> None:
    """Groups neither lose nor repeat a record."""
    groups = partition("abcdefg", edges(pairs), RULES).groups
    assert sorted(record for group in groups for record in group) == list("abcdefg")


def test_one_strong_pair_does_not_glue_two_groups() -> None:
    """A shared value between two people's records is outweighed by all the pairs that disagree."""
    inside = {
        ("a", "b"): 12.0,
        ("a", "c"): 12.0,
        ("b", "c"): 12.0,
        ("d", "e"): 12.0,
        ("d", "f"): 12.0,
        ("e", "f"): 12.0,
    }
    bridge = {("a", "d"): 11.0} | {(x, y): -6.0 for x in "abc" for y in "def" if (x, y) != ("a", "d")}
    assert partition("abcdef", edges(inside | bridge), RULES).groups == (("a", "b", "c"), ("d", "e", "f"))


@given(st.permutations("abcd"))
def test_a_named_pair_goes_before_one_that_scores_better(names: list[str]) -> None:
    """Two people alike in all but their mailbox do not part the records of one mailbox, whatever their ids."""
    one, ours, other, theirs = names
    bits = {(one, other): 40.0, (one, ours): 11.0, (other, theirs): 11.0}
    bits |= {(one, theirs): -6.0, (other, ours): -6.0, (ours, theirs): -6.0}
    mailboxes = [{one, ours}, {other, theirs}]
    groups = partition(
        names, edges(bits), RULES, named=lambda left, right, _: {left, right} in mailboxes
    ).groups
    assert {frozenset(group) for group in groups} == {frozenset(box) for box in mailboxes}


@given(st.permutations("abc"))
def test_what_the_cap_makes_equal_is_told_apart_by_all_the_bits(names: list[str]) -> None:
    """The better of two pairs beyond the cap is united first, whatever the ids."""
    one, better, other = names
    bits = {(one, better): 30.0, (one, other): 20.0, (better, other): -40.0}
    groups = partition(names, edges(bits), Rules(bits_min=5.0)).groups
    assert {frozenset(group) for group in groups} == {frozenset({one, better}), frozenset({other})}


def test_two_profiles_are_never_one_entity() -> None:
    """A veto holds through a third record that fits both."""
    parts = {
        "a": Parts(strong=(("linkedin", "in/a"),)),
        "b": Parts(),
        "c": Parts(strong=(("linkedin", "in/c"),)),
    }
    found = partition(
        "abc", edges({("a", "b"): 12.0, ("b", "c"): 11.0, ("a", "c"): 9.0}), RULES, Guards(parts, RULES)
    )
    assert found.groups == (("a", "b"), ("c",))
    assert [one.reason for one in found.refused] == ["linkedin_conflict"]


def test_pair_that_a_person_told_apart_stays_apart() -> None:
    """A cannot-link outweighs any score."""
    guards = Guards({"a": Parts(), "b": Parts()}, RULES, frozenset({("a", "b")}))
    assert partition("ab", edges({("a", "b"): 30.0}), RULES, guards).groups == (("a",), ("b",))


def test_must_link_outweighs_any_score() -> None:
    """A pair that a person called one is one."""
    assert partition("ab", edges({("a", "b"): 1_000.0}), RULES).groups == (("a", "b"),)


def test_group_beyond_the_limit_is_refused_for_review() -> None:
    """An entity of too many records is never made; the refusal is told."""
    rules = Rules(records_max=3)
    names = "abcde"
    every = edges({(x, y): 12.0 for x in names for y in names if x < y})
    found = partition(names, every, rules, Guards({name: Parts() for name in names}, rules))
    assert max(map(len, found.groups)) == 3
    assert {one.reason for one in found.refused} == {TOO_LARGE}


def test_largest_overlap_keeps_the_entity_id() -> None:
    """When an entity splits, most of its records keep its id; when two unite, the smaller id becomes an alias."""
    before = {"a": "E1", "b": "E1", "c": "E1", "d": "E2"}
    split = name_groups([("a",), ("b", "c"), ("d",)], before, lambda group: f"new-{group[0]}")
    assert split.entity_of == {"a": "new-a", "b": "E1", "c": "E1", "d": "E2"}
    united = name_groups([("a", "b", "c", "d")], before, lambda group: f"new-{group[0]}")
    assert set(united.entity_of.values()) == {"E1"}
    assert united.aliases == {"E2": "E1"}


def test_uniting_and_splitting_again_restores_the_ids() -> None:
    """A split undoes what a union did, ids and all, for the side that kept its id."""
    before = {"a": "E1", "b": "E1", "c": "E2"}
    united = name_groups([("a", "b", "c")], before, lambda _: "new")
    apart = name_groups([("a", "b"), ("c",)], united.entity_of, lambda _: "new")
    assert apart.entity_of == {"a": "E1", "b": "E1", "c": "new"}


def test_organisations_hang_together_by_less_than_people() -> None:
    """Their names alone may be worth no bit; people meet strangers by as much."""
    rules = Rules()
    assert rules.tie_bits_min("account") == rules.bits_min
    assert rules.tie_bits_min("contact") == rules.tie_bits_min("lead") == rules.people_tie_bits_min
    assert Rules(bits_min=3.0).tie_bits_min("contact") == 3.0
