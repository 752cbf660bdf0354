"""Bulk jobs of one actor: gathers what waits in the backfill lane, hands it to the vendor's jobs, settles the results.

Owns the order of a job's steps and what is durable before each. A job outlives its actor: what is not over when the
actor ends is in the book, and the next actor of the account goes on with it. Nothing is sent twice for that.

    gathered      set aside, in the journal of slots of its own; no job yet
    PREPARING     job and members in the book, then opened, its id kept, then uploaded
    STARTED       kept, then started; looked at until it is over; results settled, a slot at a time
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import anyio
from anyio import lowlevel
from anyio.abc import TaskGroup

from headwater.connectors.base import CallFailed, ErrorClass, Failed, Outcome, VendorError, Write
from headwater.connectors.base.bulk import BulkResults, BulkWriter, JobState
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Spans
from headwater.policy.document import PolicyDocument
from headwater.sync.delivery.desk import Desk
from headwater.sync.delivery.guard import Guard
from headwater.sync.delivery.handling import Handler, Traces
from headwater.sync.delivery.outcomes import Judge
from headwater.sync.delivery.racing import again_when_raced
from headwater.sync.delivery.tracing import QUEUE, batch_spans
from headwater.sync.domain import bulking
from headwater.sync.domain.bulking import Backlog, BulkJob, Course, Phase, Recall, Sized
from headwater.sync.domain.delivering import Send, chunks
from headwater.sync.domain.doubting import Doubts
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import Settlement
from headwater.sync.ports import BulkBook

_log = logging.getLogger(__name__)

JOBS_MAX: Final = 4
"""Jobs of one account at a time."""
LOOK_S: Final = 0.25
"""Pause between two looks at a backlog."""
UNREAD_MAX: Final = 12
"""Tries to read a job's results; then its records are looked up instead."""
SHUT_S: Final = 900.0
"""For how long ordinary calls do it all after the vendor has refused to take jobs."""
FAILED_S: Final = 10.0
"""The same after a job that could not be begun for another reason."""
_REFUSALS: Final = frozenset({ErrorClass.QUOTA, ErrorClass.PERMISSION, ErrorClass.FORMAT})
_UNTOUCHED: Final = VendorError(
    ErrorClass.SERVER, "NOT_PROCESSED", "the job ended before it came to this record"
)
_UNTOLD: Final = VendorError(
    ErrorClass.PARTIAL, "NO_OUTCOME", "the job's results say nothing about this record"
)
_GONE: Final = VendorError(ErrorClass.IN_DOUBT, "JOB_GONE", "the vendor does not know the job any more")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BulkParts:
    """What the jobs of an account are made of; see `ActorParts`."""

    writer: BulkWriter
    book: BulkBook
    desk: Desk
    guard: Guard
    handler: Handler
    recall: Recall
    spans: Spans
    clock: Clock
    chance: random.Random
    doubts: Doubts


@dataclass(slots=True)
class _Portion:
    """What one slot has claimed, as far as it is to be written."""

    slot: int
    judge: Judge
    traces: Traces
    left: set[uuid.UUID] = field(default_factory=set)


@dataclass(slots=True)
class _Gathered:
    sized: list[Sized] = field(default_factory=list)
    portions: dict[uuid.UUID, _Portion] = field(default_factory=dict)


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
        self._portion_rows = document.connectors[name].limits.batch_records
        self._parts = parts
        self._ending = ending
        self._changed = changed
        self._failed = failed
        self._slots: set[int] = set()
        self._jobs = 0
        self._shut_until_s = 0.0
        self._woken = anyio.Event()
        self._gathering = False

    @property
    def busy(self) -> bool:
        """Whether something of this account is under way or gathers."""
        return self._gathering or self._jobs > 0

    def end(self) -> None:
        """Wake whoever waits: the actor ends."""
        self._woken.set()

    async def run(self) -> None:
        """Go on with jobs of before, then hand backlogs to jobs until the actor ends.

        Cancellation: what is gathered and what jobs hold is in the journal and the book, for the successor.

        Raises: FenceLost, StoreRaced, Unavailable.
        """
        self._parts.desk.reserved = frozenset({Lane.BACKFILL})
        left = await self._parts.book.open_jobs()
        await self._raced(self._parts.book.put_strays_back)
        async with anyio.create_task_group() as tasks:
            for job in left:
                self._jobs += 1
                tasks.start_soon(self._safely, partial(self._go_on, job))
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
                course = bulking.choose(backlog, self._parts.writer.limits.records_min, now_s)
                if now_s < self._shut_until_s and course is not Course.NOTHING:
                    course = Course.SINGLY
                if course is Course.NOTHING:
                    return
                self._reserve(course)
                if course is Course.JOB and self._jobs < JOBS_MAX and await self._gather(tasks):
                    backlog = Backlog()
                    continue
                await self._pause(LOOK_S)
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
        gathered = _Gathered()
        claimed = 0
        while claimed < self._parts.writer.limits.records_max and not self._ending():
            count = await self._claim(gathered)
            if not count:
                break
            claimed += count
        if self._ending():
            await self._let_go(gathered, [send for send, _ in gathered.sized])
            return False
        groups = bulking.group(gathered.sized, self._parts.writer.limits)
        for sends in groups.jobs:
            self._jobs += 1
            tasks.start_soon(self._safely, partial(self._carry_out, gathered, sends))
        for part in chunks(groups.singly, self._portion_rows):
            await self._send_singly(gathered, part)
        return claimed > 0

    async def _claim(self, gathered: _Gathered) -> int:
        """Claim a portion, plan it, settle what needs no write."""
        parts, slot = self._parts, self._take_slot()
        claimed = await parts.desk.claim_aside(slot, self._portion_rows, parts.book)
        if not claimed:
            self._slots.discard(slot)
            return 0
        judge = Judge(self._retry, parts.chance, self._document.version, parts.clock.now(), parts.doubts)
        with batch_spans(parts.spans, parts.clock, claimed) as batch:
            portion = _Portion(slot, judge, batch.traces, {item.entity_id for item in claimed})
            sends, done = await parts.handler.prepare(judge, claimed, batch.traces)
            failed = [judge.of_interrupted(item) for failure in done.failures for item in failure.items]
            held = {send.claimed.entity_id for send in sends}
            judged = {item.claimed.entity_id for item in (*done.settlements, *failed)}
            settlements = (*done.settlements, *failed)
            untried = {item.entity_id: item.version for item in claimed}
            untried = {key: version for key, version in untried.items() if key not in held | judged}
            with batch.settling(settlements):
                await self._settle(portion, settlements)
        if untried:
            await self._raced(partial(parts.book.put_back, untried))
            portion.left.difference_update(untried)
            await self._leave(portion)
        writer = self._parts.writer
        gathered.sized += [(send, writer.bytes_of(send.target, send.write)) for send in sends]
        gathered.portions.update(dict.fromkeys(held, portion))
        self._drop(portion)
        return len(claimed)

    async def _send_singly(self, gathered: _Gathered, sends: Sequence[Send]) -> None:
        """Send what goes into no job by ordinary calls, and settle it; what was not tried is put back."""
        by_portion = _by_portion(gathered, sends)
        for portion, mine in by_portion:
            settlements = await self._parts.handler.send(portion.judge, mine, portion.traces)
            await self._conclude(portion, settlements)
            settled = {item.claimed.entity_id for item in settlements}
            await self._let_go(gathered, [send for send in mine if send.claimed.entity_id not in settled])

    async def _carry_out(self, gathered: _Gathered, sends: Sequence[Send]) -> None:
        """Take one job from its beginning to its settled end, or as far as the actor lasts."""
        book, writer = self._parts.book, self._parts.writer
        job = bulking.job_of(uuid.uuid4(), sends, self._document.version)
        target, writes = sends[0].target, [send.write for send in sends]
        await self._raced(partial(book.begin, job))
        try:
            vendor_job = await self._ask(partial(writer.open, target, writes))
            job = replace(job, vendor_job=vendor_job)
            await self._raced(partial(book.note, job))
            await self._ask(partial(writer.upload, vendor_job, target, writes))
        except CallFailed as failed:
            await self._give_up(gathered, job, sends, failed)
            return
        job = replace(job, phase=Phase.STARTED)
        await self._raced(partial(book.note, job))
        _log.info("%s: job %s of %d records begins", self._name, job.vendor_job, len(sends))
        results = await self._results(job, writes, starts=True)
        if results is None:
            return
        await self._settle_results(gathered, sends, results)
        await self._raced(partial(book.end, job.job_id))
        _log.info("%s: job %s is settled", self._name, job.vendor_job)

    async def _give_up(
        self, gathered: _Gathered, job: BulkJob, sends: Sequence[Send], failed: CallFailed
    ) -> None:
        """Put back what a job would have taken: nothing of it was processed."""
        refused = failed.error.error_class in _REFUSALS
        self._shut_until_s = anyio.current_time() + (SHUT_S if refused else FAILED_S)
        _log.warning("%s: a job of %d records is not begun: %s", self._name, len(sends), failed)
        await self._abort(job)
        await self._let_go(gathered, sends)
        await self._raced(partial(self._parts.book.end, job.job_id))

    async def _abort(self, job: BulkJob) -> None:
        if job.vendor_job:
            try:
                await self._ask(partial(self._parts.writer.abort, job.vendor_job))
            except CallFailed as failed:  # never started, it does nothing where it is
                _log.info("%s: job %s is left open: %s", self._name, job.vendor_job, failed)

    async def _results(self, job: BulkJob, writes: Sequence[Write], *, starts: bool) -> BulkResults | None:
        """Start a job, wait until it is over and return its results; None when the actor ends before.

        A start whose answer was lost is looked into: a job that is open still is started again.
        """
        writer, looks, unread = self._parts.writer, 0, 0
        state = JobState.OPEN if starts else JobState.RUNNING
        while not self._ending():
            try:
                if state is JobState.OPEN:
                    state = JobState.RUNNING  # whatever comes of it, a look tells
                    await self._ask(partial(writer.start, job.vendor_job))
                if state is not JobState.DONE:
                    state = await self._ask(partial(writer.look, job.vendor_job))
                if state is JobState.DONE:
                    return await self._ask(partial(writer.results, job.vendor_job, job.target, writes))
            except CallFailed as failed:
                unread += state is JobState.DONE and failed.error.error_class is not ErrorClass.HELD
                _log.info("%s: job %s: %s", self._name, job.vendor_job, failed)
            if state is JobState.GONE or unread >= UNREAD_MAX:
                _log.warning("%s: what job %s did is not to be learned", self._name, job.vendor_job)
                return BulkResults({write.external_id: Failed(_GONE) for write in writes}, frozenset())
            await self._pause(bulking.look_pause_s(looks))
            looks += 1
        return None

    async def _settle_results(self, gathered: _Gathered, sends: Sequence[Send], results: BulkResults) -> None:
        for portion, mine in _by_portion(gathered, sends):
            answers = [(send, _outcome(send, results)) for send in mine]
            await self._conclude(
                portion, await self._parts.handler.conclude(portion.judge, answers, portion.traces)
            )
            await lowlevel.checkpoint()

    async def _conclude(self, portion: _Portion, settlements: Sequence[Settlement]) -> None:
        with self._parts.spans.settle(QUEUE, len(settlements), (item.trace for item in settlements)):
            await self._settle(portion, settlements)
        self._drop(portion)

    async def _settle(self, portion: _Portion, settlements: Sequence[Settlement]) -> None:
        if settlements:
            portion.left.difference_update(item.claimed.entity_id for item in settlements)
            await self._parts.desk.settle_aside(
                portion.slot, settlements, self._parts.book, keeps=bool(portion.left)
            )

    async def _let_go(self, gathered: _Gathered, sends: Sequence[Send]) -> None:
        """Put back what was not tried."""
        if not sends:
            return
        members = {send.claimed.entity_id: send.claimed.version for send in sends}
        await self._raced(partial(self._parts.book.put_back, members))
        for portion, mine in _by_portion(gathered, sends):
            portion.left.difference_update(send.claimed.entity_id for send in mine)
            await self._leave(portion)

    async def _go_on(self, job: BulkJob) -> None:
        """Take a job of a predecessor to its end; what it did is remembered, and settled as the rows are claimed."""
        slot = self._take_slot()
        await self._raced(partial(self._parts.book.journal, slot, list(job.members)))
        outcomes: Mapping[str, Outcome] = {}
        untouched: frozenset[str] | None = None
        if job.phase is Phase.PREPARING:
            await self._abort(job)
        else:
            writes = [Write(str(entity_id), "", {}) for entity_id in job.members]
            results = await self._results(job, writes, starts=False)
            if results is None:
                return
            outcomes, untouched = results.outcomes, results.untouched
        await self._recall(job, outcomes, untouched)
        await self._raced(partial(self._parts.book.journal, slot, ()))
        self._slots.discard(slot)
        _log.info("%s: job %s of before is over", self._name, job.vendor_job or job.job_id)

    async def _recall(
        self, job: BulkJob, outcomes: Mapping[str, Outcome], untouched: frozenset[str] | None
    ) -> None:
        book = self._parts.book
        gone = {
            key for key, outcome in outcomes.items() if isinstance(outcome, Failed) and outcome.error is _GONE
        }
        told = {key: outcome for key, outcome in outcomes.items() if key not in gone}
        if job.policy_version == self._document.version or untouched is None:
            self._parts.recall.remember(job, told, untouched)
            doubtful = [key for key in job.members if untouched is not None]
        else:  # what was sent was planned by another policy: the CRM tells what it holds
            doubtful = list(job.members)
        if job.members:
            await self._raced(partial(book.put_back, job.members, in_doubt=doubtful))
        await self._raced(partial(book.end, job.job_id))

    def _take_slot(self) -> int:
        slot = bulking.SLOT_FIRST
        while slot in self._slots:
            slot += 1
        self._slots.add(slot)
        return slot

    async def _leave(self, portion: _Portion) -> None:
        """Take a portion of which nothing is under way any more out of the journal."""
        if not portion.left:
            await self._parts.desk.settle_aside(portion.slot, (), self._parts.book, keeps=False)
            self._drop(portion)

    def _drop(self, portion: _Portion) -> None:
        if not portion.left:
            self._slots.discard(portion.slot)

    async def _ask(self, call: Callable[[], Awaitable[Result]]) -> Result:
        return await self._parts.guard.ask("write", call)

    async def _raced(self, change: Callable[[], Awaitable[None]]) -> None:
        await again_when_raced(change, self._parts.chance)

    async def _safely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run a job's task; what fails it ends the actor, whose successor goes on with the job."""
        try:
            await step()
        except Exception as fault:  # noqa: BLE001 - the edge of a job: the others finish their step, then all end
            self._failed(fault)
        finally:
            self._jobs -= 1
            self._changed()

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._woken.wait()

    async def _wait_for(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Return when *wait* does, or the actor ends."""
        async with anyio.create_task_group() as tasks:

            async def leave_on_end() -> None:
                await self._woken.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(leave_on_end)
            await wait()
            tasks.cancel_scope.cancel()


def _by_portion(gathered: _Gathered, sends: Sequence[Send]) -> Sequence[tuple[_Portion, list[Send]]]:
    found: dict[int, tuple[_Portion, list[Send]]] = {}
    for send in sends:
        portion = gathered.portions[send.claimed.entity_id]
        found.setdefault(portion.slot, (portion, []))[1].append(send)
    return list(found.values())


def _outcome(send: Send, results: BulkResults) -> Outcome:
    external_id = send.write.external_id
    if external_id in results.outcomes:
        return results.outcomes[external_id]
    return Failed(_UNTOUCHED if external_id in results.untouched else _UNTOLD)
