"""Whether an account's calls may start: breaker, pause, vendor's wish and lease, asked in one place.

Owns the breaker's state while the actor runs. Every HTTP call passes the `GuardedGate`, so nothing
starts while the breaker is open, save the probe, nor after the lease may have lapsed.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.connectors.base import CallFailed, CallGate, ErrorClass, VendorError
from headwater.connectors.base.port import CallTicket
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Spans, names
from headwater.policy.document import Breaker as BreakerPolicy
from headwater.sync.delivery.gate import AccountGate
from headwater.sync.delivery.racing import again_when_raced
from headwater.sync.domain import breaker
from headwater.sync.domain.settling import ConnectorState
from headwater.sync.ports import Deliveries

_log = logging.getLogger(__name__)

WITHHELD: Final = "WITHHELD"
"""Code of a call that was not made: nothing was tried, and nothing is known of the vendor by it."""
PAUSED_S: Final = 10.0
"""How long a paused account waits for an order that it was not told of."""
LAPSED_S: Final = 1.0
"""How long an actor whose lease may have lapsed waits to be told."""
COUNT_S: Final = 1.0
"""Shortest time between two entries in the quota ledger."""
_PROBES: ContextVar[bool] = ContextVar("probes", default=False)
"""Whether the running task is the breaker's one probe."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The moment at which a call began: how often the breaker had opened until then, and whether it is the probe."""

    openings: int
    probes: bool


class Guard:
    """The guard of one account; outlives its connector's connections."""

    def __init__(
        self,
        account: str,
        store: Deliveries,
        gate: AccountGate,
        policy: BreakerPolicy,
        clock: Clock,
        spans: Spans,
        chance: random.Random,
        may_work: Callable[[], bool],
    ) -> None:
        self._account = account
        self._store = store
        self._gate = gate
        self._policy = policy
        self._clock = clock
        self._spans = spans
        self._chance = chance
        self._may_work = may_work
        self._breaker = breaker.CLOSED
        self._generation: int | None = None
        self._paused = False
        self._openings = 0
        self._counted_s = -COUNT_S

    def take_in(self, state: ConnectorState) -> None:
        """Take in what is stored: an operator's order wins over memory, memory over an older row."""
        self._paused = state.paused
        if state.breaker_generation != self._generation:
            self._breaker, self._generation = state.breaker, state.breaker_generation

    async def start_day(self) -> None:
        """Take over the count of today's calls from the ledger."""
        self._gate.start_day(await self._store.read_quota(self._clock.now().date()))

    async def count_calls(self, *, at_once: bool = False) -> None:
        """Write the calls made since the last time into the ledger, once in a while or *at_once*."""
        now_s = anyio.current_time()
        if not at_once and now_s < self._counted_s + COUNT_S:
            return
        self._counted_s = now_s
        day, calls, vendor_used, vendor_limit = self._gate.take_uncounted()
        if calls:
            await self._store.add_quota(day, calls, vendor_used, vendor_limit)

    def permit(self) -> breaker.Permit:
        """Return what may start now."""
        if not self._may_work():
            return breaker.Permit("none", LAPSED_S)
        if self._paused:
            return breaker.Permit("none", PAUSED_S)
        if (pause_s := self._gate.pause_s()) > 0:
            return breaker.Permit("none", pause_s)
        return breaker.permit(self._breaker, self._clock.now())

    @property
    def paused(self) -> bool:
        """Whether an operator has paused the account."""
        return self._paused

    def start_probe(self) -> None:
        """Note that the one probe is under way."""
        self._breaker = breaker.start_probe(self._breaker)

    def end_probe(self) -> None:
        """Note that the probe is over; one that made no call leaves room for the next."""
        self._breaker = breaker.end_probe(self._breaker)

    @contextmanager
    def as_probe(self) -> Iterator[None]:
        """Let the block's calls through as the probe's."""
        token = _PROBES.set(True)
        try:
            yield
        finally:
            _PROBES.reset(token)

    def begin(self) -> Begun | None:
        """Return the beginning of a call; None when none may start."""
        return None if self._refusal() else Begun(self._openings, _PROBES.get())

    def check(self) -> None:
        """Make sure that a call may start at this moment.

        Raises:
            CallFailed: with the code WITHHELD; nothing was sent.
        """
        if refusal := self._refusal():
            wait_s = self.permit().wait_s
            raise CallFailed(VendorError(ErrorClass.RATE_LIMIT, WITHHELD, refusal, retry_after_s=wait_s))

    def _refusal(self) -> str:
        if not self._may_work():
            return "the lease may have lapsed"
        if self._paused:
            return "the account is paused"
        if self._breaker.probe_time is not None and not _PROBES.get():
            return "the breaker is open"
        return ""

    async def succeeded(self, begun: Begun) -> None:
        """Note an answered call; one that began before the breaker opened says nothing of the vendor now."""
        if begun.probes or begun.openings == self._openings:
            await self._note(breaker.succeeded(self._breaker))

    async def failed(self, begun: Begun, error: CallFailed) -> None:
        """Note a failed call."""
        if error.error.code == WITHHELD or (self._breaker.probe_time is not None and not begun.probes):
            return
        failure = error.error.error_class
        after = breaker.failed(self._breaker, failure, self._policy, self._clock.now())
        if after.probe_time is not None and after.probe_time != self._breaker.probe_time:
            self._openings += 1
            _log.warning("breaker of %s opens for %.0f s: %s", self._account, after.hold_s, error)
            attributes = {names.CONNECTOR: self._account}
            with self._spans.root("breaker open", keep=True, attributes=attributes) as span:
                span.error(failure.value, error.error.code)
        await self._note(after)

    async def _note(self, state: breaker.BreakerState) -> None:
        if state != self._breaker:
            self._breaker = state
            generation = self._generation or 0
            await again_when_raced(lambda: self._store.write_breaker(state, generation), self._chance)


class GuardedGate:
    """The account's gate as its connector sees it: each call is allowed by the guard when it really starts."""

    def __init__(self, gate: CallGate, guard: Guard) -> None:
        self._gate = gate
        self._guard = guard

    @asynccontextmanager
    async def call(
        self, method: str, url_template: str, *, endpoint_class: str, resend_count: int = 0
    ) -> AsyncIterator[CallTicket]:
        """Wait for permission; see the port.

        Raises:
            CallFailed: WITHHELD when the breaker has opened, the account was paused or the lease may have lapsed.
        """
        self._guard.check()
        async with self._gate.call(
            method, url_template, endpoint_class=endpoint_class, resend_count=resend_count
        ) as ticket:
            self._guard.check()  # the wait for the limiter may have been long
            yield ticket
