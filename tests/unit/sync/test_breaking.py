"""The account's breaker between slots, gate and store."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from tests.unit.sync.tenant import NOON, moment

from headwater.connectors.base import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.testing import RecordedCall, RecordingGate
from headwater.connectors.hubspot import VENDOR as HUBSPOT
from headwater.kernel.clock import SteppedClock
from headwater.kernel.telemetry import Spans
from headwater.policy.account import Breaker
from headwater.sync.delivery.breaking import AccountBreaker, scope_of
from headwater.sync.delivery.guard import Guard, GuardedGate
from headwater.sync.domain.breaker import Breakers, Forced
from headwater.sync.domain.settling import ConnectorState

pytestmark = pytest.mark.anyio

POLICY = Breaker(failures=3, hold_s=10, hold_s_max=35)
DOWN = VendorError(ErrorClass.SERVER, "HTTP_503", "down")


@dataclass(slots=True)
class Account:
    """An account's breaker under a clock and a loop that move when told."""

    clock: SteppedClock
    loop_s: list[float]
    guard: AccountBreaker

    def advance(self, seconds: float) -> None:
        """Let loop time go by."""
        self.loop_s[0] += seconds

    def open(self) -> None:
        """Fail until it opens."""
        for _ in range(POLICY.failures):
            self.guard.failed("write", self.guard.now(), DOWN)

    def opens(self, stored: ConnectorState) -> AccountBreaker:
        """Return the breaker of a successor."""
        guard = AccountBreaker("crm", POLICY, "account", self.clock, spans(), lambda: self.loop_s[0])
        guard.take(stored)
        return guard


def spans() -> Spans:
    """Return spans that go nowhere."""
    return Spans.off()


def account() -> Account:
    """Return an account whose breaker is closed, at noon."""
    clock, loop_s = SteppedClock(NOON), [100.0]
    guard = AccountBreaker("crm", POLICY, "account", clock, spans(), lambda: loop_s[0])
    guard.take(ConnectorState())
    return Account(clock, loop_s, guard)


def whole(held: Account) -> Guard:
    """Return the guard of an account with nothing but its breaker to obey."""
    gate: Any = Unpaused()
    store: Any = Store()
    return Guard("crm", store, gate, held.guard, held.clock, random.Random(1), lambda: True)


class Admitting(RecordingGate):
    """Lets every call pass that is admitted."""

    def call(
        self,
        method: str,
        url_template: str,
        *,
        endpoint_class: str,
        resend_count: int = 0,
        admit: Callable[[], None] = lambda: None,
    ) -> AbstractAsyncContextManager[RecordedCall]:
        """Permit the call."""
        admit()
        return super().call(method, url_template, endpoint_class=endpoint_class, resend_count=resend_count)


class Unpaused:
    """A gate whose vendor has asked for no pause."""

    def pause_s(self) -> float:
        """Return no pause."""
        return 0.0


@dataclass(slots=True)
class Store:
    """Remembers what was saved."""

    saved: list[tuple[Breakers, int]] = field(default_factory=list)

    async def write_breaker(self, state: Breakers, generation: int) -> None:
        """Take it."""
        await anyio.lowlevel.checkpoint()
        self.saved.append((state, generation))


async def test_no_call_passes_the_gate_while_open_save_the_probe() -> None:
    """Calls of the probing round pass, those of other slots do not, whatever they were promised before."""
    held = account()
    inner = Admitting()
    gate = GuardedGate(inner, whole(held))

    async def call(endpoint_class: str = "write") -> str:
        try:
            async with gate.call("POST", "/x", endpoint_class=endpoint_class):
                return "started"
        except CallFailed as failed:
            return f"{failed.error.error_class.value} {failed.error.retry_after_s:g}"

    assert await call() == "started"
    held.open()
    assert await call() == "held 10"
    held.advance(10)
    assert await call() == "held 1", "half open: somebody has to take the probe"
    results: dict[str, str] = {}

    async def slot(name: str) -> None:
        with held.guard.round("write") as permit:
            if permit.calls == "probe":
                await anyio.lowlevel.checkpoint()
                results[name] = await call("auth") + " " + await call()
            else:
                results[name] = await call()

    async with anyio.create_task_group() as slots:
        for name in "abcd":
            slots.start_soon(slot, name)
    assert sorted(results.values()) == ["held 1", "held 1", "held 1", "started started"]
    assert len(inner.calls) == 3


async def test_a_call_that_waited_for_the_limiter_is_held_when_it_opened_meanwhile() -> None:
    """The last check is right before the call starts."""
    held = account()
    started: list[str] = []

    class Slow:
        """A limiter behind whose wait the breaker opens."""

        @asynccontextmanager
        async def call(
            self,
            method: str,
            url_template: str,
            *,
            endpoint_class: str,
            resend_count: int = 0,
            admit: Callable[[], None],
        ) -> AsyncIterator[Any]:
            """Let the breaker open before permission is given."""
            del method, url_template, endpoint_class, resend_count
            await anyio.lowlevel.checkpoint()
            held.open()
            admit()
            yield None

    with pytest.raises(CallFailed) as failed:
        async with GuardedGate(Slow(), whole(held)).call("POST", "/x", endpoint_class="write"):
            started.append("call")
    assert (failed.value.error.error_class, started) == (ErrorClass.HELD, [])


async def test_a_task_that_a_probe_has_started_belongs_to_it() -> None:
    """A probe's round may do its work side by side."""
    held = account()
    held.open()
    held.advance(10)
    with held.guard.round("write"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_admitted, held.guard.admit)


async def _admitted(admit: Callable[[str], None]) -> None:
    admit("write")
    await anyio.lowlevel.checkpoint()


async def test_a_probe_that_has_failed_starts_nothing_more() -> None:
    """The rest of its round is held like any other call."""
    held = account()
    held.open()
    held.advance(10)
    with held.guard.round("write") as permit:
        assert permit.calls == "probe"
        held.guard.failed("write", held.guard.now(), DOWN)
        with pytest.raises(CallFailed, match="held"):
            held.guard.admit("write")
    assert held.guard.permit("write").wait_s == 20


async def test_a_round_that_proved_nothing_leaves_the_probe_to_the_next() -> None:
    """Also when it ends by an error."""
    held = account()
    held.open()
    held.advance(10)

    def give_up() -> None:
        with held.guard.round("write"):
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    with held.guard.round("write") as permit:
        assert permit.calls == "probe"


async def test_jumps_of_the_wall_clock_neither_lengthen_nor_end_a_hold() -> None:
    """An hour forward or back: ten seconds of the loop are ten seconds."""
    for jump_s in (3600.0, -3600.0):
        held = account()
        held.open()
        held.clock.advance(jump_s)
        held.advance(9)
        assert held.guard.permit("write").calls == "none"
        held.advance(1)
        assert held.guard.permit("write").calls == "probe"


async def test_only_changes_are_saved_and_a_failed_save_is_made_good() -> None:
    """A healthy account writes nothing; each change is written once."""
    held, store = account(), Store()
    held.guard.succeeded("write", held.guard.now())
    await held.guard.save(store)
    assert store.saved == []
    held.guard.failed("write", held.guard.now(), DOWN)
    for _ in range(2):
        await held.guard.save(store)
    assert [(state.of("write").failures, generation) for state, generation in store.saved] == [(1, 0)]


class Overtaking(Store):
    """A store in which a write that begins later is done earlier."""

    async def write_breaker(self, state: Breakers, generation: int) -> None:
        """Take it: the first one only once everybody else has done what they can."""
        if not self.saved:
            await anyio.wait_all_tasks_blocked()
        await super().write_breaker(state, generation)


async def test_the_state_that_stands_is_the_last_though_two_slots_save_at_once() -> None:
    """Else an account begun anew would take over a breaker that is not open yet."""
    held, store = account(), Overtaking()
    async with anyio.create_task_group() as tasks:
        held.guard.failed("write", held.guard.now(), DOWN)
        tasks.start_soon(held.guard.save, store)
        await anyio.lowlevel.checkpoint()
        held.open()
        tasks.start_soon(held.guard.save, store)
    assert store.saved[-1][0].of("write").probe_time is not None


async def test_an_order_replaces_what_the_actor_remembers_and_nothing_else_does() -> None:
    """A higher generation is taken over; the same one is what the actor itself has written, or older."""
    held = account()
    held.open()
    held.guard.take(ConnectorState(breaker_generation=0))
    assert held.guard.permit("write").calls == "none"
    held.guard.take(ConnectorState(breaker_generation=1))
    assert held.guard.permit("write").calls == "all"
    forced = Breakers(forced=Forced("open", moment(60)))
    held.guard.take(ConnectorState(breaker=forced, breaker_generation=2))
    assert held.guard.permit("write").wait_s == 60


async def test_an_open_breaker_stays_open_for_a_successor() -> None:
    """It waits for the rest of the hold, and probes."""
    held, store = account(), Store()
    held.open()
    await held.guard.save(store)
    ((state, _),) = store.saved
    held.clock.advance(4)
    held.advance(4)
    successor = held.opens(ConnectorState(breaker=state))
    assert successor.permit("write").wait_s == pytest.approx(6)
    held.advance(6)
    assert successor.permit("write").calls == "probe"


async def test_a_probe_dies_with_its_owner() -> None:
    """The successor probes again at once."""
    held, store = account(), Store()
    held.open()
    held.advance(10)
    held.clock.advance(10)
    with held.guard.round("write"):
        await held.guard.save(store)
        ((state, _),) = store.saved
        assert held.guard.permit("write").calls == "none"
        assert held.opens(ConnectorState(breaker=state)).permit("write").calls == "probe"


def test_the_scope_is_the_vendors_unless_the_policy_says_otherwise() -> None:
    """Both vendors connected today fail as a whole."""
    assert scope_of(Breaker(), HUBSPOT) == "account"
    assert scope_of(Breaker(scope="endpoint"), HUBSPOT) == "endpoint"


def test_start_times_are_steady() -> None:
    """What a call started at is wall time plus what the loop has counted."""
    held = account()
    held.advance(2.5)
    assert held.guard.now() == NOON + dt.timedelta(seconds=2.5)
