"""No sliding window of a vendor is ever exceeded, and little of it is left unused."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sync.limit_model import MS, Model, Scene, Without, random_scene

from headwater.connectors.base import LimitFacts
from headwater.policy.account import Limits
from headwater.sync.domain.limiting import Granted, Limiter, Rules, WaitUntil, rules_of
from headwater.sync.domain.windows import NS_PER_S, WindowRule

CALLS = frozenset({"write", "read", "search", "auth"})
TEN_A_SECOND = WindowRule("calls", 10, NS_PER_S, CALLS)
SECOND_HELD = TEN_A_SECOND.held_ns + TEN_A_SECOND.grain_ns
SAFEGUARD_SCENES = 40


def limiter(*windows: WindowRule, concurrency: int = 64, **rules: object) -> Limiter:
    """Return a limiter of these windows."""
    given: dict[str, object] = {"costs": {}, "class_concurrency": {}, "lost_ns": 0, **rules}
    return Limiter(Rules(windows or (TEN_A_SECOND,), concurrency=concurrency, **given))  # type: ignore[arg-type]


def granted(of: Limiter, now_ns: int = 0, endpoint_class: str = "write", cost: int = 1) -> Granted:
    """Return a grant that there must be room for."""
    answer = of.reserve(now_ns, cost, endpoint_class)
    assert isinstance(answer, Granted)
    return answer


def answered(of: Limiter, grant: Granted, now_ns: int, status: int = 200, **facts: object) -> None:
    """Let the vendor answer."""
    of.answered(now_ns, grant)
    of.observe(now_ns, grant, status, LimitFacts(**facts))  # type: ignore[arg-type]
    of.ended(grant)


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_no_window_is_exceeded_whatever_happens(seed: int) -> None:
    """Random limits, costs, latencies, losses, crashes, hand-overs, zombies and headers: never one too many."""
    seen = Model(random_scene(random.Random(seed), 300), seed).run()
    assert (seen.over, seen.calls) == (0, 300)


@pytest.mark.parametrize(
    "without",
    [Without(answer=True), Without(pessimism=True), Without(lease=True), Without(books=True)],
    ids=["freed at the sending", "no pessimism after a crash", "no look at the lease", "no books"],
)
def test_each_safeguard_is_needed(without: Without) -> None:
    """The model sees a window exceeded as soon as one safeguard is gone."""
    seeds = range(SAFEGUARD_SCENES)
    over = (Model(random_scene(random.Random(seed), 1_000), seed, without).run().over for seed in seeds)
    assert any(over)


def test_nearly_all_of_the_allowance_is_used_over_hand_overs() -> None:
    """A saturated account of 100 calls in 10 s, handed over every few windows, loses less than 3 %."""
    rule = WindowRule("main", 100, 10 * NS_PER_S, CALLS)
    scene = Scene(Rules((rule,), {}, 16, {}, 0), 3_000, (MS, 100 * MS), 5 * NS_PER_S)
    seen = Model(replace(scene, life_ns=(5 * NS_PER_S, 30 * NS_PER_S)), 1).run()
    assert seen.over == 0
    assert seen.lives > 5
    assert seen.use["main"] > 0.97 * (1 - 1 / 31)  # the window before the first call is counted as allowed


def test_room_comes_back_one_window_after_the_answer() -> None:
    """Not after the sending: the call may have arrived just before its answer."""
    held = limiter()
    first = granted(held)
    for _ in range(9):
        granted(held)
    assert held.reserve(0, 1, "write") == WaitUntil(None, frozenset({0}))
    held.answered(700 * MS, first)
    waiting = held.reserve(NS_PER_S, 1, "write")
    assert isinstance(waiting, WaitUntil)
    assert waiting.time_ns is not None
    assert 700 * MS + NS_PER_S < waiting.time_ns <= 700 * MS + SECOND_HELD
    assert isinstance(held.reserve(waiting.time_ns, 1, "write"), Granted)


def test_a_lost_call_is_held_for_as_long_as_it_may_still_arrive() -> None:
    """Giving up is no arrival."""
    held = limiter(WindowRule("calls", 1, NS_PER_S, CALLS), lost_ns=5 * NS_PER_S)
    held.lost(NS_PER_S, granted(held))
    assert isinstance(held.reserve(6 * NS_PER_S, 1, "write"), WaitUntil)
    assert isinstance(held.reserve(7 * NS_PER_S + 10 * MS, 1, "write"), Granted)


def test_a_window_counts_only_its_classes_and_tokens_by_cost() -> None:
    """Pipedrive: a search costs more, and has a window of its own besides."""
    tokens = WindowRule("tokens", 100, 2 * NS_PER_S, CALLS, tokens=True)
    searches = WindowRule("searches", 2, 2 * NS_PER_S, frozenset({"search"}))
    held = limiter(tokens, searches)
    granted(held, endpoint_class="search", cost=40)
    granted(held, endpoint_class="search", cost=40)
    assert held.reserve(0, 1, "search") == WaitUntil(None, frozenset({1}))
    granted(held, cost=10)
    granted(held, cost=10)
    assert held.reserve(0, 1, "write") == WaitUntil(None, frozenset({0}))


def test_a_class_may_have_a_cap_that_lost_calls_count_for() -> None:
    """Salesforce ends no long call because we stopped waiting for it."""
    held = limiter(class_concurrency={"write": 2}, lost_ns=3 * NS_PER_S)
    held.lost(0, granted(held))
    second = granted(held)
    assert held.reserve(0, 1, "write") == WaitUntil(3 * NS_PER_S)
    granted(held, endpoint_class="read")
    answered(held, second, MS)
    granted(held, MS)
    assert isinstance(held.reserve(3 * NS_PER_S, 1, "write"), Granted)


def test_a_grant_given_back_leaves_nothing_behind() -> None:
    """A call that was never sent uses neither a window nor a place."""
    held = limiter(concurrency=1)
    held.give_back(granted(held))
    assert (held.logs[0].own, held.logs[0].open) == (0, 0)
    granted(held)


def test_after_too_many_nothing_goes_for_as_long_as_the_vendor_says() -> None:
    """Retry-After is obeyed to the nanosecond."""
    held = limiter()
    answered(held, granted(held), 0, 429, retry_after_s=7.5)
    assert held.reserve(7 * NS_PER_S, 1, "read") == WaitUntil(7_500 * MS)
    granted(held, 7_500 * MS)


def test_a_storm_of_too_many_counts_once_and_further_ones_double_the_pause() -> None:
    """Eight answers to one burst are one sign; the next one after the pause is another."""
    held = limiter()
    burst = [granted(held) for _ in range(8)]
    for grant in burst:
        answered(held, grant, 0, 429)
    assert held.pauses["write"] == NS_PER_S
    answered(held, granted(held, 3 * NS_PER_S), 3 * NS_PER_S, 429)
    assert held.pauses["write"] == 5 * NS_PER_S


def test_after_a_pause_calls_begin_one_by_one_and_double() -> None:
    """No herd stampedes at the moment a pause ends."""
    held = limiter(WindowRule("calls", 1_000, NS_PER_S, CALLS))
    answered(held, granted(held), 0, 429, retry_after_s=1)
    sizes = []
    for number in range(1, 8):
        now, flying = number * 2 * NS_PER_S, []
        while isinstance(grant := held.reserve(now, 1, "write"), Granted):
            flying.append(grant)
        sizes.append(len(flying))
        for grant in flying[:1]:
            answered(held, grant, now)
        for grant in flying[1:]:
            held.lost(now, grant)
    assert sizes == [1, 2, 4, 8, 16, 32, 64]


def test_too_many_searches_do_not_stop_writes_that_share_no_window() -> None:
    """HubSpot's search limit is its own."""
    held = limiter(
        WindowRule("writes", 10, NS_PER_S, frozenset({"write", "read"})),
        WindowRule("searches", 5, NS_PER_S, frozenset({"search"})),
    )
    answered(held, granted(held, endpoint_class="search"), 0, 429)
    assert isinstance(held.reserve(0, 1, "search"), WaitUntil)
    granted(held)


def test_what_others_use_is_learned_from_headers() -> None:
    """The vendor has 4 left where we used 1: five are others', and gone for a window."""
    held = limiter()
    answered(held, granted(held), 0, window_remaining=4, window_s=1.0)
    assert held.logs[0].foreign == 5
    for _ in range(4):
        granted(held)
    assert isinstance(held.reserve(0, 1, "write"), WaitUntil)
    assert isinstance(held.reserve(SECOND_HELD, 1, "write"), Granted)


def test_headers_about_our_own_calls_change_nothing() -> None:
    """An answer that is late tells of calls that left our window meanwhile: they are nobody else's."""
    held = limiter()
    early = [granted(held) for _ in range(5)]
    for grant in early:
        answered(held, grant, 0)
    late = granted(held, 990 * MS)
    answered(held, late, 1_100 * MS, window_remaining=4, window_s=1.0)
    assert held.logs[0].foreign == 0


def test_the_vendors_own_limit_counts_where_it_is_lower() -> None:
    """A downgraded account is noticed by its headers."""
    held = limiter()
    answered(held, granted(held), 0, window_remaining=2, window_s=1.0, window_limit=3)
    granted(held)
    granted(held)
    assert isinstance(held.reserve(0, 1, "write"), WaitUntil)


def test_an_older_waiters_window_is_closed_to_the_younger() -> None:
    """A dear call is not starved by cheap ones."""
    held = limiter()
    assert held.reserve(0, 1, "read", spared={0}) == WaitUntil(None, frozenset({0}))


def test_rules_name_their_windows_by_what_they_count() -> None:
    """The name outlives a change of the limit, so that the books are still theirs."""
    limits = Limits.model_validate(
        {
            "window": {"calls": 100, "window_s": 10},
            "windows": [{"tokens": 80, "window_s": 2, "classes": ["write", "read"]}],
            "costs": {"write": 10},
        }
    )
    rules = rules_of(limits)
    assert [rule.key for rule in rules.windows] == ["calls/10s/all", "tokens/2s/read+write"]
    assert (rules.cost("write"), rules.cost("read")) == (10, 1)
