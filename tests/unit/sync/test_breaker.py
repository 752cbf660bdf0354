"""The breakers under any order of calls of several workers, failures, waits and restarts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from tests.unit.sync.tenant import NOON, moment

from headwater.connectors.base import ErrorClass
from headwater.policy.account import Breaker
from headwater.sync.domain import breaker
from headwater.sync.domain.breaker import (
    ACCOUNT,
    ALL_CLOSED,
    COUNTABLE,
    UNANSWERED,
    Breakers,
    BreakerState,
    Forced,
    Scope,
)

POLICY = Breaker(failures=3, hold_s=10, hold_s_max=35)
HARMLESS = sorted(set(ErrorClass) - COUNTABLE)
CLASSES: Final = ("write", "read", "search")


@dataclass(frozen=True, slots=True)
class Call:
    """A call under way.

    Args:
        probe: it is the one that an open breaker let through.
    """

    endpoint_class: str
    start_time: dt.datetime
    probe: bool


class BreakerMachine(RuleBasedStateMachine):
    """An account as several slots use its breakers: calls overlap, end in any order, or are lost."""

    calls: Bundle[Call] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.state: Breakers = ALL_CLOSED
        self.now = NOON
        self.probing: dict[str, Call] = {}
        self.closed_since: dict[str, dt.datetime] = {}

    @initialize(scope=st.sampled_from(["account", "endpoint"]))
    def open_account(self, scope: Scope) -> None:
        """The account has one breaker, or one per class."""
        self.state = breaker.taken_over(ALL_CLOSED, scope, self.now)

    @rule(seconds=st.floats(0.001, 60))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += dt.timedelta(seconds=seconds)

    @rule(target=calls, endpoint_class=st.sampled_from(CLASSES))
    def start(self, endpoint_class: str) -> Any:
        """A worker asks; what it may not start it does not."""
        key = self.state.key_of(endpoint_class)
        held = self.state.of(endpoint_class)
        self.state, got = breaker.start_probe(self.state, endpoint_class, self.now)
        if got:
            assert key not in self.probing, "a second probe at a time"
            assert held.probe_time is not None
            assert held.probe_time <= self.now, "a probe before the hold is over"
        elif breaker.permit(self.state, endpoint_class, self.now).calls != "all":
            return multiple()  # nothing started
        else:
            assert held.probe_time is None, "a call started while open"
        call = Call(endpoint_class, self.now, probe=got)
        if got:
            self.probing[key] = call
        return call

    @rule(call=consumes(calls))
    def answer(self, call: Call) -> None:
        """A call is answered: the probe's closes, a late one changes nothing while open."""
        before = self.state.of(call.endpoint_class)
        self.state = breaker.succeeded(self.state, call.endpoint_class, call.start_time, self.now)
        after = self.state.of(call.endpoint_class)
        if call.probe and self.owns(call):
            assert after.idle
            self.closed_since[self.state.key_of(call.endpoint_class)] = call.start_time
        elif before.probe_time is not None:
            assert after == before, "a late success closed or changed an open breaker"
        self.finish(call)

    @rule(call=consumes(calls), error_class=st.sampled_from(sorted(COUNTABLE)))
    def fail(self, call: Call, error_class: ErrorClass) -> None:
        """A call fails: the probe's reopens for longer, a late one does not lengthen the hold."""
        before = self.state.of(call.endpoint_class)
        self.state = breaker.failed(
            self.state, call.endpoint_class, error_class, POLICY, call.start_time, self.now
        )
        after = self.state.of(call.endpoint_class)
        if call.probe and self.owns(call):
            assert after.name(self.now) == "open"
            assert after.hold_s == min(POLICY.hold_s_max, max(POLICY.hold_s, before.hold_s * 2))
        elif before.probe_time is not None:
            assert after == before, "a late failure lengthened the hold"
        elif call.start_time < self.closed_since.get(self.state.key_of(call.endpoint_class), NOON):
            assert after == before, "a failure from before the opening counted after the close"
        elif after.probe_time is not None:
            assert before.failures == POLICY.failures - 1
            assert after.hold_s == POLICY.hold_s
        self.finish(call)

    @rule(call=consumes(calls), error_class=st.sampled_from(HARMLESS))
    def refuse(self, call: Call, error_class: ErrorClass) -> None:
        """A refusal never counts; a probe that was refused for its data shows that the vendor is there."""
        before = self.state.of(call.endpoint_class)
        self.state = breaker.failed(
            self.state, call.endpoint_class, error_class, POLICY, call.start_time, self.now
        )
        after = self.state.of(call.endpoint_class)
        if call.probe and self.owns(call) and error_class not in UNANSWERED:
            assert after.idle
        else:
            assert after == before
        self.finish(call)

    @rule(call=consumes(calls))
    def give_up(self, call: Call) -> None:
        """A worker ends without a call: the next one probes."""
        self.finish(call)

    @rule()
    def restart(self) -> None:
        """A successor takes the breakers over: open stays open, a probe under way is forgotten."""
        before = self.state
        stored = breaker.from_json(before.as_json())
        self.state = breaker.taken_over(stored, before.scope, self.now)
        self.probing.clear()
        for key, one in before.by_key.items():
            assert self.state.by_key[key].probe_time == one.probe_time
            assert self.state.by_key[key].failures == one.failures

    @invariant()
    def open_means_no_call(self) -> None:
        """While open nothing may start, and the hold is never above its cap."""
        for endpoint_class in CLASSES:
            held = self.state.of(endpoint_class)
            permit = breaker.permit(self.state, endpoint_class, self.now)
            assert held.hold_s <= POLICY.hold_s_max
            if held.name(self.now) == "open":
                assert permit.calls == "none"
                assert permit.wait_s is not None
                assert 0 < permit.wait_s <= POLICY.hold_s_max
            if self.state.key_of(endpoint_class) in self.probing:
                assert permit.calls != "probe", "a second probe is offered"

    def owns(self, call: Call) -> bool:
        """Return whether *call* is the probe under way."""
        return self.probing.get(self.state.key_of(call.endpoint_class)) == call

    def finish(self, call: Call) -> None:
        """End the round of a call; only the owner of the probe gives it back."""
        if self.owns(call):
            self.state = breaker.end_probe(self.state, call.endpoint_class)
            del self.probing[self.state.key_of(call.endpoint_class)]


TestBreaker = BreakerMachine.TestCase


def opened(scope: Scope = "account", endpoint_class: str = "write") -> Breakers:
    """Return breakers of which one has just opened, at noon."""
    state = Breakers(scope)
    for _ in range(POLICY.failures):
        state = breaker.failed(state, endpoint_class, ErrorClass.SERVER, POLICY, NOON, NOON)
    assert state.of(endpoint_class).name(NOON) == "open"
    return state


def test_the_usual_policy_opens_after_five_failures_for_a_minute() -> None:
    """5 consecutive countable failures, 60 s, then one probe."""
    usual, state = Breaker(), ALL_CLOSED
    for number in range(5):
        assert breaker.permit(state, "write", NOON).calls == "all", number
        state = breaker.failed(state, "write", ErrorClass.TIMEOUT, usual, NOON, NOON)
    assert breaker.permit(state, "write", moment(59.9)).calls == "none"
    assert breaker.permit(state, "write", moment(60)).calls == "probe"


@pytest.mark.parametrize("error_class", HARMLESS)
def test_what_says_nothing_of_the_vendor_never_opens(error_class: ErrorClass) -> None:
    """Rate limits and refused records may come without end."""
    state = ALL_CLOSED
    for _ in range(100):
        state = breaker.failed(state, "write", error_class, POLICY, NOON, NOON)
    assert state == ALL_CLOSED


def test_countable_are_the_failures_of_the_vendor_and_the_way_to_it() -> None:
    """Timeouts, the network, the server, lost answers and refused tokens count; nothing else."""
    assert {one.value for one in COUNTABLE} == {"timeout", "network", "server", "in_doubt", "auth"}


def test_a_success_between_failures_starts_the_count_anew() -> None:
    """Only failures in a row open."""
    state = ALL_CLOSED
    for _ in range(10):
        for _ in range(POLICY.failures - 1):
            state = breaker.failed(state, "write", ErrorClass.SERVER, POLICY, NOON, NOON)
        state = breaker.succeeded(state, "write", NOON, NOON)
    assert state.of("write").idle


def test_the_hold_grows_to_its_cap_and_starts_anew_after_a_close() -> None:
    """Failed probes double the hold until the cap; a probe that succeeds brings the first hold back."""
    state, holds, now = opened(), [], NOON
    for _ in range(4):
        held = state.of("write")
        assert held.probe_time is not None
        holds.append(held.hold_s)
        now = held.probe_time
        state, got = breaker.start_probe(state, "write", now)
        assert got
        state = breaker.failed(state, "write", ErrorClass.SERVER, POLICY, now, now)
    assert holds == [10, 20, 35, 35]
    now = state.of("write").probe_time or now
    state, _ = breaker.start_probe(state, "write", now)
    state = breaker.succeeded(state, "write", now, now)
    for _ in range(POLICY.failures):
        state = breaker.failed(state, "write", ErrorClass.SERVER, POLICY, now, now)
    assert state.of("write").hold_s == 10


def test_the_first_hold_is_capped_too() -> None:
    """A policy whose hold is above its cap is held to the cap."""
    short = Breaker(failures=1, hold_s=50, hold_s_max=5)
    state = breaker.failed(ALL_CLOSED, "write", ErrorClass.AUTH, short, NOON, NOON).of("write")
    assert (state.hold_s, state.probe_time) == (5, moment(5))


def test_only_one_of_many_workers_gets_the_probe() -> None:
    """Ten ask at once: one is told yes, nine are told to wait for nobody knows how long."""
    state, got = opened(), []
    for _ in range(10):
        state, mine = breaker.start_probe(state, "write", moment(10))
        got.append(mine)
    assert got == [True] + [False] * 9
    assert breaker.permit(state, "write", moment(10)) == breaker.Permit("none", None)


def test_calls_under_way_when_it_opened_change_nothing() -> None:
    """Told apart by their start: neither a late failure nor a late success counts, before or in the probe."""
    state = opened()
    for now in (moment(5), moment(12)):
        assert breaker.failed(state, "write", ErrorClass.SERVER, POLICY, moment(-1), now) == state
        assert breaker.succeeded(state, "write", moment(-1), now) == state
        state, _ = breaker.start_probe(state, "write", moment(11))


def test_a_call_from_before_the_opening_does_not_count_after_the_close() -> None:
    """Its failure tells of the outage that is over."""
    state, _ = breaker.start_probe(opened(), "write", moment(10))
    state = breaker.succeeded(state, "write", moment(10), moment(11))
    late = breaker.failed(state, "write", ErrorClass.SERVER, POLICY, moment(-1), moment(12))
    assert late.of("write").failures == 0
    fresh = breaker.failed(state, "write", ErrorClass.SERVER, POLICY, moment(11), moment(12))
    assert fresh.of("write").failures == 1


def test_endpoints_fail_alone_where_the_vendor_fails_by_endpoint() -> None:
    """Writes are held, look-ups are not; searches count as reads, and tokens may be refreshed for them."""
    state = opened("endpoint")
    assert breaker.permit(state, "write", NOON).calls == "none"
    assert breaker.permit(state, "read", NOON).calls == "all"
    state = opened("endpoint", "search")
    assert breaker.permit(state, "read", NOON).calls == "none"
    assert breaker.permit(opened(), "read", NOON).calls == "none"


def test_forced_open_holds_until_its_time_and_learns_nothing() -> None:
    """No call starts, no result counts; then the breaker stands where it stood."""
    forced = Breakers(forced=Forced("open", moment(30), "maintenance", "operator-1"))
    assert breaker.permit(forced, "write", moment(29)) == breaker.Permit("none", 1.0)
    assert breaker.permit(forced, "write", moment(30)).calls == "all"
    assert breaker.start_probe(forced, "write", moment(5)) == (forced, False)
    assert breaker.failed(forced, "write", ErrorClass.SERVER, POLICY, NOON, moment(1)) == forced
    assert (forced.name(moment(29)), forced.name(moment(30))) == ("open", "closed")
    for_ever = Breakers(forced=Forced("open"))
    assert breaker.permit(for_ever, "write", moment(10**6)) == breaker.Permit("none", None)


def test_forced_closed_lets_everything_through_and_counts_nothing() -> None:
    """An open breaker lets all calls start, and failures do not open it again."""
    by_key = opened().by_key
    forced = Breakers(by_key=by_key, forced=Forced("closed"))
    assert breaker.permit(forced, "write", NOON).calls == "all"
    for _ in range(100):
        forced = breaker.failed(forced, "write", ErrorClass.SERVER, POLICY, NOON, NOON)
    assert (forced.by_key, forced.name(NOON)) == (by_key, "closed")


def test_stored_breakers_are_read_back_with_the_order() -> None:
    """What is stored is what is read, the probe under way excepted; nothing stored means closed."""
    order = Forced("closed", moment(5), "why", "who")
    state, _ = breaker.start_probe(opened("endpoint"), "write", moment(10))
    stored = Breakers("endpoint", state.by_key, order).as_json()
    assert breaker.from_json(stored) == Breakers("endpoint", opened("endpoint").by_key, order)
    assert breaker.from_json({}) == ALL_CLOSED


def test_no_hold_outlasts_its_own_length_for_a_successor() -> None:
    """The clock of the one who opened it may have been an hour ahead."""
    ahead = BreakerState(5, 60.0, probe_time=moment(3660), since_time=moment(3600))
    taken = breaker.taken_over(Breakers(by_key={ACCOUNT: ahead}), "account", NOON).of("write")
    assert (taken.probe_time, taken.since_time) == (moment(60), NOON)


@pytest.mark.parametrize("scopes", [("account", "endpoint"), ("endpoint", "account")])
def test_an_open_breaker_stays_open_when_the_scope_changes(scopes: tuple[Scope, Scope]) -> None:
    """A new policy is no reason to call a vendor that is down."""
    taken = breaker.taken_over(opened(scopes[0]), scopes[1], NOON)
    assert {breaker.permit(taken, name, NOON).calls for name in CLASSES} == {"none"}
