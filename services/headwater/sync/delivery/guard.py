"""Whether an account's calls may start: breaker, pause, vendor's wish and lease, asked in one place.

Owns the breaker's state while the actor runs. Every HTTP call passes the `GuardedGate`, so nothing
starts while the breaker is open, save the probe, nor after the lease may have lapsed.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from headwater.connectors.base import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.port import CallTicket
from headwater.kernel.clock import Clock
from headwater.policy.opening import Schedules, Standing, standing_of
from headwater.sync.delivery.breaking import AccountBreaker
from headwater.sync.delivery.gate import AccountGate
from headwater.sync.delivery.racing import again_when_raced
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import ConnectorState
from headwater.sync.ports import Deliveries

WITHHELD: Final = "WITHHELD"
"""Code of a call that was not made: nothing was tried, and nothing is known of the vendor by it."""
PAUSED_S: Final = 10.0
"""How long a paused account waits for an order that it was not told of."""
LAPSED_S: Final = 1.0
"""How long an actor whose lease may have lapsed waits to be told."""
UNKNOWN_S: Final = 1.0
"""How long to wait when nobody can say: another slot has the probe, or an operator holds the account."""
WRITE: Final = "write"
"""Endpoint class of what an account's turns are about."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Start:
    """What may start now, and how long until that may change when nothing may."""

    calls: Literal["all", "probe", "none"]
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that has begun: to what class of endpoints, and when."""

    endpoint_class: str
    start_time: dt.datetime


class Opening:
    """The policy's schedules of one account; what they say is kept until it may change."""

    def __init__(self, schedules: Schedules, clock: Clock) -> None:
        self._schedules = schedules
        self._clock = clock
        self._held: Standing | None = None

    def closed_s(self, endpoint_class: str) -> float:
        """Return for how many seconds calls of *endpoint_class* are kept back; 0: they may start."""
        if not self._schedules or endpoint_class != WRITE:
            return 0.0
        now = self._clock.now()
        if self._held is None or self._held.until <= now:
            self._held = standing_of(self._schedules, now)
        return 0.0 if self._held.is_open else max(0.001, (self._held.until - now).total_seconds())


class Guard:
    """The guard of one account; outlives its connector's connections."""

    def __init__(
        self,
        account: str,
        store: Deliveries,
        gate: AccountGate,
        broken: AccountBreaker,
        clock: Clock,
        chance: random.Random,
        may_work: Callable[[], bool],
        opening: Opening | None = None,
    ) -> None:
        self._opening = opening or Opening((), clock)
        self._account = account
        self._store = store
        self._gate = gate
        self._breaker = broken
        self._clock = clock
        self._chance = chance
        self._may_work = may_work
        self._paused = False

    def take_in(self, state: ConnectorState) -> None:
        """Take in what is stored: an operator's order wins over memory, memory over an older row."""
        self._paused = state.paused
        self._breaker.take(state)

    def permit(self, endpoint_class: str = WRITE) -> Start:
        """Return what calls of *endpoint_class* may start now."""
        if not self._may_work():
            return Start("none", LAPSED_S)
        if self._paused:
            return Start("none", PAUSED_S)
        if (pause_s := max(self._gate.pause_s(), self._opening.closed_s(endpoint_class))) > 0:
            return Start("none", pause_s)
        found = self._breaker.permit(endpoint_class)
        return Start(found.calls, UNKNOWN_S if found.wait_s is None else found.wait_s)

    def open_lanes(self) -> frozenset[Lane]:
        """Return the lanes that may use what is left of the day's quota."""
        return self._gate.open_lanes()

    @property
    def paused(self) -> bool:
        """Whether an operator has paused the account."""
        return self._paused

    def start_probe(self, endpoint_class: str = WRITE) -> bool:
        """Take the one probe if it is to be had; return whether this caller got it."""
        return self._breaker.start_probe(endpoint_class)

    def end_probe(self, endpoint_class: str = WRITE) -> None:
        """Note that the probe is over; one that made no call leaves room for the next."""
        self._breaker.end_probe(endpoint_class)

    def as_probe(self, endpoint_class: str = WRITE) -> AbstractContextManager[None]:
        """Let the block's calls through as the probe's."""
        return self._breaker.as_probe(endpoint_class)

    def begin(self, endpoint_class: str) -> Begun | None:
        """Return the beginning of a call; None when none may start."""
        try:
            self.check(endpoint_class)
        except CallFailed:
            return None
        return Begun(endpoint_class, self._breaker.now())

    def check(self, endpoint_class: str) -> None:
        """Make sure that a call may start at this moment.

        Raises:
            CallFailed: HELD; nothing was sent.
        """
        if refusal := self._refusal(endpoint_class):
            raise CallFailed(
                VendorError(ErrorClass.HELD, WITHHELD, refusal, retry_after_s=self.permit().wait_s)
            )
        self._breaker.admit(endpoint_class)

    async def ask(self, endpoint_class: str, call: Callable[[], Awaitable[Result]]) -> Result:
        """Return what *call* returns: a question of its own, counted by the breaker; its probe where one is due.

        Raises:
            CallFailed: the vendor's, or HELD: nothing was sent.
            FenceLost, StoreRaced, Unavailable: the breaker cannot be stored.
        """
        with self._breaker.round(endpoint_class):
            self.check(endpoint_class)
            begun = Begun(endpoint_class, self._breaker.now())
            try:
                answer = await call()
            except CallFailed as failed:
                await self.failed(begun, failed)
                raise
            await self.succeeded(begun)
            return answer

    def _refusal(self, endpoint_class: str) -> str:
        if not self._may_work():
            return "the lease may have lapsed"
        if self._paused:
            return "the account is paused"
        if self._opening.closed_s(endpoint_class) > 0:
            return "the policy's schedules keep the account closed"
        return ""

    async def succeeded(self, begun: Begun) -> None:
        """Note an answered call; one that began before the breaker opened says nothing of the vendor now."""
        self._breaker.succeeded(begun.endpoint_class, begun.start_time)
        await self._save()

    async def failed(self, begun: Begun, error: CallFailed) -> None:
        """Note a failed call."""
        self._breaker.failed(begun.endpoint_class, begun.start_time, error.error)
        await self._save()

    async def _save(self) -> None:
        await again_when_raced(lambda: self._breaker.save(self._store), self._chance)


class AdmittingGate(Protocol):
    """A gate that asks once more when a call really starts."""

    def call(
        self,
        method: str,
        url_template: str,
        *,
        endpoint_class: str,
        resend_count: int = 0,
        admit: Callable[[], None],
    ) -> AbstractAsyncContextManager[CallTicket]:
        """As `CallGate.call`; what *admit* raises, when there is room, takes the call back uncounted."""
        ...


class GuardedGate:
    """The account's gate as its connector sees it: each call is allowed by the guard when it really starts."""

    def __init__(self, gate: AdmittingGate, guard: Guard) -> None:
        self._gate = gate
        self._guard = guard

    def call(
        self, method: str, url_template: str, *, endpoint_class: str, resend_count: int = 0
    ) -> AbstractAsyncContextManager[CallTicket]:
        """Wait for permission; see the port.

        Raises:
            CallFailed: HELD when the breaker is open, the account was paused or the lease may have lapsed; before
                the wait for the limiter or after it: it is not counted.
        """
        self._guard.check(endpoint_class)
        return self._gate.call(
            method,
            url_template,
            endpoint_class=endpoint_class,
            resend_count=resend_count,
            admit=lambda: self._guard.check(endpoint_class),
        )
