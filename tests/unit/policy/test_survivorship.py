"""Which value an entity shows: one answer, whoever is asked first."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.objects import ObjectPolicy
from headwater.policy.ruling import ObjectRules, compile_rules
from headwater.policy.survivorship import FieldFact, MemberRecord, survive
from headwater.policy.words import SurvivorshipRule

RULES: tuple[SurvivorshipRule, ...] = get_args(SurvivorshipRule)
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
VALUES = st.one_of(st.none(), st.text(max_size=3), st.integers(-5, 5), st.floats(-5, 5))


def policy(rule: str) -> ObjectRules:
    """Return a policy of one field, owned by a before b."""
    fields = {"x": {"type": "text", "owners": ["a", "b"], "rule": rule}}
    return compile_rules(ObjectPolicy.model_validate({"fields": fields}), {}, "contact")


def member(
    source: str, value: Any, at_s: float = 0, number: int = 1, *, deleted: bool = False
) -> MemberRecord:
    """Return a record that states one value."""
    fact = FieldFact(value, NOON + dt.timedelta(seconds=at_s), uuid.UUID(int=number))
    return MemberRecord(source, str(number), {"x": fact}, deleted)


def value(rule: str, *members: MemberRecord) -> Any:
    """Return the value chosen, None when there is none."""
    chosen = survive(policy(rule), members).get("x")
    return None if chosen is None else chosen.value


MEMBERS = st.lists(
    st.tuples(st.sampled_from("abc"), VALUES, st.integers(0, 3), st.booleans()), max_size=5
).map(lambda rows: [member(s, v, t, number, deleted=d) for number, (s, v, t, d) in enumerate(rows, start=1)])


@given(st.sampled_from(RULES), MEMBERS, st.randoms(use_true_random=False))
def test_the_order_of_members_makes_no_difference(
    rule: str, members: list[MemberRecord], chance: Any
) -> None:
    """Any permutation gives the same value with the same provenance."""
    mixed = list(members)
    chance.shuffle(mixed)
    assert survive(policy(rule), mixed) == survive(policy(rule), members)


@pytest.mark.parametrize(
    ("rule", "members", "wanted"),
    [
        ("source_priority", [("b", "new", 9), ("a", "old", 1)], "old"),
        ("source_priority", [("a", "old", 1), ("a", "new", 2)], "new"),
        ("most_recent", [("a", "old", 1), ("b", "new", 2)], "new"),
        ("most_recent", [("b", "low", 2), ("a", "high", 2)], "high"),
        ("first", [("a", "old", 1), ("b", "new", 2)], "old"),
        ("longest", [("a", "abc", 1), ("b", "ab", 2)], "abc"),
        ("longest", [("a", "abc", 1), ("b", "xyz", 2)], "xyz"),
        ("max", [("a", 2, 1), ("b", 10, 0)], 10),
        ("max", [("a", "2026-01-02", 9), ("b", "2026-02-01", 0)], "2026-02-01"),
        ("min", [("a", "2026-01-02", 0), ("b", "2026-02-01", 9)], "2026-01-02"),
        ("max", [("a", 10, 1), ("b", 10, 2)], 10),
        ("union", [("b", ["y"], 1), ("a", ["x", "y"], 0)], ["x", "y"]),
    ],
)
def test_each_rule_chooses_as_named(rule: str, members: list[tuple[str, Any, int]], wanted: Any) -> None:
    """Time decides only among equals."""
    found = value(rule, *(member(s, v, t, n) for n, (s, v, t) in enumerate(members, start=1)))
    assert found == wanted


def test_values_of_others_never_count() -> None:
    """Neither a source that owns nothing, nor a deleted record, nor a cleared field decides."""
    assert value("most_recent", member("c", "x")) is None
    assert value("most_recent", member("a", "x", deleted=True), member("b", "y")) == "y"
    assert value("source_priority", member("a", None, 9), member("b", "y")) == "y"


def test_the_newest_of_equals_has_the_provenance() -> None:
    """A tie of `max` goes to the newer fact, as of every rule."""
    chosen = survive(policy("max"), [member("a", 5, 1, 1), member("b", 5, 2, 2)])["x"]
    assert (chosen.source, chosen.event_key) == ("b", uuid.UUID(int=2))


def test_the_fullest_record_goes_first() -> None:
    """Of `most_complete` the record that states most fields wins, whoever it belongs to and however old it is."""
    fact = member("b", "full", 0).fields["x"]
    full = MemberRecord("b", "2", {"x": fact, "y": fact, "z": fact})
    spare = FieldFact(None, NOON, uuid.UUID(int=9))
    thin = MemberRecord("a", "1", {"x": FieldFact("thin", NOON, uuid.UUID(int=8)), "y": spare, "z": spare})
    assert value("most_complete", full, thin) == "full"
    assert value("most_complete", member("b", "later", 9, 2), member("a", "sooner", 1, 1)) == "later"


def test_only_people_decide_what_is_manual() -> None:
    """A source counts where people type the value in it; an operator's correction always does."""
    fields = {"x": {"type": "text", "owners": ["a", "b"], "rule": "manual", "human": ["b"]}}
    rules = compile_rules(ObjectPolicy.model_validate({"fields": fields}), {}, "contact")
    assert "x" not in survive(rules, [member("a", "machine", 9)])
    typed = [member("a", "machine", 9), member("b", "typed", 1, 2)]
    assert survive(rules, typed)["x"].value == "typed"
    assert survive(rules, [*typed, member(OPERATOR_SOURCE, "corrected", 0, 3)])["x"].rule == "operator"
