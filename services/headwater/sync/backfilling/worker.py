"""Works off the backfills of the accounts of this process: one of each account at a time, at its share of the limits.

Holds nothing that matters between two pages: where a backfill is stands in its row, under the account's lease, so a
crash, a restart or another process repeats at most one page, whose events have the keys that they had. A portion is
recorded only once the one before is projected, so that a live event waits behind few others.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Final

import anyio
import anyio.abc

from headwater.connectors.base import CallFailed
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.kernel.telemetry import TraceContext
from headwater.kernel.telemetry.old_news import old_news
from headwater.sync.backfilling.ports import BackfillBook, BackfillLog
from headwater.sync.backfilling.reading import Held, Reading
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.backfilling import Backfill, BackfillState, backoff_s, ends
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.ports import StoreRaced
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
RUNS_MAX: Final = 8
"""Backfills that a process works off at once."""


class BackfillWorker:
    """Works off backfills.

    Args:
        traced: makes the context that a page's events are recorded under.
    """

    def __init__(
        self,
        book: BackfillBook,
        log: BackfillLog,
        accounts: RunningAccounts,
        clock: Clock,
        traced: Callable[[], TraceContext] = old_news,
    ) -> None:
        self._reading = Reading(book, log, clock, traced)
        self._book = book
        self._accounts = accounts
        self._slots = anyio.CapacityLimiter(RUNS_MAX)
        self._in_hand: set[uuid.UUID] = set()
        self._failures: dict[uuid.UUID, tuple[int, int]] = {}
        self._not_before_s: dict[uuid.UUID, float] = {}

    async def run(self, bell: Wakeup) -> None:
        """Work for ever; ends by cancellation: a page under way is read again.

        Args:
            bell: rung when a backfill was begun or steered, and when one here has ended.
        """
        async with anyio.create_task_group() as tasks:
            while True:
                pause_s = POLL_S
                try:
                    pause_s = await self._look(tasks, bell)
                except (Unavailable, StoreRaced) as error:
                    _log.warning("backfills: %s", error)
                await bell.wait(pause_s)

    async def _look(self, tasks: anyio.abc.TaskGroup, bell: Wakeup) -> float:
        """Take up what may go on; return when to look again."""
        accounts = dict(self._accounts.current())
        pause_s = POLL_S
        for backfill in await self._book.open(list(accounts)) if accounts else ():
            wait_s = self._not_before_s.get(backfill.backfill_id, 0.0) - anyio.current_time()
            if backfill.backfill_id in self._in_hand:
                continue
            if wait_s > 0:
                pause_s = min(pause_s, wait_s)
                continue
            self._in_hand.add(backfill.backfill_id)
            tasks.start_soon(self._work, accounts[backfill.tenant_id, backfill.connector], backfill, bell)
        return pause_s

    async def _work(self, account: RunningAccount, backfill: Backfill, bell: Wakeup) -> None:
        """Read until the backfill ends, has to wait or is held; whatever is raised ends here."""
        try:
            async with self._slots:
                with account.working():
                    await self._read(account, backfill)
        except FenceLost:
            _log.warning("backfill %s: account %s was taken over", backfill.backfill_id, account.name)
            self._put_off(backfill, POLL_S)
        except (Unavailable, StoreRaced) as error:
            _log.warning("backfill %s: %s", backfill.backfill_id, error)
            self._failed(backfill)
        except Exception:  # noqa: BLE001 - the edge of a backfill: log, try again later
            _log.exception("backfill %s of %s failed", backfill.backfill_id, account.name)
            self._failed(backfill)
        finally:
            self._in_hand.discard(backfill.backfill_id)
            bell.set()

    async def _read(self, account: RunningAccount, backfill: Backfill) -> None:
        try:
            await self._reading.read(account, backfill)
        except Held as held:
            await self._book.find(account.lease, backfill, str(held))
            self._put_off(backfill, held.wait_s)
        except CallFailed as failed:
            if ends(failed.error):
                await self._book.end(account.lease, backfill, BackfillState.FAILED, str(failed))
                return
            self._failed(backfill, failed)
            await self._book.find(account.lease, backfill, str(failed))
        except HeadwaterError as error:
            self._failed(backfill)
            await self._book.find(account.lease, backfill, f"{error.reason}: {error.message}")
        else:
            self._failures.pop(backfill.backfill_id, None)
            self._not_before_s.pop(backfill.backfill_id, None)

    def _failed(self, backfill: Backfill, failed: CallFailed | None = None) -> None:
        count, calls = self._failures.get(backfill.backfill_id, (0, 0))
        count = count + 1 if backfill.calls == calls else 1
        self._failures[backfill.backfill_id] = count, backfill.calls
        self._put_off(backfill, backoff_s(count, failed.error if failed else None))

    def _put_off(self, backfill: Backfill, wait_s: float) -> None:
        self._not_before_s[backfill.backfill_id] = anyio.current_time() + wait_s
