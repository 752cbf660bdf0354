"""The actor of one connector account while it is awake: its slots, and when they start and end.

Wakes with work, ends when nothing was due for a while or when it is told to. Everything that it must
not forget is in Postgres; what it may forget but should not (pace, breaker, limiter) is its account's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from headwater.connectors.base import CallFailed, Connector, Target
from headwater.connectors.base.bulk import bulk_of
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Spans
from headwater.policy.document import PolicyDocument
from headwater.sync.approvals.door import ApprovalDoor
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.bulking.portions import BulkParts
from headwater.sync.bulking.ports import BulkBook
from headwater.sync.bulking.runner import BulkRunner
from headwater.sync.catchup import never
from headwater.sync.delivery.bell import Bell
from headwater.sync.delivery.desk import Desk
from headwater.sync.delivery.guard import Guard
from headwater.sync.delivery.handling import Handler
from headwater.sync.delivery.sending import STORE_FAULTS, Sender
from headwater.sync.delivery.slot import Slot
from headwater.sync.domain.bulking import Recall
from headwater.sync.domain.delivering import connector_targets
from headwater.sync.domain.doubting import LOOK_UP_ALWAYS, Doubts
from headwater.sync.domain.isolating import Suspects
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.lulls import Lulls
from headwater.sync.ports import Deliveries

ORDERS_S: Final = 60.0
"""Longest wait for an operator's order whose notification may have been lost."""


class AccountNotReady(Exception):
    """The account cannot be used as it stands; the finding says what an operator has to do."""


@dataclass(frozen=True, slots=True)
class ActorParts:
    """What an actor is made of; all but the connector outlives it.

    Args:
        idle_s: how long it stays awake without work.
        gives_way_s: says for how long nothing is to be claimed, while the log is caught up with.
        comes_s: says for how long bulk jobs may wait for more, while bulk events are caught up with.
        approvals: where is asked about writes that a person has to approve; None: those are held for good.
        bulk: the account's bulk jobs; None: everything goes by ordinary calls.
        lulls: of the process's live work.
    """

    connector: Connector
    guard: Guard
    desk: Desk
    store: Deliveries
    spans: Spans
    clock: Clock
    chance: random.Random
    bell: Bell
    suspects: Suspects
    doubts: Doubts = LOOK_UP_ALWAYS
    idle_s: float = 30.0
    gives_way_s: Callable[[], float] = never
    approvals: ApprovalBook | None = None
    bulk: BulkBook | None = None
    comes_s: Callable[[], float] = never
    lulls: Lulls = field(default_factory=Lulls)


@dataclass(frozen=True, slots=True)
class _Due:
    """Something may be due.

    Args:
        heard_s: loop time since when that is known.
        looks: turns that had begun by then; any later one sees it.
    """

    heard_s: float
    looks: int


class DeliveryActor:
    """Delivers to one connector account for as long as there is work."""

    def __init__(self, name: str, document: PolicyDocument, parts: ActorParts) -> None:
        self._name = name
        self._policy = document.connectors[name]
        self._parts = parts
        self._ending = False
        self._running: set[int] = set()
        self._due: _Due | None = None
        self._begins_s = -math.inf
        self._fault: Exception | None = None
        self._abandon: Callable[[], None] = self.end
        sender = Sender(
            self._policy, parts.connector, parts.store, parts.guard, parts.desk, parts.chance, self._ends,
            parts.doubts,
        )  # fmt: skip
        retry = document.retry_of(name)
        door = ApprovalDoor(document, name, parts.approvals)
        recall = Recall()
        handler = Handler(self._policy, retry.reference_wait_s, sender, parts.suspects, door, recall)
        self._bulk = self._bulk_runner(document, handler, recall)
        self._slot = Slot(
            document, parts.desk, parts.guard, handler, parts.spans, parts.clock, parts.chance,
            retry, parts.doubts, self._goes_on, self._spread, parts.gives_way_s, parts.lulls,
        )  # fmt: skip

    def _bulk_runner(self, document: PolicyDocument, handler: Handler, recall: Recall) -> BulkRunner | None:
        parts, writer = self._parts, bulk_of(self._parts.connector)
        if writer is None or parts.bulk is None:
            return None
        made = BulkParts(
            writer, parts.bulk, parts.desk, parts.guard, handler, recall, parts.spans, parts.clock, parts.chance,
            parts.doubts, parts.comes_s, parts.lulls,
        )  # fmt: skip
        return BulkRunner(self._name, document, made, self._ends, self._stir, self._fail)

    def end(self) -> None:
        """Claim nothing more; what is in flight is finished and settled, then `run` returns.

        Bulk jobs that are not over are the successor's.
        """
        self._ending = True
        self._parts.bell.steer()

    async def prepare(self) -> None:
        """Make sure that the account can be used, and store what keeps it from that; waits while nothing may start.

        Raises:
            AccountNotReady: the CRM lacks what the mapping needs, or refuses us.
            FenceLost, StoreRaced, Unavailable.
        """
        parts = self._parts
        while not self._ending:
            await parts.desk.look()
            permit = parts.guard.permit("read")
            if permit.calls != "none":
                await self._check_connector()
                return
            await parts.bell.wait_steered(min(ORDERS_S, permit.wait_s))

    async def run(self) -> None:
        """Deliver until nothing was due for a while, or `end`.

        Cancellation: calls under way are then in doubt and looked up by the successor.

        Raises:
            FenceLost: another process has the account; calls under way are cancelled.
            NothingHandled: no row can be handled; Unavailable, StoreRaced: the store. Calls under way have ended.
        """
        self._hear()
        async with anyio.create_task_group() as tasks:
            self._abandon = tasks.cancel_scope.cancel
            if self._bulk:
                tasks.start_soon(self._run_bulk, self._bulk)
            while not self._ending:
                permit = self._parts.guard.permit()
                if permit.calls == "none":
                    await self._sit_out(permit.wait_s)
                    continue
                if self._due and (number := self._free_slot()) is not None:
                    if await self._gather(self._due):
                        self._running.add(number)
                        tasks.start_soon(self._run_slot, number)
                    self._due = None
                await self._wait()
            if self._bulk:
                self._bulk.end()
        if self._fault:
            raise self._fault

    async def _gather(self, due: _Due) -> bool:
        """Let records gather for a moment; say whether a slot has to begin for what is due.

        What comes alone waits for nothing, what comes right after a batch has begun lets others join it. What comes
        while a call is under way may be taken by the turn that settles that call, where it ends soon.
        """
        desk, gather_s = self._parts.desk, self._policy.adaptive.gather_s
        begins_s = max(self._begins_s, due.heard_s + gather_s) if self._running else self._begins_s
        if not desk.outlook.more and (early_s := begins_s - anyio.current_time()) > 0:
            with anyio.move_on_after(early_s):
                await desk.wait_looked(due.looks)
        if desk.looks > due.looks and not desk.outlook.more:
            return False
        self._begins_s = max(anyio.current_time(), self._begins_s) + gather_s
        return True

    def _hear(self) -> None:
        """Take note that something may be due."""
        self._due = _Due(anyio.current_time(), self._parts.desk.looks)

    async def _check_connector(self) -> None:
        connector, store = self._parts.connector, self._parts.store
        targets = connector_targets(self._policy)
        try:
            report = await self._parts.guard.ask("read", lambda: connector.prepare(targets))
        except CallFailed as failed:
            await store.write_finding(str(failed))
            raise AccountNotReady(str(failed)) from failed
        await store.write_finding("" if report.ok else "; ".join(report.findings))
        if not report.ok:
            raise AccountNotReady("; ".join(report.findings))
        if self._policy.newer is not None:
            await self._check_staged(targets, connector_targets(self._policy.newer))

    async def _check_staged(self, targets: Sequence[Target], staged: Sequence[Target]) -> None:
        """Look at what a staged change writes, too: what the CRM lacks of it stops that change, and not the account."""
        connector, store = self._parts.connector, self._parts.store
        wanted = tuple(dict.fromkeys((*targets, *staged)))
        if wanted == targets:
            return
        try:
            report = await self._parts.guard.ask("read", lambda: connector.prepare(wanted))
        except CallFailed as failed:
            await store.write_finding(f"staged policy: {failed}")
        else:
            await store.write_finding("" if report.ok else f"staged policy: {'; '.join(report.findings)}")

    async def _run_slot(self, number: int) -> None:
        try:
            await self._slot.run(number)
        except Exception as fault:  # noqa: BLE001 - the edge of a slot: the others finish what they have, then all end
            self._fail(fault)
        finally:
            self._running.discard(number)
            self._parts.bell.nudge()

    async def _run_bulk(self, bulk: BulkRunner) -> None:
        try:
            await bulk.run()
        except Exception as fault:  # noqa: BLE001 - the edge of the jobs: slots finish what they have, then all end
            self._fail(fault)

    def _stir(self) -> None:
        """Look at the lanes again: what may be claimed has changed, or something is over."""
        self._hear()
        self._parts.bell.nudge()

    def _fail(self, fault: Exception) -> None:
        """End for *fault*: at once where the account is another's, else when what is in flight is finished."""
        self._fault = self._fault or fault
        self._ending = True
        self._parts.bell.nudge()
        if isinstance(fault, FenceLost):
            self._fault = fault
            self._abandon()

    async def _sit_out(self, wait_s: float) -> None:
        """Wait until a hold may be over or an operator has ordered something, and see how things stand."""
        steered = await self._parts.bell.wait_steered(min(ORDERS_S, wait_s))
        self._hear()
        if not self._ending and (steered or self._parts.guard.paused or wait_s > ORDERS_S):
            try:
                await self._parts.desk.look()
            except STORE_FAULTS as fault:
                self._fail(fault)

    async def _wait(self) -> None:
        """Wait for work: a ring, the next due time, the end of a slot; without any of them, fall asleep."""
        bell, desk = self._parts.bell, self._parts.desk
        now_s = anyio.current_time()
        due_s = None if self._due else desk.outlook.due_s
        works = self._running or (self._bulk and self._bulk.busy)
        idle_s = None if works else self._parts.idle_s  # a slot that ends rings, and so does a job
        woken = await bell.wait(idle_s if due_s is None else max(0.0, due_s - now_s))
        if bell.take_due():
            self._hear()
        elif not woken and due_s is not None:
            self._hear()
            desk.forget_due()
        elif not woken and not works and not self._due:
            self._ending = True
        if self._due and not self._running:
            desk.look_anew()

    def _free_slot(self) -> int | None:
        if len(self._running) >= self._parts.desk.pace.slots_now:
            return None
        return next(number for number in range(self._parts.desk.spare_slot) if number not in self._running)

    def _spread(self) -> None:
        """Begin another slot where more is due than this one has taken."""
        if self._parts.desk.outlook.more:
            self._hear()
            self._parts.bell.nudge()

    def _goes_on(self) -> bool:
        return not self._ending

    def _ends(self) -> bool:
        return self._ending
