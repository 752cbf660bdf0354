"""The breakers of one account as its slots share them: who may start, who has the probe, what is stored.

Owns the present state between two turns. Decides nothing: that is `domain.breaker`'s. Time is the wall clock's
when the account was opened plus what the loop has counted since, so that a jump of the wall clock neither
lengthens a hold nor ends it early.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

import anyio

from headwater.connectors.base import CallFailed, ErrorClass, Vendor, VendorError
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Spans, names
from headwater.policy.account import Breaker as BreakerPolicy
from headwater.sync.domain import breaker
from headwater.sync.domain.breaker import ALL_CLOSED, Breakers, Permit, Scope
from headwater.sync.domain.settling import ConnectorState

_log = logging.getLogger(__name__)

HELD_S: Final = 1.0
"""Pause of a record whose call was held back while nobody could say for how long."""

_probes: ContextVar[tuple[object, str] | None] = ContextVar("probe", default=None)
"""The account's breaker and the key whose probe the running task, or one it was started by, has taken."""


def scope_of(policy: BreakerPolicy, vendor: Vendor | None) -> Scope:
    """Return whether an account has one breaker or one per class of endpoints; *vendor*: None when not installed."""
    return policy.scope or ("endpoint" if vendor is not None and vendor.fails_by_endpoint else "account")


class BreakerStore(Protocol):
    """Where breakers are stored: a part of the port `Deliveries`."""

    async def write_breaker(self, state: Breakers, generation: int) -> None:
        """Store the breakers, unless an operator has given an order since *generation*."""
        ...


class AccountBreaker:
    """The breakers of one account in one process."""

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy,
        scope: Scope,
        clock: Clock,
        spans: Spans,
        loop_time: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._name = name
        self._policy = policy
        self._scope: Scope = scope
        self._spans = spans
        self._loop_time = loop_time
        self._opened_time, self._opened_at_s = clock.now(), loop_time()
        self._state: Breakers = ALL_CLOSED
        self._saved: Breakers = ALL_CLOSED
        self._generation: int | None = None
        self._saving = anyio.Lock()

    def now(self) -> dt.datetime:
        """Return the present moment, steady: the start time of a call is taken from here."""
        return self._opened_time + dt.timedelta(seconds=self._loop_time() - self._opened_at_s)

    def take(self, stored: ConnectorState) -> None:
        """Take over what is stored: at first, and whenever an operator has given an order since."""
        if stored.breaker_generation != self._generation:
            self._generation = stored.breaker_generation
            self._state = self._saved = breaker.taken_over(stored.breaker, self._scope, self.now())

    def permit(self, endpoint_class: str) -> Permit:
        """Return what calls of *endpoint_class* may start now."""
        return breaker.permit(self._state, endpoint_class, self.now())

    def start_probe(self, endpoint_class: str) -> bool:
        """Take the probe if it is to be had; return whether this caller got it."""
        self._state, mine = breaker.start_probe(self._state, endpoint_class, self.now())
        return mine

    def end_probe(self, endpoint_class: str) -> None:
        """Give the probe back; one that proved nothing leaves it to the next caller."""
        self._state = breaker.end_probe(self._state, endpoint_class)

    @contextmanager
    def as_probe(self, endpoint_class: str) -> Iterator[None]:
        """Let the block's calls through as those of the probe that its owner has taken."""
        mark = _probes.set((self, self._state.key_of(endpoint_class)))
        try:
            yield
        finally:
            _probes.reset(mark)

    @contextmanager
    def round(self, endpoint_class: str) -> Iterator[Permit]:
        """Say what the block may start: all, the probe (then it is the block's until it ends), or nothing."""
        if not self.start_probe(endpoint_class):
            yield self.permit(endpoint_class)
            return
        try:
            with self.as_probe(endpoint_class):
                yield Permit("probe")
        finally:
            self.end_probe(endpoint_class)

    def admit(self, endpoint_class: str) -> None:
        """Let a call start: the last check, right before it does.

        Raises:
            CallFailed: HELD; the breaker is open, and this is not the probe.
        """
        permit = self.permit(endpoint_class)
        if permit.calls == "all" or self._is_probe(endpoint_class):
            return
        wait_s = permit.wait_s or HELD_S
        message = f"the breaker of {self._name} is open for {endpoint_class}"
        raise CallFailed(VendorError(ErrorClass.HELD, "BREAKER_OPEN", message, retry_after_s=wait_s))

    def succeeded(self, endpoint_class: str, start_time: dt.datetime) -> None:
        """Note that a call which began at *start_time* was answered."""
        self._state = breaker.succeeded(self._state, endpoint_class, start_time, self.now())

    def failed(self, endpoint_class: str, start_time: dt.datetime, error: VendorError) -> None:
        """Note that a call which began at *start_time* failed as a whole."""
        before = self._state.of(endpoint_class).probe_time
        self._state = breaker.failed(
            self._state, endpoint_class, error.error_class, self._policy, start_time, self.now()
        )
        after = self._state.of(endpoint_class)
        if after.probe_time is not None and after.probe_time != before:
            self._tell(after.hold_s, error)

    async def save(self, store: BreakerStore) -> None:
        """Store what has changed, unless an operator's order is newer; one write at a time, so that the last one stands.

        Raises: Unavailable; then the next save stores it. FenceLost.
        """
        async with self._saving:
            state = self._state
            if state.as_json() != self._saved.as_json():
                await store.write_breaker(state, self._generation or 0)
                self._saved = state

    def _is_probe(self, endpoint_class: str) -> bool:
        """Return whether the running task belongs to a probe that is still under way."""
        mark = _probes.get()
        if mark is None or mark[0] is not self:
            return False
        wanted = endpoint_class == breaker.AUTH_CLASS or mark[1] == self._state.key_of(endpoint_class)
        held = self._state.by_key.get(mark[1], breaker.CLOSED)
        return wanted and held.probe_start is not None and self._state.forced_at(self.now()) is None

    def _tell(self, hold_s: float, error: VendorError) -> None:
        _log.warning(
            "breaker of %s opens for %.0f s: %s: %s", self._name, hold_s, error.error_class, error.code
        )
        attributes = {names.CONNECTOR: self._name}
        with self._spans.root("breaker open", keep=True, attributes=attributes) as span:
            span.error(error.error_class.value, error.code)
