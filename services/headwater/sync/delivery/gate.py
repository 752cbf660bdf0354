"""The gate of one connector account: limiter, daily quota, concurrency and the span of every call.

Pacing: a bucket of b calls refilled at r a second admits at most b + r x w calls in any window w,
so b and r are chosen with b + r x w = the vendor's limit. The bucket starts drained, so that a
successor right after a crash cannot add a second burst to its predecessor's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
from aiolimiter import AsyncLimiter

from headwater.connectors.base import CallFailed, ErrorClass, LimitFacts, VendorError
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import SpanHandle, Spans
from headwater.policy.document import Limits, Window

BURST_SHARE: Final = 0.1
"""Share of a window's calls that may start at once."""
HTTP_TOO_MANY: Final = 429


def pacing(window: Window) -> tuple[float, float]:
    """Return burst and seconds per refill of the whole burst, so that no sliding window exceeds the limit."""
    burst = max(1, int(window.calls * BURST_SHARE))
    rate = (window.calls - burst) / window.window_s
    if rate <= 0:  # one call a window: the burst is all there is
        return 1.0, window.window_s
    return float(burst), burst / rate


@dataclass(slots=True)
class Ticket:
    """One permitted call."""

    headers: Mapping[str, str]
    _gate: AccountGate
    _span: SpanHandle

    def answered(self, status: int, facts: LimitFacts) -> None:
        """Take in what the vendor's answer said."""
        self._span.http_status(status)
        self._gate.observe(status, facts)


class AccountGate:
    """Permission to call one account's vendor."""

    def __init__(self, base_url: str, limits: Limits, spans: Spans, clock: Clock) -> None:
        burst, period_s = pacing(limits.window)
        self._base_url = base_url
        self._limits = limits
        self._spans = spans
        self._clock = clock
        self._burst = burst
        self._limiter = AsyncLimiter(burst, period_s)
        self._slots = anyio.CapacityLimiter(limits.concurrency)
        self._drained = False
        self._paused_until: dt.datetime | None = None
        self._day = clock.now().date()
        self._used_today = 0
        self._uncounted = 0
        self._vendor_used: int | None = None
        self._vendor_limit: int | None = None

    def start_day(self, used: int) -> None:
        """Take over the count of today's calls from the ledger."""
        self._used_today = used

    def pause_s(self) -> float:
        """Return for how long nothing should be started; 0 when calls may go."""
        if self._paused_until is None:
            return 0.0
        return max(0.0, (self._paused_until - self._clock.now()).total_seconds())

    @asynccontextmanager
    async def call(
        self, method: str, url_template: str, *, endpoint_class: str, resend_count: int = 0
    ) -> AsyncIterator[Ticket]:
        """Wait for permission, count the call and span it; see the port.

        Raises:
            CallFailed: QUOTA when today's allowance is used up.
        """
        del endpoint_class  # one window for all classes today
        await self._drain_once()
        async with self._slots:
            await self._limiter.acquire()
            self._count()
            url = self._base_url + url_template
            with self._spans.http(method, url, template=url_template, resend_count=resend_count) as span:
                yield Ticket(_headers(span), self, span)

    async def _drain_once(self) -> None:
        if not self._drained:
            self._drained = True
            await self._limiter.acquire(self._burst)

    def _count(self) -> None:
        today = self._clock.now().date()
        if today != self._day:
            self._day, self._used_today = today, 0
        allowed = self._limits.daily_calls
        used = max(self._used_today, self._vendor_used or 0)
        if allowed and used >= allowed:
            midnight = dt.datetime.combine(today + dt.timedelta(days=1), dt.time(), dt.UTC)
            wait_s = (midnight - self._clock.now()).total_seconds()
            message = f"{used} of {allowed} calls of today are used"
            raise CallFailed(VendorError(ErrorClass.QUOTA, "DAILY_QUOTA", message, retry_after_s=wait_s))
        self._used_today += 1
        self._uncounted += 1

    def observe(self, status: int, facts: LimitFacts) -> None:
        """Take in the vendor's own view of its limits."""
        if facts.daily_used is not None:
            self._vendor_used = facts.daily_used
        if facts.daily_limit is not None:
            self._vendor_limit = facts.daily_limit
        if status == HTTP_TOO_MANY:
            pause_s = facts.retry_after_s if facts.retry_after_s is not None else self._limits.window.window_s
            self._paused_until = self._clock.now() + dt.timedelta(seconds=pause_s)

    def take_uncounted(self) -> tuple[dt.date, int, int | None, int | None]:
        """Return day, calls since the last time, and the vendor's count and limit: for the ledger."""
        calls, self._uncounted = self._uncounted, 0
        return self._day, calls, self._vendor_used, self._vendor_limit


def _headers(span: SpanHandle) -> dict[str, str]:
    context = span.context
    if context is None:
        return {}
    headers = {"traceparent": context.traceparent}
    return {**headers, "tracestate": context.tracestate} if context.tracestate else headers
