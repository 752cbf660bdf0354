"""Who gets a lead: by rule, in turn, within capacity, never somebody who is out; and the same every time."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.policy.routed import ROUTED

from headwater.policy.assigning import (
    Assignment,
    Book,
    Nobody,
    Suppressed,
    Verdict,
    is_done,
    lost_standing,
    route,
)
from headwater.policy.conditions import Lead
from headwater.policy.loading import load_policy
from headwater.policy.routing import Routing

DOCUMENT = load_policy(ROUTED)
WORK = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)
"""A Wednesday, one o'clock in Berlin."""
NIGHT = dt.datetime(2026, 3, 4, 22, tzinfo=dt.UTC)
AWAY = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
"""bea is away, ann covers for her."""


def routing() -> Routing:
    """Return the routing of the policy."""
    assert DOCUMENT.routing is not None
    return DOCUMENT.routing


def ask(now: dt.datetime = WORK, book: Book | None = None, **values: Any) -> Verdict:
    """Return who gets a lead of a form."""
    held = book or Book()
    return route(routing(), Lead("contact", values, "form"), held.loads, held.turns, now)


@pytest.mark.parametrize(
    ("values", "rule", "person"),
    [
        ({"country": "DE"}, "dach", "ann"),
        ({"country": "austria"}, "dach", "ann"),
        ({"country": "CH", "amount": 100_000}, "big", "ann"),
        ({"country": "US", "state": "California", "product": "pro"}, "west", "cid"),
        ({"country": "US", "state": "or", "product": "Pro"}, "west", "cid"),
        ({"country": "US", "state": "California", "product": "basic"}, "fallback", "cid"),
        ({"country": "US", "state": "Texas", "product": "pro"}, "fallback", "cid"),
        ({"country": "GB", "postal": "sw1a 1aa", "product": "pro"}, "west", "cid"),
        ({"country": "GB", "postal": "15X", "product": "pro"}, "west", "cid"),
        ({"country": "GB", "postal": "20X", "product": "pro"}, "fallback", "cid"),
        ({"email": "x@partner.example.com"}, "partners", "ann"),
        ({"country": "Atlantis", "email": None}, "fallback", "cid"),
        ({"amount": "a lot"}, "fallback", "cid"),
    ],
)
def test_the_first_rule_that_holds_decides(values: Mapping[str, Any], rule: str, person: str) -> None:
    """Territory by country, state or postal code, product, amount and expression; else the fallback."""
    found = ask(**values)
    assert isinstance(found, Assignment)
    assert (found.rule, found.person) == (rule, person)


def test_who_opted_out_or_lost_is_suppressed() -> None:
    """Before any rule is asked."""
    assert ask(country="DE", opt_out=True) == Suppressed("opted_out")
    assert ask(country="DE", stage="lost") == Suppressed("lost")
    assert is_done(routing(), Lead("contact", {"stage": "Won"}))
    assert not is_done(routing(), Lead("contact", {"stage": "open"}))


def test_the_fast_lane_looks_for_somebody_at_work() -> None:
    """At night a demo form from Germany goes to the pool that is awake; at noon, and by mail, to whoever's turn it is."""
    night, noon = ask(NIGHT, country="DE", channel="Demo form"), ask(WORK, country="DE", channel="Demo form")
    assert isinstance(night, Assignment)
    assert isinstance(noon, Assignment)
    assert (night.person, night.pool, night.lane) == ("cid", "world", "fast")
    assert (noon.person, noon.pool, noon.lane) == ("ann", "dach", "fast")
    slow = ask(NIGHT, country="DE", channel="newsletter")
    assert isinstance(slow, Assignment)
    assert (slow.person, slow.lane) == ("ann", "normal")


def test_whoever_covers_takes_the_turn_and_the_turn_goes_on() -> None:
    """The turn of bea is taken by ann while bea is away, and the next one is her own."""
    book = Book(turns={"dach": "ann"})
    found = ask(AWAY, book, country="DE")
    assert isinstance(found, Assignment)
    assert (found.person, found.turn) == ("ann", "bea")
    assert "covering bea" in found.reason
    assert "bea out of office" in found.reason
    book.enter(found)
    after = ask(AWAY, book, country="DE")
    assert isinstance(after, Assignment)
    assert (after.person, after.turn) == ("ann", "ann")


def test_whoever_covers_must_be_there_themselves() -> None:
    """With both away the turn goes on to another pool."""
    both = ROUTED.replace(
        "capacity: 40, hours: office}\n    bea",
        "capacity: 40, hours: office, out: [{from: 2026-03-10, until: 2026-03-10}]}\n    bea",
    )
    changed = load_policy(both).routing
    assert changed is not None
    found = route(changed, Lead("contact", {"country": "DE"}), {}, {"dach": "ann"}, AWAY)
    assert isinstance(found, Assignment)
    assert (found.person, found.pool) == ("cid", "world")


def test_a_full_pool_flows_over_and_the_last_one_lets_wait() -> None:
    """With ann and bea at capacity cid gets it; dag has no limit, so only without him somebody waits."""
    full = Book(Counter(ann=40, bea=40, cid=40))
    found = ask(WORK, full, country="DE")
    assert isinstance(found, Assignment)
    assert (found.person, found.pool) == ("dag", "world")
    assert "ann at capacity 40/40" in found.reason
    changed = load_policy(ROUTED.replace("dag: {role: sdr,", "dag: {role: sdr, active: false,")).routing
    assert changed is not None
    nobody = route(changed, Lead("contact", {"country": "DE"}), full.loads, full.turns, WORK)
    assert isinstance(nobody, Nobody)
    assert nobody.rule == "dach"
    assert "dag not active" in nobody.reason


def test_who_lost_their_standing() -> None:
    """Gone, not active, another role, no longer in the pool: said; unchanged: nothing."""
    assert lost_standing(routing(), "ann", "dach", "ae") == ""
    assert lost_standing(routing(), "ann", "", "ae") == ""
    assert "no longer among" in lost_standing(routing(), "eve", "dach", "ae")
    assert "sdr" in lost_standing(routing(), "ann", "dach", "sdr")
    assert "no longer in pool world" in lost_standing(routing(), "ann", "world", "ae")


ids = [f"p{number}" for number in range(6)]
people = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(
            {
                "capacity": st.none() | st.integers(0, 6),
                "active": st.sampled_from([True, True, True, False]),
                "out": st.sampled_from([[], [], [{"from": "2026-03-01", "until": "2026-03-05"}]]),
            }
        )
        for name in ids
    }
)


def team(
    given_people: Mapping[str, Any], pools: Mapping[str, Sequence[str]], overflow: str | None
) -> Routing:
    """Return a routing by product: pool one, pool two, and a fallback."""
    return Routing.model_validate(
        {
            "objects": {"lead": {"owner": "owner", "product": "product"}},
            "people": given_people,
            "pools": {
                name: {"members": list(members), "overflow": overflow if name == "one" else None}
                for name, members in pools.items()
            },
            "rules": [{"name": name, "when": {"product": [name]}, "pool": name} for name in ("one", "two")],
            "fallback": "last",
        }
    )


def run(
    rules: Routing, products: Sequence[str], now: dt.datetime = WORK
) -> tuple[list[tuple[str, Verdict]], Book]:
    """Give leads away, one after the other."""
    book, found = Book(), list[tuple[str, Verdict]]()
    for product in products:
        verdict = route(rules, Lead("lead", {"product": product}), book.loads, book.turns, now)
        if isinstance(verdict, Assignment):
            book.enter(verdict)
        found.append((product, verdict))
    return found, book


products = st.lists(st.sampled_from(["one", "two", "other"]), max_size=40)


@given(people, st.sampled_from([None, "two"]), products)
@settings(max_examples=150)
def test_nobody_is_overloaded_and_nobody_away_gets_one(
    given_people: Mapping[str, Any], overflow: str | None, leads: Sequence[str]
) -> None:
    """Loads stay within capacity, who is out or not active gets nothing, a lead waits only when nobody could take it."""
    rules = team(given_people, {"one": ids[:3], "two": ids[3:5], "last": ids[4:]}, overflow)
    found, book = run(rules, leads)
    for name, person in given_people.items():
        load = book.loads[name]
        assert person["capacity"] is None or load <= person["capacity"]
        assert not load or (person["active"] and not person["out"])
    for product, verdict in found:
        if isinstance(verdict, Nobody):
            reach = {"one": ids[:3] + (ids[3:] if overflow else ids[4:]), "two": ids[3:], "other": ids[4:]}
            assert all(
                not given_people[name]["active"]
                or given_people[name]["out"]
                or given_people[name]["capacity"] is not None
                for name in reach[product]
            )
    assert run(rules, leads)[0] == found


@given(st.integers(1, 6), st.integers(0, 40))
def test_turns_differ_by_one_at_most(members: int, leads: int) -> None:
    """While everybody can, nobody gets two more than another."""
    rules = team({name: {} for name in ids}, {"one": ids[:members], "two": ids, "last": ids}, None)
    _, book = run(rules, ["one"] * leads)
    counts = [book.loads[name] for name in ids[:members]]
    assert sum(counts) == leads
    assert max(counts) - min(counts) <= 1


@given(products, st.randoms(use_true_random=False))
def test_leads_outside_a_pool_change_nothing_in_it(leads: Sequence[str], chance: Any) -> None:
    """However the leads of other pools lie between them, those of a pool go to the same people."""
    rules = team(
        {name: {"capacity": 8} for name in ids}, {"one": ids[:3], "two": ids[3:5], "last": ids[5:]}, None
    )
    ours = [verdict for product, verdict in run(rules, leads)[0] if product == "one"]
    others = [product for product in leads if product != "one"]
    chance.shuffle(others)
    mixed = ["one"] * (len(leads) - len(others))
    for product in others:
        mixed.insert(chance.randint(0, len(mixed)), product)
    again = [verdict for product, verdict in run(rules, mixed)[0] if product == "one"]
    in_pool = [item for item in ours if isinstance(item, Assignment) and item.pool == "one"]
    assert [item for item in again if isinstance(item, Assignment) and item.pool == "one"] == in_pool
