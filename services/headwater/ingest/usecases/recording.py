"""Recording events: form, contract, key, then the gather, then the answer after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import anyio
import anyio.to_thread

from headwater.ingest.domain.contract import dedup_window_of, judge, judge_policy, skew_of
from headwater.ingest.domain.envelope import WellFormed, check_tenant, read_envelope
from headwater.ingest.domain.event import Arrival, NewEvent, Outcome, refused
from headwater.ingest.domain.minting import microseconds, mint
from headwater.ingest.domain.passage import Door
from headwater.ingest.usecases.attributing import attributed
from headwater.ingest.usecases.gathering import Full, Gather, Ticket
from headwater.ingest.usecases.metering import IngestMeter
from headwater.ingest.usecases.policies import PolicyBook
from headwater.kernel.clock import Clock
from headwater.kernel.errors import FieldViolation, InvalidInput, Overloaded, Unavailable
from headwater.kernel.ids import IDENTITY_OBJECT, POLICY_OBJECT, SLA_OBJECT
from headwater.kernel.security.principal import current_principal
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import PolicyDocument


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What callers may ask at once.

    Args:
        batch_events_max: events in one call or message.
        retention_days: after which days are dropped, so that no policy may keep longer; 0: never.
    """

    batch_events_max: int = 1000
    retention_days: int = 0


@dataclass(frozen=True, slots=True)
class Submission:
    """A call's events: what was decided at the door, and the ticket of the others.

    Args:
        rows: events in all.
        verdicts: one per event, in order; None where the ticket brings the outcome. None altogether where it
            brings them all.
        ticket: None when every event was decided at the door.
    """

    verdicts: tuple[Outcome | None, ...] | None
    ticket: Ticket | None

    rows: int = 0

    @property
    def weight_bytes(self) -> int:
        """Memory that it takes while it waits."""
        return self.ticket.weight_bytes if self.ticket is not None else 0

    @property
    def is_done(self) -> bool:
        """Whether every outcome is known."""
        return self.ticket is None or self.ticket.is_done

    def outcomes(self) -> Sequence[Outcome]:
        """Return what became of each event, in order, once all are known.

        Raises:
            Exception: whatever the ticket failed with.
        """
        recorded = self.ticket.result() if self.ticket is not None else ()
        if self.verdicts is None:
            return recorded
        following = iter(recorded)
        return [next(following) if verdict is None else verdict for verdict in self.verdicts]


class Recorder:
    """Records events of one tenant a call."""

    def __init__(
        self,
        gather: Gather,
        policies: PolicyBook,
        clock: Clock,
        settings: RecordSettings,
        meter: IngestMeter | None = None,
    ) -> None:
        self._meter = meter or IngestMeter()
        self._gather = gather
        self._policies = policies
        self._clock = clock
        self._settings = settings
        self._doors: dict[str, Door] = {}

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
        if submission.ticket is not None:
            full = self._gather.offer(submission.ticket)
            if full is not None:
                self._meter.overloaded(submission.ticket.rows)
                raise _overloaded(full)
        return await self.answer(submission, wait_s)

    async def hand_in(self, submission: Submission) -> None:
        """Queue what was prepared, waiting for room: a stream's way, on which nothing is refused.

        Cancellation: the events are not handed in.
        """
        if submission.ticket is not None:
            await self._gather.put(submission.ticket)

    async def answer(self, submission: Submission, wait_s: float) -> Sequence[Outcome]:
        """Wait for the outcomes of what was handed in; raises and cancels as `record`."""
        ticket = submission.ticket
        if ticket is None:
            return submission.outcomes()
        try:
            with anyio.fail_after(wait_s):
                await ticket.outcomes()
        except TimeoutError as error:
            self._gather.withdraw(ticket)
            message = f"not known after {wait_s:.1f} s whether the events are recorded; sending again is safe"
            raise Unavailable(message, reason="LOG_SLOW") from error
        except BaseException:
            self._gather.withdraw(ticket)
            raise
        return submission.outcomes()

    def withdraw(self, submission: Submission) -> None:
        """Forget what was handed in and nobody waits for any more."""
        if submission.ticket is not None:
            self._gather.withdraw(submission.ticket)

    async def prepare(
        self, tenant_id: str, arrivals: Sequence[Arrival], call: TraceContext | None
    ) -> Submission:
        """Judge events at the door: source, form and contract of each.

        Raises:
            PermissionDenied: one is from a source that the caller may not speak for.
        """
        self._check_call(tenant_id, arrivals)
        arrivals = attributed(current_principal(), arrivals)
        policy = await self._policies.find(tenant_id)
        now_us = microseconds(self._clock.now())
        if policy is None:
            return await self._prepare_closely(
                tenant_id, None, arrivals, [None] * len(arrivals), call, now_us
            )
        admit = self._door(tenant_id, policy).admit
        events = [admit(arrival, now_us, call) for arrival in arrivals]
        if not all(events):  # by truth: a comparison of each with None costs more
            return await self._prepare_closely(tenant_id, policy, arrivals, events, call, now_us)
        return Submission(None, Ticket(cast("list[NewEvent]", events), call), len(events))

    async def _prepare_closely(
        self,
        tenant_id: str,
        policy: PolicyDocument | None,
        arrivals: Sequence[Arrival],
        admitted: Sequence[NewEvent | None],
        call: TraceContext | None,
        now_us: int,
    ) -> Submission:
        """Look closer at every event that was not admitted at once."""
        entries = [
            event or await self._look_closer(tenant_id, policy, arrival, call, now_us)
            for event, arrival in zip(admitted, arrivals, strict=True)
        ]
        events = [item for item in entries if isinstance(item, NewEvent)]
        verdicts = tuple(item if isinstance(item, Outcome) else None for item in entries)
        self._meter.refused(len(entries) - len(events))
        return Submission(verdicts, Ticket(events, call) if events else None, len(entries))

    async def _look_closer(
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
        violations = await _judge(policy, tenant_id, read, self._settings.retention_days)
        if isinstance(violations, Outcome):
            return violations
        window_s = dedup_window_of(policy, arrival.source)
        return mint(tenant_id, read, violations=violations, call=call, dedup_window_s=window_s)

    def _door(self, tenant_id: str, policy: PolicyDocument) -> Door:
        """Return the tenant's door, a new one where its policy is new; as many are kept as there are policies."""
        door = self._doors.get(tenant_id)
        if door is None or door.policy is not policy:
            door = self._doors[tenant_id] = Door(tenant_id, policy)
        return door

    def _check_call(self, tenant_id: str, arrivals: Sequence[Arrival]) -> None:
        violations = check_tenant(tenant_id)
        if not 1 <= len(arrivals) <= self._settings.batch_events_max:
            rule = f"must hold 1 to {self._settings.batch_events_max} events"
            violations = (*violations, FieldViolation("events", str(len(arrivals)), "size", rule))
        if violations:
            raise InvalidInput("the request is malformed", violations=violations)


def _overloaded(full: Full) -> Overloaded:
    if full.share_of:
        message = f"{full.rows} events of tenant {full.share_of!r} wait to be recorded, which is its share"
    else:
        message = f"{full.rows} events wait to be recorded"
    return Overloaded(
        f"{message}; send again later", retry_after_s=full.retry_after_s, quota_subject=full.share_of
    )


async def _judge(
    policy: PolicyDocument | None, tenant_id: str, read: WellFormed, retention_days: int
) -> tuple[FieldViolation, ...] | Outcome:
    if read.arrival.object == POLICY_OBJECT:
        judging = partial(judge_policy, read.payload, retention_days=retention_days)
        judged = await anyio.to_thread.run_sync(judging)
        return judged if isinstance(judged, Outcome) else ()
    if read.arrival.object in {IDENTITY_OBJECT, SLA_OBJECT}:
        return ()
    return judge(policy, tenant_id, read)
