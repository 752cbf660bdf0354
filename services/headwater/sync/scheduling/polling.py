"""One run of a poller: page after page from the CRM to ingest, the cursor behind the acknowledgement.

A crash or a lost answer anywhere repeats a page; its events are duplicates then. Nothing is stepped over: the cursor
moves only when ingest has said of every event that it is durable, or has refused it for good, which is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from headwater.connectors.base import CallFailed, ErrorClass, Page, Poller
from headwater.kernel.clock import Clock
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.domain.polling import PollPlan, Recorded, changes_of, summed
from headwater.sync.scheduling.ports import ChangeLog, Cursors, CursorStep

PAGES_MAX: Final = 10_000
"""Pages of one run; the next run goes on, so that one account's first reading does not run for days unseen."""


@dataclass(frozen=True, slots=True)
class Polling:
    """Runs pollers."""

    cursors: Cursors
    log: ChangeLog
    clock: Clock

    async def run(self, account: RunningAccount, plan: PollPlan) -> Recorded | str:
        """Read everything that has changed; return what was recorded, or why nothing was asked.

        Raises: CallFailed, FenceLost, HeadwaterError; the cursor stands behind what is recorded.
        Cancellation: as a crash; the page under way is read again.
        """
        if stop := await self.cursors.stop_of(account.tenant_id, account.name, self.clock.now()):
            return stop
        async with account.connected() as connector:
            if not isinstance(connector, Poller):
                return f"vendor {account.policy.vendor} cannot be polled"
            try:
                return await self._read(account, plan, connector)
            except CallFailed as held:
                if held.error.error_class is not ErrorClass.HELD:
                    raise
                return held.error.message

    async def _read(self, account: RunningAccount, plan: PollPlan, poller: Poller) -> Recorded | str:
        where = (account.tenant_id, account.name, plan.polled.crm_object)
        cursor = await self.cursors.read(*where)
        parts: list[Recorded] = []
        for _ in range(PAGES_MAX):
            page = await account.ask(READ, partial(_page, poller, plan, cursor, self.clock))
            changes = changes_of(plan, page)
            recorded = await self.log.record(account.tenant_id, changes) if changes else Recorded()
            parts.append(recorded)
            refused = {item.external_id for item in recorded.refused}
            ids = [item.external_id for item in changes if item.external_id not in refused]
            step = CursorStep(cursor, page.next_cursor, ids, recorded.refused)
            if not await self.cursors.move(account.lease, *where, step):
                return "the cursor was set by another: the next run goes on from there"
            cursor = page.next_cursor
            if not page.more:
                break
            await anyio.lowlevel.checkpoint()
        return summed(parts)


async def _page(poller: Poller, plan: PollPlan, cursor: str, clock: Clock) -> Page:
    return await poller.changes(plan.polled, cursor, plan.page_records, clock.now())
