"""Record by record and all at once end in the same entities; tiers and generic values."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity.people import FIELDS, keyed, parts

from headwater.identity.domain.clustering.bulk import resolve_all
from headwater.identity.domain.clustering.linkage import Rules, no_guard
from headwater.identity.domain.clustering.memory import Keyed, Memory
from headwater.identity.domain.clustering.sharing import is_generic, shared_values
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.clustering.tiers import Merging, mergeable
from headwater.identity.domain.scoring.priors import shipped

WEIGHTS = shipped("contact", 500)


def memory(key_rows_max: int = 40) -> Memory:
    return Memory(WEIGHTS, Rules(), key_rows_max)


def streamed(records: list[Keyed], key_rows_max: int = 40) -> tuple[tuple[str, ...], ...]:
    stream = Stream(memory(key_rows_max))
    for record in records:
        stream.resolve(record)
    return stream.groups()


RECORDS = st.lists(FIELDS, min_size=1, max_size=24).map(
    lambda rows: [keyed(f"r{number:02d}", **row) for number, row in enumerate(rows)]
)


@given(RECORDS, st.integers(0, 1_000), st.sampled_from([2, 4, 40]))
@settings(max_examples=150, deadline=None)
def test_stream_in_any_order_gives_what_bulk_gives(
    records: list[Keyed], seed: int, key_rows_max: int
) -> None:
    """Whatever the order of arrival, and however soon keys crowd, the entities are those of the whole set."""
    arriving = list(records)
    random.Random(seed).shuffle(arriving)
    assert streamed(arriving, key_rows_max) == resolve_all(records, memory(key_rows_max)).groups


def test_mailbox_of_many_surnames_turns_generic_and_lets_go() -> None:
    """What a shared mailbox joined comes apart once enough surnames use it."""
    people = [
        ("Mirela", "Santanov"),
        ("Tovik", "Brunnel"),
        ("Ostap", "Chekwube"),
        ("Lior", "Dzhanov"),
        ("Pia", "Ekström"),
    ]
    records = [
        keyed(f"r{n}", first_name=g, last_name=f, email="crew@acorn.test") for n, (g, f) in enumerate(people)
    ]
    assert shared_values([record.parts for record in records])
    assert len(streamed(records)) == len(people)


def test_surnames_that_are_misspelt_count_once() -> None:
    """One person's slips do not make a number generic."""
    assert not is_generic("phone", ["orbeli", "orbelli", "orbeil", "santanov"])
    assert is_generic("phone", ["orbeli", "brunnel", "santanov"])


def test_merge_needs_a_strong_key_and_a_fitting_name() -> None:
    """A score alone links; it never merges in a CRM."""
    people = {
        "a": parts(first_name="Kaya", last_name="Orbeli", email="kaya.orbeli@gmail.com"),
        "b": parts(first_name="K.", last_name="Orbeli", email="kaya.orbeli@gmail.com"),
        "c": parts(first_name="Kaya", last_name="Orbeli", company="Acorn"),
        "d": parts(first_name="Tovik", last_name="Santanov", email="kaya.orbeli@gmail.com"),
    }
    merging = Merging(people, frozenset())
    assert merging.allows("a", "b", 12.0)
    assert not merging.allows("a", "c", 30.0)
    assert not merging.allows("a", "d", 30.0)


def test_shared_generic_key_does_not_merge() -> None:
    """A generic mailbox is no identifier."""
    people = {name: parts(first_name="Kaya", last_name="Orbeli", email="crew@acorn.test") for name in "ab"}
    assert not Merging(people, frozenset({"crew@acorn.test"})).allows("a", "b", 30.0)


def test_mergeable_parts_an_entity_where_a_conflict_stands_between() -> None:
    """Jr. and Sr. linked by a record without suffix are not merged into one."""
    mail = "kaya.orbeli@gmail.com"
    people = {
        "a": parts(first_name="Kaya", last_name="Orbeli Jr.", email=mail),
        "b": parts(first_name="Kaya", last_name="Orbeli", email=mail),
        "c": parts(first_name="Kaya", last_name="Orbeli Sr.", email=mail),
    }
    edges = {"a": {"b": 14.0, "c": 12.0}, "b": {"a": 14.0, "c": 13.0}, "c": {"a": 12.0, "b": 13.0}}
    assert mergeable(("a", "b", "c"), edges, Merging(people, frozenset())) == [("a", "b"), ("c",)]


def test_people_who_are_alike_by_chance_do_not_hang_together() -> None:
    """A pair below the tie makes no neighbourhood, so no group either, though it reaches what an average needs."""
    both = Memory(WEIGHTS, Rules(people_tie_bits_min=2.0))
    both.parts.update({"a": parts(first_name="Kaya"), "b": parts(first_name="Tovik")})
    both.edges["a"]["b"] = both.edges["b"]["a"] = 1.0
    assert both.group(both.parts, no_guard).groups == (("a",), ("b",))
    both.edges["a"]["b"] = both.edges["b"]["a"] = 2.0
    assert both.group(both.parts, no_guard).groups == (("a", "b"),)
