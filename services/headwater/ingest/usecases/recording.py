"""Recording events: form, contract, key, then the gather, then the answer after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread

from headwater.ingest.domain.contract import dedup_window_of, judge, judge_policy, skew_of
from headwater.ingest.domain.envelope import WellFormed, check_tenant, read_envelope
from headwater.ingest.domain.event import Arrival, NewEvent, Outcome, refused
from headwater.ingest.domain.minting import microseconds, mint
from headwater.ingest.usecases.gathering import Gather, Ticket
from headwater.ingest.usecases.policies import PolicyBook
from headwater.kernel.clock import Clock
from headwater.kernel.errors import FieldViolation, InvalidInput, Overloaded, Unavailable
from headwater.kernel.ids import IDENTITY_OBJECT, POLICY_OBJECT
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import PolicyDocument


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What callers may ask at once.

    Args:
        batch_events_max: events in one call or message.
        retry_after_s: when a caller that found the gather full should come back.
    """

    batch_events_max: int = 1000
    retry_after_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Submission:
    """A call's events: what was decided at the door, and the ticket of the others.

    Args:
        verdicts: one per event, in order; None where the ticket brings the outcome.
        ticket: None when every event was decided at the door.
    """

    verdicts: tuple[Outcome | None, ...]
    ticket: Ticket | None


class Recorder:
    """Records events of one tenant a call."""

    def __init__(self, gather: Gather, policies: PolicyBook, clock: Clock, settings: RecordSettings) -> None:
        self._gather = gather
        self._policies = policies
        self._clock = clock
        self._settings = settings

    async def record(
        self, tenant_id: str, arrivals: Sequence[Arrival], *, call: TraceContext | None, wait_s: float
    ) -> Sequence[Outcome]:
        """Record events and return one outcome each, after their commit.

        Args:
            arrivals: 1..1000, in the order they happened.
            call: context of the call, for events that bring none.
            wait_s: how long the caller waits.

        Raises:
            InvalidInput: the call itself is malformed.
            Overloaded: the gather is full; nothing was taken.
            Unavailable: not known in time what became of them; sending again is safe.

        Cancellation: the events may be recorded or not; sending again is safe.
        """
        submission = await self.prepare(tenant_id, arrivals, call)
        if submission.ticket is not None and not self._gather.offer(submission.ticket):
            raise Overloaded(
                f"{self._gather.rows} events wait to be recorded; send again later",
                retry_after_s=self._settings.retry_after_s,
            )
        return await self.answer(submission, wait_s)

    async def submit(
        self, tenant_id: str, arrivals: Sequence[Arrival], call: TraceContext | None
    ) -> Submission:
        """Hand events in, waiting for room: the first half of a stream's message.

        Cancellation: the events are not handed in.
        """
        submission = await self.prepare(tenant_id, arrivals, call)
        if submission.ticket is not None:
            await self._gather.put(submission.ticket)
        return submission

    async def answer(self, submission: Submission, wait_s: float) -> Sequence[Outcome]:
        """Wait for the outcomes of what was handed in; raises and cancels as `record`."""
        ticket = submission.ticket
        if ticket is None:
            return [verdict for verdict in submission.verdicts if verdict is not None]
        try:
            with anyio.fail_after(wait_s):
                recorded = iter(await ticket.outcomes())
        except TimeoutError as error:
            self._gather.withdraw(ticket)
            message = f"not known after {wait_s:.1f} s whether the events are recorded; sending again is safe"
            raise Unavailable(message, reason="LOG_SLOW") from error
        except BaseException:
            self._gather.withdraw(ticket)
            raise
        return [next(recorded) if verdict is None else verdict for verdict in submission.verdicts]

    async def prepare(
        self, tenant_id: str, arrivals: Sequence[Arrival], call: TraceContext | None
    ) -> Submission:
        """Judge events at the door: form and contract of each."""
        self._check_call(tenant_id, arrivals)
        policy = await self._policies.find(tenant_id)
        now_us = microseconds(self._clock.now())
        entries = [await self._admit(tenant_id, policy, item, call, now_us) for item in arrivals]
        events = [item for item in entries if isinstance(item, NewEvent)]
        verdicts = tuple(item if isinstance(item, Outcome) else None for item in entries)
        return Submission(verdicts, Ticket(events, call) if events else None)

    async def _admit(
        self,
        tenant_id: str,
        policy: PolicyDocument | None,
        arrival: Arrival,
        call: TraceContext | None,
        now_us: int,
    ) -> NewEvent | Outcome:
        read = read_envelope(arrival, now_us=now_us, skew_s=skew_of(policy, arrival.source))
        if not isinstance(read, WellFormed):
            return refused("MALFORMED", read)
        violations = await _judge(policy, tenant_id, read)
        if isinstance(violations, Outcome):
            return violations
        return mint(
            tenant_id,
            read,
            violations=violations,
            call=call,
            dedup_window_s=dedup_window_of(policy, arrival.source),
        )

    def _check_call(self, tenant_id: str, arrivals: Sequence[Arrival]) -> None:
        violations = check_tenant(tenant_id)
        if not 1 <= len(arrivals) <= self._settings.batch_events_max:
            rule = f"must hold 1 to {self._settings.batch_events_max} events"
            violations = (*violations, FieldViolation("events", str(len(arrivals)), "size", rule))
        if violations:
            raise InvalidInput("the request is malformed", violations=violations)


async def _judge(
    policy: PolicyDocument | None, tenant_id: str, read: WellFormed
) -> tuple[FieldViolation, ...] | Outcome:
    if read.arrival.object == POLICY_OBJECT:
        judged = await anyio.to_thread.run_sync(judge_policy, read.payload)
        return judged if isinstance(judged, Outcome) else ()
    if read.arrival.object == IDENTITY_OBJECT:
        return ()
    return judge(policy, tenant_id, read)
