"""Reads one account for reconciliation: every call within the policy's share, and what pages leave out asked for again."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import anyio

from headwater.connectors.base import Seen
from headwater.connectors.base.sweeping import Probe, Span, Sweeper, Swept, SweptPage
from headwater.kernel.clock import Clock
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.domain import quota
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.parity_share import CallShare, call_share
from headwater.sync.reconciling.ports import Account, ParityBook

SEARCH: Final = "search"
PASSES_MAX: Final = 3
"""How often a span is read whose pages tell fewer records than the vendor counts."""
READS_MAX: Final = 5
"""How often records are asked for by id that an answer lacks: at least twice before one is taken as gone."""
CALLS_WRITTEN: Final = 20
"""Calls after which their count is written."""

Answer = TypeVar("Answer")


class NoShareLeft(Exception):
    """Reconciliation may not call now: its share of the day is used, or the day's quota slows it down."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was read of a span.

    Args:
        begin_time: before the first call, by our clock.
        complete: as many records were told as the vendor counts.
    """

    span: Span
    records: Mapping[str, Seen]
    begin_time: dt.datetime
    complete: bool
    probe: Probe


class Reader:
    """Reads for one run."""

    def __init__(self, account: RunningAccount, sweeper: Sweeper, book: ParityBook, clock: Clock) -> None:
        section = account.document.reconcile
        limits = account.policy.limits
        self._running = account
        self._sweeper = sweeper
        self._book = book
        self._clock = clock
        self._account = Account(account.tenant_id, account.name, account.lease)
        self._share: CallShare = call_share(limits, section.share if section else 1.0)
        self._allowance = quota.allowance_of(limits)
        self._next_s: dict[str, float] = {}
        self._used: int | None = None
        self._unwritten = 0
        self.calls = 0

    async def read_span(self, swept: Swept, span: Span, cut_at: int) -> Told:
        """Read *span*, or as much of it as *cut_at* records are: then `Told.span` ends with the last of them.

        Raises: CallFailed, NoShareLeft, FenceLost, Unavailable.
        """
        begin = self._clock.now()
        seen: dict[str, Seen] = {}
        told, probe = await self._pass(swept, span, cut_at, seen)
        for _ in range(PASSES_MAX - 1):  # what a page left out in its middle shows when all is read again
            if len(seen) >= probe.count:
                break
            told, probe = await self._pass(swept, told, sys.maxsize, seen)
        return Told(told, seen, begin, complete=len(seen) >= probe.count, probe=probe)

    async def _pass(self, swept: Swept, span: Span, cut_at: int, seen: dict[str, Seen]) -> tuple[Span, Probe]:
        """Read *span* page by page into *seen*; return how far, and what the vendor counts there."""
        last, fresh = span.after, 0
        while True:
            page = await self._sweep(swept, Span(last, span.upto))
            seen.update((item.crm_id, item) for item in page.records)
            fresh += len(page.records)
            moved, last = page.last_id != last, page.last_id
            if page.more and fresh < cut_at:
                continue
            told = Span(span.after, last) if page.more else span
            probe = await self.probe(swept, told)
            if page.more or not moved or len(seen) >= probe.count:
                return told, probe  # else the page was cut at its end: more follow, whatever it says

    async def probe(self, swept: Swept, span: Span) -> Probe:
        """Return what the vendor says of *span* without telling its records."""
        return await self._call(SEARCH, partial(self._sweeper.probe, swept, span))

    async def _sweep(self, swept: Swept, span: Span) -> SweptPage:
        return await self._call(READ, partial(self._sweeper.sweep, swept, span))

    async def read(self, swept: Swept, crm_ids: Sequence[str]) -> dict[str, Seen]:
        """Return records as they are now, by id; those that are gone are left out.

        An answer may be cut as a page may: what it lacks is asked for again until nothing new comes.
        """
        found: dict[str, Seen] = {}
        size = self._sweeper.read_records_max
        left = list(dict.fromkeys(crm_ids))
        for number in range(READS_MAX):
            fresh: dict[str, Seen] = {}
            for start in range(0, len(left), size):
                part = left[start : start + size]
                fresh |= await self._call(READ, partial(self._sweeper.read, swept, part))
            found |= fresh
            left = [one for one in left if one not in found]
            if not left or (number and not fresh):
                break
        return found

    async def write_calls(self) -> None:
        """Write the count of calls."""
        counted, self._unwritten = self._unwritten, 0
        today = quota.day_of(self._clock.now(), self._allowance)
        self._used = await self._book.add_calls(self._account, today, counted)

    async def _call(self, endpoint_class: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        await self._permit(endpoint_class)
        self.calls += 1
        self._unwritten += 1
        return await self._running.ask(endpoint_class, call)

    async def _permit(self, endpoint_class: str) -> None:
        if self._used is None or self._unwritten >= CALLS_WRITTEN:
            await self.write_calls()
        most = self._share.day_calls
        if most is not None and (self._used or 0) + self._unwritten >= most:
            raise NoShareLeft(f"the share of {most} calls of the day is used")
        if Lane.RECONCILE not in self._running.open_lanes():
            raise NoShareLeft("the day's quota slows reconciliation down")
        now_s = anyio.current_time()
        turn_s = max(now_s, self._next_s.get(endpoint_class, 0.0))
        self._next_s[endpoint_class] = turn_s + self._share.pauses_s.get(endpoint_class, 0.0)
        await anyio.sleep(turn_s - now_s)
