"""The breaker under any sequence of calls, failures and waits."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.sync.tenant import NOON, moment

from headwater.connectors.base import ErrorClass
from headwater.policy.document import Breaker
from headwater.sync.domain import breaker
from headwater.sync.domain.breaker import CLOSED, COUNTABLE, BreakerState

POLICY = Breaker(failures=3, hold_s=10, hold_s_max=35)
HARMLESS = sorted(set(ErrorClass) - COUNTABLE)


class BreakerMachine(RuleBasedStateMachine):
    """An account as its actor uses the breaker: one round after another."""

    def __init__(self) -> None:
        super().__init__()
        self.state = CLOSED
        self.now = NOON
        self.in_row = 0

    def start(self) -> bool:
        """Ask for permission; note the probe."""
        calls = breaker.permit(self.state, self.now).calls
        if calls == "probe":
            self.state = breaker.start_probe(self.state)
            assert breaker.permit(self.state, self.now).calls == "none", "a second probe"
        return calls != "none"

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += dt.timedelta(seconds=seconds)

    @rule()
    def succeed(self) -> None:
        """A permitted call succeeds: the breaker is closed, all is forgotten."""
        if self.start():
            self.state = breaker.end_probe(breaker.succeeded(self.state))
            assert self.state == CLOSED
            self.in_row = 0

    @rule(error_class=st.sampled_from(sorted(COUNTABLE)))
    def fail(self, error_class: ErrorClass) -> None:
        """A permitted call fails: the breaker opens at the limit, and again after a failed probe."""
        if not self.start():
            return
        before = self.state
        self.state = breaker.end_probe(breaker.failed(self.state, error_class, POLICY, self.now))
        self.in_row += 1
        opens = before.probe_time is not None or self.in_row >= POLICY.failures
        assert (self.state.name(self.now) == "open") is opens
        if before.probe_time is not None:
            assert self.state.hold_s == min(POLICY.hold_s_max, before.hold_s * 2)

    @rule(error_class=st.sampled_from(HARMLESS))
    def refuse(self, error_class: ErrorClass) -> None:
        """A refused record or a rate limit never counts, and a probe that was answered closes."""
        if self.start():
            probing = self.state.probing
            after = breaker.failed(self.state, error_class, POLICY, self.now)
            assert after == (CLOSED if probing else self.state)
            self.in_row = 0 if probing else self.in_row
            self.state = breaker.end_probe(after)

    @rule()
    def probe_without_a_call(self) -> None:
        """A round that made no call leaves the next one to probe."""
        if self.start():
            self.state = breaker.end_probe(self.state)

    @precondition(lambda self: self.state.probe_time is not None)
    @rule()
    def restart(self) -> None:
        """A restart takes the breaker over from the store."""
        self.state = breaker.from_json(self.state.as_json())

    @invariant()
    def nothing_starts_while_open(self) -> None:
        """Open means no call, with the time of the probe known."""
        permit = breaker.permit(self.state, self.now)
        if self.state.name(self.now) == "open":
            assert permit.calls == "none"
            assert 0 < permit.wait_s <= POLICY.hold_s_max
        assert self.state.hold_s <= POLICY.hold_s_max


TestBreaker = BreakerMachine.TestCase


@pytest.mark.parametrize("error_class", HARMLESS)
def test_what_says_nothing_of_the_vendor_never_opens(error_class: ErrorClass) -> None:
    """Rate limits and refused records may come without end."""
    state = CLOSED
    for _ in range(100):
        state = breaker.failed(state, error_class, POLICY, NOON)
    assert state == CLOSED


def test_the_hold_grows_to_its_cap() -> None:
    """Failed probes double the hold until the cap."""
    state, holds, now = CLOSED, [], NOON
    for _ in range(POLICY.failures):
        state = breaker.failed(state, ErrorClass.SERVER, POLICY, now)
    for _ in range(4):
        assert state.probe_time is not None
        holds.append(state.hold_s)
        now = state.probe_time
        state = breaker.failed(breaker.start_probe(state), ErrorClass.SERVER, POLICY, now)
    assert holds == [10, 20, 35, 35]


def test_the_first_hold_is_capped_too() -> None:
    """A policy whose hold is above its cap is held to the cap."""
    state = breaker.failed(CLOSED, ErrorClass.AUTH, Breaker(failures=1, hold_s=50, hold_s_max=5), NOON)
    assert (state.hold_s, state.probe_time) == (5, moment(5))


def test_failures_of_calls_under_way_when_it_opened_do_not_prolong_the_hold() -> None:
    """Stragglers count, but only a probe may reopen."""
    opened = BreakerState(3, 10, moment(10))
    late = breaker.failed(opened, ErrorClass.NETWORK, POLICY, moment(5))
    assert (late.failures, late.probe_time) == (4, moment(10))


def test_a_stored_breaker_is_read_back() -> None:
    """What is stored is what is read; nothing stored means closed."""
    state = BreakerState(4, 20.0, moment(20))
    assert breaker.from_json(state.as_json()) == state
    assert breaker.from_json({}) == CLOSED
