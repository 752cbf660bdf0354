"""Reads what webhooks point at, in the accounts of this process, and records it as the poller would.

The record's own time and content make the event's key, so webhook and poll tell one event, in whichever order. A record
counts as deleted only when a direct read says so: where the CRM does not know it at all any more, that is told as of now,
and only of a record that we hold. A crash in between reads again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Final

import anyio
import anyio.abc

from headwater.connectors.base import CallFailed, Fetched, Fetcher, Page, Seen
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.delivery.accounts import READ, RunningAccount, RunningAccounts
from headwater.sync.domain.backfilling import backoff_s
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.polling import PollPlan, changes_of, poll_plans
from headwater.sync.fetching.ports import FetchBook, Wanted
from headwater.sync.ports import StoreRaced
from headwater.sync.scheduling.ports import ChangeLog
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
LOST_S: Final = 1.0
"""Pause of an account that is another process's, or whose settling was not stored."""
BATCH_RECORDS: Final = 100
"""Records of one call."""
ACCOUNTS_MAX: Final = 8
"""Accounts whose records a process reads at once."""


class FetchWorker:
    """Reads records of the accounts of this process."""

    def __init__(self, book: FetchBook, log: ChangeLog, accounts: RunningAccounts, clock: Clock) -> None:
        self._book = book
        self._log = log
        self._accounts = accounts
        self._clock = clock
        self._slots = anyio.CapacityLimiter(ACCOUNTS_MAX)

    async def run(self, bell: Wakeup) -> None:
        """Read for ever; ends by cancellation, which leaves what is under way to be read again.

        Args:
            bell: rung when records are wanted.
        """
        while True:
            try:
                if await self.step():
                    continue
            except (Unavailable, StoreRaced) as error:
                _log.warning("fetching: %s", error)
            await bell.wait(POLL_S)

    async def step(self) -> bool:
        """Read what is due, account by account side by side; return whether there was anything."""
        accounts = dict(self._accounts.current())
        due = await self._book.due(list(accounts), BATCH_RECORDS) if accounts else ()
        async with anyio.create_task_group() as tasks:
            for key, wanted in groupby(due, lambda item: (item.tenant_id, item.connector)):
                tasks.start_soon(self._work, accounts[key], list(wanted))
        return bool(due)

    async def _work(self, account: RunningAccount, wanted: Sequence[Wanted]) -> None:
        try:
            async with self._slots:
                with account.working():
                    for crm_object, items in groupby(sorted(wanted, key=_object), _object):
                        await self._read(account, crm_object, list(items))
        except FenceLost:
            _log.warning("fetching: account %s was taken over", account.name)
            await anyio.sleep(LOST_S)
        except (Unavailable, StoreRaced) as error:
            _log.warning("fetching from %s: %s", account.name, error)
            await anyio.sleep(LOST_S)

    async def _read(self, account: RunningAccount, crm_object: str, wanted: Sequence[Wanted]) -> None:
        """Read records of one object; what fails is tried again, ever later."""
        plan = poll_plans(account.document, account.name).get(crm_object)
        if plan is None:
            _log.warning(
                "%s of %s: the policy does not read it any more; not fetched", crm_object, account.name
            )
            await self._book.settle(account.lease, wanted)
            return
        try:
            async with account.connected() as connector:
                if not isinstance(connector, Fetcher):
                    _log.warning("vendor %s reads nothing by id: its poll will tell", account.policy.vendor)
                else:
                    ids = [item.crm_id for item in wanted]
                    found = await account.ask(READ, partial(connector.fetch, plan.polled, ids))
                    await self._record(account, plan, found)
        except CallFailed as failed:
            await self._put_off(account, wanted, str(failed), failed)
        except HeadwaterError as error:
            await self._put_off(account, wanted, f"{error.reason}: {error.message}")
        else:
            await self._book.settle(account.lease, wanted)

    async def _record(self, account: RunningAccount, plan: PollPlan, found: Fetched) -> None:
        known = await self._book.known(account.tenant_id, plan.object_name, plan.system, found.absent)
        now = self._clock.now()
        gone = tuple(Seen(crm_id, now, {}) for crm_id in found.absent if crm_id in known)
        deleted = (*found.deleted, *gone) if plan.polled.deletions else ()
        changes = changes_of(plan, Page(found.records, deleted, "", more=False))
        if changes:
            told = await self._log.record(account.tenant_id, changes)
            for refusal in told.refused:
                _log.warning(
                    "record %s of %s is refused: %s", refusal.external_id, account.name, refusal.message
                )

    async def _put_off(
        self,
        account: RunningAccount,
        wanted: Sequence[Wanted],
        finding: str,
        failed: CallFailed | None = None,
    ) -> None:
        tries = 1 + max(item.tries for item in wanted)
        _log.warning("records of %s cannot be read: %s", account.name, finding)
        wait_s = backoff_s(tries, failed.error if failed else None)
        await self._book.put_off(account.lease, wanted, wait_s, finding[:512])


def _object(item: Wanted) -> str:
    return item.crm_object
