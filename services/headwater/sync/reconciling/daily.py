"""The daily parity of one account: every object compared, what differs repaired or asked about, one report a run.

A run that is cut off goes on where it was: each range says which run compared it last. A dry run keeps nothing but
its report.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import anyio

from headwater.connectors.base.sweeping import Sweeper
from headwater.kernel.clock import Clock
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.parity_report import DailyReport, ObjectParity, read_daily
from headwater.sync.domain.sweep_plans import SweepPlan, sweep_plans
from headwater.sync.reconciling.comparing import Comparing, Judge
from headwater.sync.reconciling.healing import Healer
from headwater.sync.reconciling.ports import Account, ParityBook, Run
from headwater.sync.reconciling.reader import NoShareLeft, Reader
from headwater.sync.scheduling.ports import ChangeLog

GONE_MIN: Final = 10
"""Records that are gone from an object below which their share says nothing."""
BUSY: Final = dt.timedelta(hours=6)
"""How long drift is left to a daily parity that has begun and not ended."""
KEEP_S: Final = 5.0
"""Bound of keeping what a run that was cut off has done."""
CANNOT: Final = "cannot be read by ranges: nothing is compared"


@dataclass(frozen=True, slots=True)
class Parity:
    """Runs the daily parity, and looks after the drift that is kept."""

    book: ParityBook
    log: ChangeLog
    clock: Clock
    chance: random.Random
    new_id: Callable[[], uuid.UUID] = uuid.uuid4

    async def run(self, account: RunningAccount) -> str:
        """Run the parity of *account* once; return what it found, in one sentence.

        Raises: CallFailed, FenceLost, HeadwaterError, Unavailable; what was compared stands, the next run goes on.
        """
        plans = sweep_plans(account.document, account.name)
        if not plans:
            return "the policy compares nothing of this account"
        async with account.connected() as connector:
            if not isinstance(connector, Sweeper):
                return f"vendor {account.policy.vendor} {CANNOT}"
            reader = Reader(account, connector, self.book, self.clock)
            run, report = await self._begin(account)
            detail, ended = "cut off: goes on with the next run", False
            try:
                await self._compare(account, plans, reader, run, report)
                if not run.dry:
                    await self._heal(account, plans, reader, report, asked=True)
                detail, ended = _told(report), True
            except NoShareLeft as spent:
                detail = f"{spent}: goes on with the next run"
            finally:
                with anyio.move_on_after(KEEP_S, shield=True):
                    run = replace(run, end_time=self.clock.now() if ended else None, detail=detail)
                    await self._keep(account, run, reader, report)
            return detail

    async def heal(self, account: RunningAccount) -> str:
        """Look once at the drift of *account* that something can be done about.

        Raises: CallFailed, FenceLost, HeadwaterError, Unavailable.
        """
        plans, held, now = sweep_plans(account.document, account.name), _of(account), self.clock.now()
        if not plans or not await self.book.open_drift(held, ("", "", ""), 1, asked=False):
            return "no drift that something can be done about"
        if await self.book.unfinished(held, "daily", now - BUSY) is not None:
            return "the daily parity has not come to its end: it looks after its drift itself"
        async with account.connected() as connector:
            if not isinstance(connector, Sweeper):
                return f"vendor {account.policy.vendor} {CANNOT}"
            reader, report = Reader(account, connector, self.book, self.clock), DailyReport()
            try:
                await self._heal(account, plans, reader, report)
            except NoShareLeft as spent:
                return str(spent)
            finally:
                await reader.write_calls()
            return f"{report.healed} healed, {report.repaired} repaired, {report.asked} to be decided"

    async def _begin(self, account: RunningAccount) -> tuple[Run, DailyReport]:
        held, now = _of(account), self.clock.now()
        section = account.document.reconcile
        period_s = section.daily_s if section else 0.0
        order = await self.book.take_order(held, "daily")
        since = now - dt.timedelta(seconds=2 * period_s)
        if (unfinished := await self.book.unfinished(held, "daily", since)) is not None:
            before = read_daily(unfinished.report)
            if order is None:
                # a dry run keeps no ranges: it begins anew
                return unfinished, DailyReport(dry=True, whole=before.whole) if unfinished.dry else before
            given_up = replace(unfinished, end_time=now, detail="given up: another run was ordered")
            await self.book.write_run(held, given_up)
        dry, whole = (order.dry, order.whole) if order else (False, False)
        run = Run(self.new_id(), "daily", now, dry)
        report = DailyReport(dry=dry, whole=whole)
        if not dry:
            await self.book.prune(held)
        await self.book.write_run(held, replace(run, report=report.as_json()))
        return run, report

    async def _compare(
        self,
        account: RunningAccount,
        plans: dict[str, SweepPlan],
        reader: Reader,
        run: Run,
        report: DailyReport,
    ) -> None:
        section = account.document.reconcile
        if section is None:
            return
        for crm_object, plan in plans.items():
            parity = report.objects.setdefault(crm_object, ObjectParity())
            judge = Judge(_of(account), account.document, section, plan, self.book)
            comparing = Comparing(
                judge, reader, self.clock, self.chance, run.run_id, parity, dry=run.dry, whole=report.whole
            )
            before = reader.calls
            try:
                await comparing.run()
            finally:
                parity.calls += reader.calls - before

    async def _heal(
        self,
        account: RunningAccount,
        plans: dict[str, SweepPlan],
        reader: Reader,
        report: DailyReport,
        *,
        asked: bool = False,
    ) -> None:
        section = account.document.reconcile
        if section is None:
            return
        counts = await self.book.gone(_of(account))
        gone = frozenset(
            name
            for name, (lost, records) in counts.items()
            if lost >= GONE_MIN and lost > section.missing_share_max * (records + lost)
        )
        healer = Healer(_of(account), account.document, section, plans, self.book, self.log, self.clock, gone)
        states = (await healer.run(reader, asked=asked)).states
        report.healed += states.get("healed", 0)
        report.repaired += states.get("repairing", 0)
        report.asked += states.get("asked", 0)

    async def _keep(self, account: RunningAccount, run: Run, reader: Reader, report: DailyReport) -> None:
        report.calls += reader.calls
        reader.calls = 0
        await reader.write_calls()
        await self.book.write_run(_of(account), replace(run, report=report.as_json()))


def _of(account: RunningAccount) -> Account:
    return Account(account.tenant_id, account.name, account.lease)


def _told(report: DailyReport) -> str:
    drifted = sum(item.drifted for item in report.objects.values())
    records = sum(item.records for item in report.objects.values())
    read = sum(item.read for item in report.objects.values())
    told = (
        f"{records} records, {read} read, {drifted} differ: parity {report.parity:.4%}, {report.calls} calls"
    )
    if report.dry:
        return f"{told}; dry: nothing was repaired"
    return f"{told}; {report.repaired} repaired, {report.asked} to be decided"
