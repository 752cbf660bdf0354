"""Group commit: takes what has gathered, records it in one commit, then answers every caller.

No timer: while one batch commits, the next one gathers. The ledger makes a repeated flush safe, so a commit
whose answer was lost is simply done again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from headwater.ingest.domain.event import NewEvent, Outcome, refused
from headwater.ingest.domain.keys import key_text
from headwater.ingest.ports import EventLog, LogUnavailable, RowsRejected
from headwater.ingest.usecases.gathering import Gather, Ticket
from headwater.ingest.usecases.metering import IngestMeter
from headwater.ingest.usecases.policies import PolicyBook
from headwater.kernel.errors import FieldViolation
from headwater.kernel.ids import POLICY_OBJECT
from headwater.kernel.telemetry import Spans, under

QUEUE = "event_log"
"""Name of the log on spans."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FlushSettings:
    """How batches are cut and how long a failing one is tried.

    Args:
        rows_max: events in one commit, unless a single call brings more.
        retry_s: how long a flush is tried again before its callers are told.
        backoff_s_max: longest pause between two tries; the first is a tenth of it at most.
    """

    rows_max: int = 1000
    retry_s: float = 30.0
    backoff_s_max: float = 1.0


class Flusher:
    """One of the actors that move events from the gather to the log."""

    def __init__(
        self,
        gather: Gather,
        log: EventLog,
        policies: PolicyBook,
        spans: Spans,
        settings: FlushSettings,
        chance: random.Random,
        meter: IngestMeter | None = None,
    ) -> None:
        self._meter = meter or IngestMeter()
        self._gather = gather
        self._event_log = log
        self._policies = policies
        self._spans = spans
        self._settings = settings
        self._chance = chance

    async def run(self) -> None:
        """Flush until the gather is closed and empty.

        Cancellation: callers of the batch under way are not answered; it may be recorded or not.
        """
        while tickets := await self._gather.take(self._settings.rows_max):
            try:
                await self._flush(tickets)
            finally:
                self._gather.done()

    async def _flush(self, tickets: Sequence[Ticket]) -> None:
        events = [event for ticket in tickets for event in ticket.events]
        try:
            with self._span(tickets, events):
                outcomes = await self._append_patiently(tickets, events)
            if any(event.object == POLICY_OBJECT for event in events):
                await self._policies.refresh()
        except Exception as error:  # noqa: BLE001 - the actor's edge: callers are told, the next batch gets its chance
            if not isinstance(error, LogUnavailable):
                _log.exception("flush failed", extra={"rows": len(events)})
            self._meter.unavailable(tickets)
            for ticket in tickets:
                ticket.fail(error)
            return
        _settle(tickets, outcomes)
        self._meter.answered(tickets, outcomes)

    async def _append_patiently(
        self, tickets: Sequence[Ticket], events: Sequence[NewEvent]
    ) -> Sequence[Outcome]:
        give_up_at = anyio.current_time() + self._settings.retry_s
        pause_s = self._settings.backoff_s_max / 10
        while True:
            try:
                return await self._append(events)
            except LogUnavailable as error:
                nobody_waits = all(ticket.abandoned for ticket in tickets)
                if nobody_waits or anyio.current_time() + pause_s > give_up_at:
                    raise
                _log.warning("flush failed, will try again: %s", error, extra={"rows": len(events)})
            await anyio.sleep(self._chance.uniform(0, pause_s))
            pause_s = min(2 * pause_s, self._settings.backoff_s_max)

    async def _append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Record *events*; where the database refuses some row, halve until only that row is refused."""
        try:
            return await self._event_log.append(events)
        except RowsRejected as error:
            if len(events) == 1:
                _log.exception("row rejected", extra={"event_key": key_text(events[0].event_key)})
                broken = FieldViolation("event", "", "storable", error.message)
                return (refused(error.reason, (broken,), events[0].event_key),)
        middle = len(events) // 2
        return (*await self._append(events[:middle]), *await self._append(events[middle:]))

    @contextmanager
    def _span(self, tickets: Sequence[Ticket], events: Sequence[NewEvent]) -> Iterator[None]:
        """Span the flush under its first sampled call, linked to every sampled event; nothing where none is."""
        members = [event.trace for event in events if event.trace is not None and event.trace.sampled]
        parent = next((t.call for t in tickets if t.call is not None and t.call.sampled), None)
        parent = parent or (members[0] if members else None)
        if parent is None:
            yield
            return
        with under(parent), self._spans.insert(QUEUE, len(events), members):
            yield


def _settle(tickets: Sequence[Ticket], outcomes: Sequence[Outcome]) -> None:
    start = 0
    for ticket in tickets:
        end = start + len(ticket.events)
        ticket.settle(outcomes[start:end])
        start = end
