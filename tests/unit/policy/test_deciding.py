"""Who decides a field: whatever the records and their order, the policy's word holds."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.policy.two_crms import FIELDS, SOURCES, members_of, record, two_crms

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.document import PolicyDocument
from headwater.policy.explaining import explain
from headwater.policy.survivorship import Chosen, MemberRecord, survive

DOCUMENT = two_crms()
RULES = DOCUMENT.rules["contact"]
ANYBODY = members_of(*SOURCES, OPERATOR_SOURCE)
AUTOMATION = members_of("hubspot", "form", "enrichment", "mail", "stranger")


def decide(*members: MemberRecord) -> dict[str, Chosen]:
    """Return what an entity of *members* shows."""
    return survive(RULES, members)


def values(*members: MemberRecord) -> dict[str, Any]:
    """Return the values alone."""
    return {name: chosen.value for name, chosen in decide(*members).items()}


@given(ANYBODY, st.randoms(use_true_random=False))
def test_the_order_of_records_makes_no_difference(members: list[MemberRecord], chance: Any) -> None:
    """Any permutation gives the same values with the same provenance."""
    mixed = list(members)
    chance.shuffle(mixed)
    assert decide(*mixed) == decide(*members)


@given(ANYBODY, st.data())
def test_a_record_that_decides_nothing_may_go(members: list[MemberRecord], data: Any) -> None:
    """What is chosen hangs on nobody who lost: times that tie make no ring of winners."""
    chosen = decide(*members)
    keys = {item.event_key for item in chosen.values()}
    losers = [item for item in members if not keys & {fact.event_key for fact in item.fields.values()}]
    assume(losers)
    gone = data.draw(st.sampled_from(losers))
    assert decide(*(item for item in members if item is not gone)) == chosen


@given(ANYBODY, st.sampled_from(FIELDS))
def test_who_may_not_decide_never_wins(members: list[MemberRecord], field: str) -> None:
    """Neither strangers, nor a layer without a grant, nor corrections of what nobody may correct."""
    found = decide(*members).get(field)
    unit = RULES.unit_of[field]
    if found is not None:
        assert found.source in unit.ranks or (found.source == OPERATOR_SOURCE and unit.overridable)


@given(AUTOMATION, AUTOMATION, st.integers(0, 12))
def test_a_locked_value_never_moves_by_automation(
    before: list[MemberRecord], after: list[MemberRecord], at_s: int
) -> None:
    """While a rep's word stands, no form, provider or other CRM changes the number, however new."""
    verified = record("salesforce", "rep", phone=("+1 verified", at_s), phone_verified=(True, at_s))
    assert decide(verified, *before)["phone"] == decide(verified, *after)["phone"]
    assert decide(verified, *after)["phone"].rule == "locked"


@given(AUTOMATION)
def test_a_person_and_the_verifier_move_a_locked_value(others: list[MemberRecord]) -> None:
    """The verifying record's later number counts, and an operator's correction stands above both."""
    moved = record("salesforce", "rep", phone=("+1 moved", 50), phone_verified=(True, 1))
    pinned = record(OPERATOR_SOURCE, "entity", phone=("+1 person", 2))
    assert values(moved, *others)["phone"] == "+1 moved"
    assert values(moved, pinned, *others)["phone"] == "+1 person"


def test_a_lock_that_ends_or_holds_nothing_leaves_the_rule() -> None:
    """Unlocked by the verifier's own word, by its deletion, or where it never stated a number."""
    form = record("form", "1", phone=("+1 form", 5))
    for rep in (
        record("salesforce", "rep", phone=("+1 rep", 1), phone_verified=(False, 2)),
        record("salesforce", "rep", deleted=True, phone=("+1 rep", 1), phone_verified=(True, 2)),
        record("salesforce", "rep", phone_verified=(True, 2)),
    ):
        assert values(form, rep)["phone"] == "+1 form"


@given(ANYBODY)
def test_a_group_comes_from_one_record(members: list[MemberRecord]) -> None:
    """Street and city are one record's, and what that leaves open stays open."""
    chosen = decide(*members)
    shown = {name: (chosen[name].value if name in chosen else None) for name in ("street", "city")}
    stated = [
        {name: (item.fields[name].value if name in item.fields else None) for name in ("street", "city")}
        for item in members
        if not item.deleted
    ]
    assert shown in stated or shown == {"street": None, "city": None}
    assert len({chosen[name].source for name in ("street", "city") if name in chosen}) <= 1


@given(ANYBODY, ANYBODY)
def test_a_split_undoes_a_merge(left: list[MemberRecord], right: list[MemberRecord]) -> None:
    """Deciding for both together leaves no trace in what either decides alone."""
    alone = decide(*left), decide(*right)
    decide(*left, *right)
    assert (decide(*left), decide(*right)) == alone


@given(ANYBODY, st.sampled_from(FIELDS))
def test_an_explanation_names_the_winner_and_every_other(members: list[MemberRecord], field: str) -> None:
    """The winner is the one chosen, in front; everybody else who speaks of the field lost by something."""
    decision = explain(DOCUMENT, "contact", members, field)
    chosen = decide(*members).get(field)
    assert decision.winner == chosen
    assert len(decision.candidates) == sum(1 for item in members if field in item.fields)
    winners = [item for item in decision.candidates if item.won]
    assert [(item.source, item.event_key) for item in winners] == (
        [(chosen.source, chosen.event_key)] if chosen else []
    )
    assert winners == list(decision.candidates[: len(winners)])
    assert all(bool(item.reason) != item.won for item in decision.candidates)


def reasons(field: str, *members: MemberRecord, document: PolicyDocument = DOCUMENT) -> dict[str, str]:
    """Return source to what it lost by."""
    decision = explain(document, "contact", members, field)
    return {item.source: item.reason for item in decision.candidates}


def test_each_loser_hears_what_it_lost_by() -> None:
    """In words that a person can act on."""
    title = (
        record("hubspot", "1", title=("new", 1000)),
        record("salesforce", "2", title=("old", 1)),
        record("mail", "3", title=("x", 2000)),
        record("enrichment", "4", deleted=True, title=("gone", 3000)),
    )
    assert reasons("title", *title) == {
        "hubspot": "", "salesforce": "older", "mail": "not an owner", "enrichment": "record deleted",
    }  # fmt: skip
    verified = record("salesforce", "rep", phone=("+1", 1), phone_verified=(True, 1))
    form = record("form", "1", phone=("+2", 9))
    assert reasons("phone", verified, form) == {"salesforce": "", "form": "locked by phone_verified"}
    assert reasons("company", record("salesforce", "1", company=("a", 1)), record("form", "2", company=("b", 9)))[
        "form"
    ] == "lower rank"  # fmt: skip
    score = reasons(
        "hubspot_lead_score",
        record(OPERATOR_SOURCE, "e", hubspot_lead_score=(9, 9)),
        record("hubspot", "1", hubspot_lead_score=(5, 1)),
    )
    assert score == {"hubspot": "", OPERATOR_SOURCE: "corrections are not allowed"}
    assert reasons("nickname", record("hubspot", "1", nickname=("x", 1))) == {"hubspot": "not an owner"}


def test_a_layer_decides_only_what_it_was_granted() -> None:
    """Enforced where values are chosen too, for a document that nobody checked."""
    data = DOCUMENT.as_json()
    data["objects"]["contact"]["granted"] = []
    data["objects"]["contact"]["fields"]["title"]["granted"] = []
    document = PolicyDocument.model_validate(data)
    title = reasons(
        "title",
        record("enrichment", "1", title=("x", 9)),
        record("hubspot", "2", title=("y", 1)),
        document=document,
    )
    assert title == {"enrichment": "not granted to the intelligence layer", "hubspot": ""}
    phone = reasons("phone", record("form", "1", phone=("+1", 1)), document=document)
    assert phone == {"form": "not granted to the engagement layer"}


def test_times_within_the_clocks_error_leave_it_to_the_rank() -> None:
    """Five seconds apart nobody can say which is newer; a clock against itself always can."""
    close = (record("hubspot", "1", title=("later", 2)), record("salesforce", "2", title=("stronger", 1)))
    assert values(*close)["title"] == "stronger"
    far = (record("hubspot", "1", title=("later", 12)), record("salesforce", "2", title=("stronger", 1)))
    assert values(*far)["title"] == "later"
    own = (record("hubspot", "1", title=("later", 2)), record("hubspot", "2", title=("sooner", 1)))
    assert values(*own)["title"] == "later"
