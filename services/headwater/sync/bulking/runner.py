"""Bulk jobs of one actor: gathers what waits in the backfill lane and hands it to jobs, or to ordinary calls.

A job outlives its actor: what is not over when the actor ends is in the book, and the next actor of the account goes
on with it. Nothing is sent twice for that.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import anyio
from anyio.abc import TaskGroup

from headwater.policy.document import PolicyDocument
from headwater.sync.bulking.jobs import Jobs
from headwater.sync.bulking.portions import BulkParts, Gathered, Portion, Portions, by_portion
from headwater.sync.delivery.outcomes import Judge
from headwater.sync.delivery.racing import again_when_raced
from headwater.sync.delivery.tracing import batch_spans
from headwater.sync.domain import bulking
from headwater.sync.domain.bulking import Backlog, Course
from headwater.sync.domain.delivering import Send, chunks
from headwater.sync.domain.lanes import Lane
from headwater.sync.lulls import Size

JOBS_MAX: Final = 4
"""Jobs of one account at a time."""
LOOK_S: Final = 0.25
"""Pause between two looks at a backlog."""
ROWS_MIN: Final = 50
"""Deliveries of a portion at least."""
ROWS_FIRST: Final = 100
"""Those of the first portion; then by what claiming one took."""

ROWS_BESIDE: Final = 4_000
"""Records gathered at a time while live deliveries come: what a job does at a stretch is short, and it begins soon."""


class BulkRunner:
    """The bulk jobs of one actor.

    Args:
        ending: whether the actor is to end; then no further step begins.
        changed: told when a job is over, or slots may claim otherwise than before.
        failed: told what has ended a job's task.
    """

    def __init__(
        self,
        name: str,
        document: PolicyDocument,
        parts: BulkParts,
        ending: Callable[[], bool],
        changed: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._name = name
        self._document = document
        self._retry = document.retry_of(name)
        self._batch_records = rows = document.connectors[name].limits.batch_records
        self._size = Size(min(ROWS_FIRST, rows), min(ROWS_MIN, rows), rows)
        self._parts = parts
        self._ending = ending
        self._changed = changed
        self._failed = failed
        self._portions = Portions(parts)
        self._jobs = Jobs(name, document, parts, self._portions, ending)
        self._running = 0
        self._woken = anyio.Event()
        self._gathering = False
        self._begun_s = -math.inf

    @property
    def _follows(self) -> bool:
        """Whether a job was begun of late."""
        return anyio.current_time() - self._begun_s < bulking.FOLLOWS_S

    @property
    def busy(self) -> bool:
        """Whether something of this account is under way or gathers."""
        return self._gathering or self._running > 0

    def end(self) -> None:
        """Wake whoever waits: the actor ends."""
        self._woken.set()
        self._jobs.end()

    async def run(self) -> None:
        """Go on with jobs of before, then hand backlogs to jobs until the actor ends.

        Cancellation: what is gathered and what jobs hold is in the journal and the book, for the successor.

        Raises: FenceLost, StoreRaced, Unavailable.
        """
        self._parts.desk.reserved = frozenset({Lane.BACKFILL})
        left = await self._parts.book.open_jobs()
        await again_when_raced(self._parts.book.put_strays_back, self._parts.chance)
        async with anyio.create_task_group() as tasks:
            for job in left:
                self._running += 1
                tasks.start_soon(self._safely, partial(self._jobs.go_on, job))
            while not self._ending():
                await self._wait_for(self._parts.desk.wait_backlog)
                await self._work_off(tasks)

    async def _work_off(self, tasks: TaskGroup) -> None:
        """See to a backlog until none is left."""
        self._gathering = True
        backlog = Backlog()
        try:
            while not self._ending():
                rows = await self._parts.book.count_backlog(self._parts.writer.limits.records_max)
                now_s = anyio.current_time()
                backlog = bulking.seen(backlog, rows, now_s)
                comes = self._parts.comes_s() > 0
                course = bulking.choose(
                    backlog, self._parts.writer.limits.records_min, now_s, comes=comes, follows=self._follows
                )
                if now_s < self._jobs.shut_until_s and course is not Course.NOTHING:
                    course = Course.SINGLY
                if course is Course.NOTHING:
                    return
                self._reserve(course)
                if course is Course.JOB and self._running < JOBS_MAX and await self._gather(tasks):
                    backlog = Backlog()
                    continue
                await self._jobs.pause(LOOK_S)
        finally:
            self._gathering = False
            self._reserve(Course.GATHER)
            self._changed()

    def _reserve(self, course: Course) -> None:
        """Leave the lane to the slots, or keep it from them."""
        free = course is Course.SINGLY
        wanted = frozenset[Lane]() if free else frozenset({Lane.BACKFILL})
        if wanted != self._parts.desk.reserved:
            self._parts.desk.reserved = wanted
            self._changed()

    async def _gather(self, tasks: TaskGroup) -> bool:
        """Claim a job's worth and begin what it takes; return whether anything was claimed."""
        gathered = Gathered()
        claimed = 0
        most = self._parts.writer.limits.records_max
        most = most if self._parts.lulls.alone else min(most, ROWS_BESIDE)
        while claimed < most and not self._ending():
            count = await self._claim(gathered)
            if not count:
                break
            claimed += count
        if self._ending():
            await self._portions.let_go(gathered, [send for send, _ in gathered.sized])
            return False
        groups = bulking.group(gathered.sized, self._parts.writer.limits, follows=self._follows)
        for sends in groups.jobs:
            self._begun_s = anyio.current_time()
            self._running += 1
            tasks.start_soon(self._safely, partial(self._jobs.carry_out, gathered, sends))
        for part in chunks(groups.singly, self._batch_records):
            await self._send_singly(gathered, part)
        return claimed > 0

    async def _claim(self, gathered: Gathered) -> int:
        """Claim a portion, plan it, settle what needs no write."""
        parts, slot = self._parts, self._portions.take_slot()
        async with parts.lulls.turn() as turn:
            claimed = await parts.desk.claim_aside(slot, self._size.items, parts.book)
            self._size = self._size.after(len(claimed), turn.took_s, parts.lulls.turn_s)
        if not claimed:
            self._portions.give_back(slot)
            return 0
        judge = Judge(self._retry, parts.chance, self._document.version, parts.clock.now(), parts.doubts)
        with batch_spans(parts.spans, parts.clock, claimed) as batch:
            portion = Portion(slot, judge, batch.traces, {item.entity_id for item in claimed})
            sends, done = await parts.handler.prepare(judge, claimed, batch.traces, parts.lulls.breathe)
            failed = [judge.of_interrupted(item) for failure in done.failures for item in failure.items]
            held = {send.claimed.entity_id for send in sends}
            judged = {item.claimed.entity_id for item in (*done.settlements, *failed)}
            settlements = (*done.settlements, *failed)
            untried = {item.entity_id: item.version for item in claimed}
            untried = {key: version for key, version in untried.items() if key not in held | judged}
            with batch.settling(settlements):
                await self._portions.settle(portion, settlements)
        if untried:
            await again_when_raced(partial(parts.book.put_back, untried), parts.chance)
            portion.left.difference_update(untried)
            await self._portions.leave(portion)
        writer = self._parts.writer
        gathered.sized += [(send, writer.bytes_of(send.target, send.write)) for send in sends]
        gathered.portions.update(dict.fromkeys(held, portion))
        self._portions.drop(portion)
        return len(claimed)

    async def _send_singly(self, gathered: Gathered, sends: Sequence[Send]) -> None:
        """Send what goes into no job by ordinary calls, and settle it; what was not tried is put back."""
        for portion, mine in by_portion(gathered, sends):
            settlements = await self._parts.handler.send(portion.judge, mine, portion.traces)
            await self._portions.conclude(portion, settlements)
            settled = {item.claimed.entity_id for item in settlements}
            await self._portions.let_go(
                gathered, [send for send in mine if send.claimed.entity_id not in settled]
            )

    async def _safely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run a job's task; what fails it ends the actor, whose successor goes on with the job."""
        try:
            await step()
        except Exception as fault:  # noqa: BLE001 - the edge of a job: the others finish their step, then all end
            self._failed(fault)
        finally:
            self._running -= 1
            self._changed()

    async def _wait_for(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Return when *wait* does, or the actor ends."""
        async with anyio.create_task_group() as tasks:

            async def leave_on_end() -> None:
                await self._woken.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(leave_on_end)
            await wait()
            tasks.cancel_scope.cancel()
