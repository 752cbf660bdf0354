"""The course of one bulk job: opened, uploaded, started, looked at, settled; and of one that a predecessor began.

PREPARING     job and members in the book, then opened, its id kept, then uploaded
STARTED       kept, then started; looked at until it is over; results settled, a portion at a time
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

import anyio

from headwater.connectors.base import CallFailed, ErrorClass, Failed, Outcome, VendorError, Write
from headwater.connectors.base.bulk import BulkResults, JobState
from headwater.policy.document import PolicyDocument
from headwater.sync.bulking.portions import BulkParts, Gathered, Portions, by_portion
from headwater.sync.delivery.racing import again_when_raced
from headwater.sync.domain import bulking
from headwater.sync.domain.bulking import BulkJob, Phase
from headwater.sync.domain.delivering import Send

_log = logging.getLogger(__name__)

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


class Jobs:
    """The jobs of one actor.

    Args:
        ending: whether the actor is to end; then no further step begins.
    """

    def __init__(
        self,
        name: str,
        document: PolicyDocument,
        parts: BulkParts,
        portions: Portions,
        ending: Callable[[], bool],
    ) -> None:
        self._name = name
        self._document = document
        self._parts = parts
        self._portions = portions
        self._ending = ending
        self._woken = anyio.Event()
        self.shut_until_s = 0.0
        """Loop time before which no job is begun."""

    def end(self) -> None:
        """Wake whoever waits: the actor ends."""
        self._woken.set()

    async def carry_out(self, gathered: Gathered, sends: Sequence[Send]) -> None:
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

    async def go_on(self, job: BulkJob) -> None:
        """Take a job of a predecessor to its end; what it did is remembered, and settled as the rows are claimed."""
        slot = self._portions.take_slot()
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
        self._portions.give_back(slot)
        _log.info("%s: job %s of before is over", self._name, job.vendor_job or job.job_id)

    async def _give_up(
        self, gathered: Gathered, job: BulkJob, sends: Sequence[Send], failed: CallFailed
    ) -> None:
        """Put back what a job would have taken: nothing of it was processed."""
        refused = failed.error.error_class in _REFUSALS
        self.shut_until_s = anyio.current_time() + (SHUT_S if refused else FAILED_S)
        _log.warning("%s: a job of %d records is not begun: %s", self._name, len(sends), failed)
        await self._abort(job)
        await self._portions.let_go(gathered, sends)
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
            await self.pause(bulking.look_pause_s(looks))
            looks += 1
        return None

    async def _settle_results(self, gathered: Gathered, sends: Sequence[Send], results: BulkResults) -> None:
        for portion, mine in by_portion(gathered, sends):
            answers = [(send, _outcome(send, results)) for send in mine]
            settlements = await self._parts.handler.conclude(portion.judge, answers, portion.traces)
            async with self._parts.lulls.turn():
                await self._portions.conclude(portion, settlements)

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

    async def _ask(self, call: Callable[[], Awaitable[Result]]) -> Result:
        return await self._parts.guard.ask("write", call)

    async def _raced(self, change: Callable[[], Awaitable[None]]) -> None:
        await again_when_raced(change, self._parts.chance)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the actor ends."""
        with anyio.move_on_after(seconds):
            await self._woken.wait()


def _outcome(send: Send, results: BulkResults) -> Outcome:
    external_id = send.write.external_id
    if external_id in results.outcomes:
        return results.outcomes[external_id]
    return Failed(_UNTOUCHED if external_id in results.untouched else _UNTOLD)
