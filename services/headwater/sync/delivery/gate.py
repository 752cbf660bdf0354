"""The gate of one connector account: every call passes it, token refreshes and probes included.

The thin effect around `limiting`, `usage` and `quota`: it waits, writes the books ahead of the
calls, and spans each call. It decides nothing about limits. The order of a call:

    FIFO per endpoint class -> pacer -> room in every window -> admitted -> day's quota -> books -> lease,
    admitted still -> call

What is not admitted was never sent: it is not counted, and its place in the windows is free again at once.

Refusals: CallFailed QUOTA when the wait would be long, FenceLost when the lease is not ours any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio

from headwater.connectors.base import CallFailed, ErrorClass, LimitFacts, VendorError
from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unavailable
from headwater.kernel.telemetry import SpanHandle, Spans
from headwater.sync.delivery.pacing import Pacer
from headwater.sync.delivery.timing import at_vendor
from headwater.sync.delivery.waiting import LimiterQueue
from headwater.sync.domain import quota
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.limiting import CLASSES, HTTP_TOO_MANY, Granted, Limiter
from headwater.sync.domain.quota import Allowance, Ledger, Reserve
from headwater.sync.domain.usage import Block, take_over, write_down
from headwater.sync.domain.windows import NS_PER_S
from headwater.sync.metering import AccountMeter
from headwater.sync.ports import LimitBooks, StoreRaced

_log = logging.getLogger(__name__)

WAIT_S_MAX: Final = 30.0
"""Longest wait for room in the windows; what would wait longer is put off by the caller."""
CLOSE_S: Final = 5.0
"""Bound of writing the books for the last time."""


def _admit_all() -> None:
    """Let every call start."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose calls these are.

    Args:
        timeout_s: bound of one call: so long after its start it may still arrive.
    """

    account: str
    base_url: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class GateParts:
    """What a gate is made of.

    Args:
        may_call: False once the account's lease has lapsed by our own clock.
        ticks: nanoseconds of a clock that never goes back; not the loop's, which stands still in a busy turn.
    """

    limiter: Limiter
    allowance: Allowance
    books: LimitBooks
    pacer: Pacer
    spans: Spans
    clock: Clock
    may_call: Callable[[], bool]
    ticks: Callable[[], int] = time.monotonic_ns
    meter: AccountMeter = field(default_factory=partial(AccountMeter, "account"))


@dataclass(slots=True)
class Ticket:
    """One permitted call."""

    headers: Mapping[str, str]
    grant: Granted
    mark: int
    _gate: AccountGate
    _span: SpanHandle
    has_answer: bool = False

    def answered(self, status: int, facts: LimitFacts) -> None:
        """Take in what the vendor's answer said; of several answers the first counts."""
        if not self.has_answer:
            self.has_answer = True
            self._span.http_status(status)
            self._gate.take_answer(self, status, facts)


class AccountGate:
    """Permission to call one account's vendor, from `open` to `close`; it may outlive actors of one lease."""

    def __init__(self, place: Place, parts: GateParts) -> None:
        self._place = place
        self._parts = parts
        self._ledger = Ledger(quota.day_of(parts.clock.now(), parts.allowance))
        self._queue = LimiterQueue(parts.limiter, parts.ticks)
        self._doors = {name: anyio.Lock() for name in CLASSES}
        self._block = Block(parts.limiter.rules)
        self._opening, self._writing = anyio.Lock(), anyio.Lock()
        self._opened = False
        self._closed = False
        self._must_write = False

    async def open(self) -> None:
        """Take the account's books over; a second time changes nothing. No call may go before.

        Raises: FenceLost, Unavailable, StoreRaced.
        """
        async with self._opening:
            if not self._opened:
                await self._take_over()

    async def _take_over(self) -> None:
        parts = self._parts
        usage, ledger = await parts.books.take_over(quota.day_of(parts.clock.now(), parts.allowance))
        latest_ns = int(self._place.timeout_s * NS_PER_S) + parts.limiter.rules.lost_ns
        take_over(parts.limiter, usage, parts.ticks(), latest_ns)
        self._ledger = ledger
        self._opened = True
        await self._settle_books()

    def pause_s(self) -> float:
        """Return for how long no write can be started; 0 when calls may go."""
        left_ns = self._parts.limiter.pauses.get("write", 0) - self._parts.ticks()
        return max(0.0, left_ns / NS_PER_S)

    def open_lanes(self) -> frozenset[Lane]:
        """Return the lanes that may use what is left of the day's quota."""
        return quota.open_lanes(self._today(), self._parts.clock.now(), self._parts.allowance)

    @asynccontextmanager
    async def call(
        self,
        method: str,
        url_template: str,
        *,
        endpoint_class: str,
        resend_count: int = 0,
        admit: Callable[[], None] = _admit_all,
    ) -> AsyncIterator[Ticket]:
        """Wait for permission, count the call and span it; see the port.

        Args:
            admit: asked when there is room and again right before the call; what it raises undoes the grant.

        Raises:
            CallFailed: QUOTA when the day's allowance is used up, or a window has no room for long; what *admit* raises.
            FenceLost: the account is not ours any more.
            Unavailable: the books cannot be written.
        """
        cost = self._parts.limiter.rules.cost(endpoint_class)
        grant, mark = await self._granted(cost, endpoint_class, admit)
        url = self._place.base_url + url_template
        with self._parts.spans.http(method, url, template=url_template, resend_count=resend_count) as span:
            ticket = Ticket(_headers(span), grant, mark, self, span)
            try:
                with at_vendor(self._parts.ticks):
                    yield ticket
            finally:
                self._end(ticket)
        if self._must_write:
            await self._keep_pause()

    async def _granted(
        self, cost: int, endpoint_class: str, admit: Callable[[], None]
    ) -> tuple[Granted, int]:
        """Return a grant with its mark once the call may go; one that a pause has overtaken waits again."""
        while True:
            async with self._doors[endpoint_class]:
                await self._parts.pacer.wait_turn(endpoint_class, cost)
                grant = await self._reserved(cost, endpoint_class)
            mark = await self._booked(grant, cost, admit)
            if mark is not None:
                return grant, mark

    async def _reserved(self, cost: int, endpoint_class: str) -> Granted:
        try:
            with anyio.fail_after(WAIT_S_MAX):
                return await self._queue.reserve(cost, endpoint_class, WAIT_S_MAX)
        except TimeoutError as error:
            wait_s = self._queue.wait_s(cost, endpoint_class)
            message = f"the vendor's limits leave no room for a {endpoint_class} call within {WAIT_S_MAX:g} s"
            raise CallFailed(
                VendorError(ErrorClass.QUOTA, "WINDOW_FULL", message, retry_after_s=wait_s)
            ) from error

    async def _booked(self, grant: Granted, cost: int, admit: Callable[[], None]) -> int | None:
        """Count *grant* and make the books allow for it; return the ledger's mark.

        Undone when refused, and when the vendor has ordered a pause meanwhile: then None.
        """
        counted = False
        try:
            admit()
            self._check_day(cost)
            self._note(quota.count(self._today(), cost, self._parts.clock.now(), self._parts.allowance))
            counted = True
            mark = self._ledger.mark(self._parts.allowance)
            async with self._writing:
                if not self._block.cover(grant):
                    await self._write()
            self._check_lease()
            admit()  # writing the books may have been long
        except BaseException:
            self._undo(grant, cost, counted=counted)
            raise
        if self._parts.limiter.pauses.get(grant.endpoint_class, 0) > self._parts.ticks():
            self._undo(grant, cost, counted=True)
            return None
        return mark

    def _undo(self, grant: Granted, cost: int, *, counted: bool) -> None:
        if counted:
            self._ledger = quota.uncount(self._ledger, cost, self._parts.allowance)
        self._queue.give_back(grant)

    def _check_day(self, cost: int) -> None:
        ledger, allowance, now = self._today(), self._parts.allowance, self._parts.clock.now()
        if not quota.has_room(ledger, cost, allowance):
            wait_s = (quota.day_end(ledger.day, allowance) - now).total_seconds()
            used, limit = max(ledger.used_of(allowance), key=lambda pair: pair[0] / pair[1])
            message = f"{used} of {limit} of today's allowance are used"
            raise CallFailed(
                VendorError(ErrorClass.QUOTA, "DAILY_QUOTA", message, retry_after_s=max(0.0, wait_s))
            )

    def _check_lease(self) -> None:
        if self._closed or not self._opened or not self._parts.may_call():
            raise FenceLost([self._place.account])

    def _today(self) -> Ledger:
        self._ledger = quota.on_day(self._ledger, self._parts.clock.now(), self._parts.allowance)
        return self._ledger

    def _note(self, ledger: Ledger) -> None:
        """Keep *ledger*; tell of the alert when it is new."""
        if ledger.alert_time is not None and self._ledger.alert_time is None:
            now, allowance = self._parts.clock.now(), self._parts.allowance
            lasts = quota.forecast(ledger, now, allowance)
            _log.warning(
                "quota alert of %s: %.0f %% of the day is used; at this rate it is used up %s",
                self._place.account,
                ledger.share(allowance) * 100,
                "after the day" if lasts is None else f"at {lasts.isoformat(timespec='minutes')}",
            )
            self._must_write = True
        self._ledger = ledger

    def take_answer(self, ticket: Ticket, status: int, facts: LimitFacts) -> None:
        """Take in that a call was answered, and what the answer says of the limits."""
        parts = self._parts
        parts.meter.called(status)
        now_ns = parts.ticks()
        parts.limiter.answered(now_ns, ticket.grant)
        began = parts.limiter.observe(now_ns, ticket.grant, status, facts)
        if status == HTTP_TOO_MANY:
            self._ledger = quota.refused(self._ledger)
        if began:
            self._must_write = True
            _log.warning("%s answers 429: no calls for %.1f s", self._place.account, self.pause_s())
        self._note(quota.told(self._today(), facts, ticket.mark, parts.clock.now(), parts.allowance))
        self._queue.ring()

    def _end(self, ticket: Ticket) -> None:
        if ticket.has_answer:
            self._parts.limiter.ended(ticket.grant)
        else:
            self._parts.meter.called(None)
            self._parts.limiter.lost(self._parts.ticks(), ticket.grant)
        self._queue.ring()

    async def _keep_pause(self) -> None:
        """Write the books at once: a successor must know of a pause, and operators of an alert."""
        try:
            async with self._writing:
                await self._write()
        except (Unavailable, StoreRaced, FenceLost) as error:  # the call is over; the next one will notice
            _log.warning("the books of %s are not written: %s", self._place.account, error)

    async def _write(self) -> None:
        """Write the books with a new block; under the lock."""
        limiter, rules = self._parts.limiter, self._parts.limiter.rules
        covered = limiter.numbered
        self._must_write = False
        dearest = max((rules.cost(name) for name in CLASSES), default=1)
        await self._put(self._block.amounts, self._block.calls, self._block.calls * dearest)
        self._block.written(covered)

    async def _put(self, block: tuple[int, ...], calls: int, tokens: int) -> None:
        parts, now = self._parts, self._parts.clock.now()
        ledger = self._today()
        usage = write_down(parts.limiter, parts.ticks(), block)
        reserve = Reserve(calls, tokens, quota.forecast(ledger, now, parts.allowance))
        await parts.books.write(usage, ledger, reserve)

    async def _settle_books(self) -> None:
        """Write what was taken over without a block.

        Else an account that ends again and again before its first call would hold what its
        predecessor left open anew each time, and never call.
        """
        async with self._writing:
            await self._put((0,) * len(self._block.amounts), 0, 0)

    async def close(self) -> None:
        """Let no further call begin, and write the books exactly, for the successor."""
        self._closed = True
        if not self._opened:
            return
        with anyio.move_on_after(CLOSE_S, shield=True):
            try:
                async with self._writing:
                    self._block.closed()
                    await self._put((0,) * len(self._block.amounts), 0, 0)
            except (Unavailable, StoreRaced, FenceLost) as error:
                _log.warning("the books of %s are left open: %s", self._place.account, error)


def _headers(span: SpanHandle) -> dict[str, str]:
    context = span.context
    if context is None:
        return {}
    headers = {"traceparent": context.traceparent}
    return {**headers, "tracestate": context.tracestate} if context.tracestate else headers
