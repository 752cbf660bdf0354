"""Reading one backfill to its end, or until it may not go on: count, then page after page, portion after portion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio

from headwater.connectors.base import Page, Windowed
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import TraceContext
from headwater.sync.backfilling.ports import BackfillBook, BackfillLog, PageRead
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.domain.backfilling import (
    PORTION_EVENTS,
    WAIT_S,
    Backfill,
    BackfillState,
    Part,
    call_pause_s,
    rest_s,
)
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.polling import PollPlan, Recorded, changes_of, poll_plans, summed

HELD_S: Final = 10.0
"""Pause before a backfill looks again whether its account may be called."""
LOOK_S: Final = 0.02
"""Pause between two looks whether a portion is projected."""
PROJECTED_S_MAX: Final = 20.0
"""How long a portion is waited for; then the backfill gives way and says so."""


class Held(Exception):
    """A backfill may not go on now.

    Args:
        wait_s: when to look again.
    """

    def __init__(self, finding: str, wait_s: float = HELD_S) -> None:
        super().__init__(finding)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads backfills; what it knows of one is its row."""

    book: BackfillBook
    log: BackfillLog
    clock: Clock
    traced: Callable[[], TraceContext]

    async def read(self, account: RunningAccount, backfill: Backfill) -> None:
        """Go on with *backfill* until it is done or an operator has held it.

        Raises: Held, CallFailed, FenceLost, Unavailable, StoreRaced, HeadwaterError.
        """
        if stop := await self.book.stop_of(account.tenant_id, account.name, self.clock.now()):
            raise Held(stop)
        plans = poll_plans(account.document, account.name)
        if missing := [part.crm_object for part in backfill.parts if part.crm_object not in plans]:
            finding = f"the policy does not read {', '.join(missing)} of this account any more"
            await self.book.end(account.lease, backfill, BackfillState.FAILED, finding)
            return
        async with account.connected() as connector:
            if not isinstance(connector, Windowed):
                finding = f"vendor {account.policy.vendor} cannot be asked for a stretch of time"
                await self.book.end(account.lease, backfill, BackfillState.FAILED, finding)
                return
            pace = _Pace(call_pause_s(account.policy.limits, backfill.share))
            runs = _Run(self, account, connector, backfill, pace)
            parts = [await runs.counted(part, plans[part.crm_object]) for part in backfill.parts]
            findings: list[str] = []
            for part in parts if not backfill.dry_run else ():
                if not part.done and not await runs.told(part, plans[part.crm_object]):
                    return
                if backfill.absences:
                    system = plans[part.crm_object].system
                    why = await self.book.absent(account.lease, backfill, part.crm_object, system)
                    findings += [f"{part.crm_object}: {why}"] if why else []
        await self.book.end(account.lease, backfill, BackfillState.DONE, "; ".join(findings))


class _Pace:
    """Lets calls begin at least so far apart."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self._next_s = anyio.current_time()

    async def turn(self) -> None:
        """Wait for the next call's turn."""
        await anyio.sleep_until(self._next_s)
        self._next_s = anyio.current_time() + self.pause_s


@dataclass(frozen=True, slots=True)
class _Run:
    """One go at a backfill."""

    reading: Reading
    account: RunningAccount
    connector: Windowed
    backfill: Backfill
    pace: _Pace

    async def counted(self, part: Part, plan: PollPlan) -> Part:
        """Ask the CRM how much *part* is, unless it was asked."""
        if part.expected is not None:
            return part
        await self._turn()
        polled = replace(plan.polled, until=self.backfill.until)
        expected = await self.account.ask(READ, partial(self.connector.count, polled, self.backfill.since))
        size = min(plan.page_records, self.connector.page_records_max(polled))
        await self.reading.book.count(self.account.lease, self.backfill, part.crm_object, expected, size)
        return replace(part, expected=expected, page_records=size)

    async def told(self, part: Part, plan: PollPlan) -> bool:
        """Read *part* to its end; False when an operator has held the backfill meanwhile."""
        polled = replace(plan.polled, until=self.backfill.until)
        cursor = part.cursor
        while True:
            began_s = anyio.current_time()
            await self._turn()
            now = self.reading.clock.now()
            begin = self.connector.cursor_at(self.backfill.since) if cursor is None else cursor
            call = partial(self.connector.changes, polled, begin, plan.page_records, now)
            page = await self.account.ask(READ, call)
            done = await self._record(plan, page)
            took_s = anyio.current_time() - began_s
            step = PageRead(
                part.crm_object, cursor, page.next_cursor, not page.more, len(page.records) + len(page.deleted),
                len(page.deleted), done.recorded, done.ids, took_s,
            )  # fmt: skip
            if not await self.reading.book.move(self.account.lease, self.backfill, step):
                return False
            if not page.more:
                return True
            if page.next_cursor == begin:  # nothing is ready yet
                await anyio.sleep(WAIT_S)
            cursor = page.next_cursor

    async def _turn(self) -> None:
        """Wait until a call is within the backfill's share. Raises: Held when the day is kept for what is more urgent."""
        if Lane.BACKFILL not in self.account.open_lanes():
            raise Held("the rest of the day's quota is kept for more urgent lanes", 60.0)
        await self.pace.turn()

    async def _record(self, plan: PollPlan, page: Page) -> _Done:
        """Record a page, portion by portion, each once the one before is projected."""
        changes, trace = changes_of(plan, page), self.reading.traced()
        parts: list[Recorded] = []
        for start in range(0, len(changes), PORTION_EVENTS):
            portion, began_s = changes[start : start + PORTION_EVENTS], anyio.current_time()
            recorded = await self.reading.log.record(self.account.tenant_id, portion, trace)
            parts.append(recorded)
            if recorded.keys:
                await self._projected(recorded)
                took_s = anyio.current_time() - began_s
                await anyio.sleep(rest_s(took_s, len(portion), len(changes), self.pace.pause_s))
        told = summed(parts)
        refused = {item.external_id for item in told.refused}
        return _Done(told, [item.external_id for item in changes if item.external_id not in refused])

    async def _projected(self, recorded: Recorded) -> None:
        """Wait until a portion is projected. Raises: Held when that takes too long."""
        with anyio.move_on_after(PROJECTED_S_MAX):
            while await self.reading.book.waiting(self.account.tenant_id, recorded.keys):  # noqa: ASYNC110 - nobody announces it
                await anyio.sleep(LOOK_S)
            return
        raise Held("the projection is behind: live events go first")


@dataclass(frozen=True, slots=True)
class _Done:
    """A page that is recorded: what ingest said, and the records that it took."""

    recorded: Recorded
    ids: list[str]
