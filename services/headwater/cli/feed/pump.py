"""Sends rows as events over a stream, in order, and tallies what became of each.

Rows go out in batches; a batch's acknowledgement moves the tally past every row up to its last one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from headwater.cli.feed.checkpoint import Tally, outcome_name
from headwater.cli.feed.rows import Row, Unreadable
from headwater.client.ingest import IngestClient
from headwater.client.outcomes import Quarantined, Refused
from headwater.client.stream import Acknowledged
from headwater.event.v1 import event_pb2

BATCH_EVENTS = 200
"""Events a batch: large enough to be cheap, small enough to show progress."""
PARTS_S = 40
"""Batches a second that a paced feed goes in: what comes beside it waits for small ones only."""
EXAMPLES_MAX = 20
"""Troubled rows that are told in words; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A row that did not become an accepted event, for people to read."""

    number: int
    outcome: str
    detail: str


@dataclass(slots=True)
class _Batch:
    events: list[event_pb2.Event] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: int = 0


class Pump:
    """One file on its way in.

    Args:
        rate: events a second at most; None: as fast as they are taken.
    """

    def __init__(
        self,
        tally: Tally,
        to_event: Callable[[Row], event_pb2.Event],
        progressed: Callable[[Tally], None],
        rate: float | None = None,
    ) -> None:
        self._rate = rate
        self._batch_events = (
            BATCH_EVENTS if rate is None else max(1, min(BATCH_EVENTS, round(rate / PARTS_S)))
        )
        self.tally = tally
        self.troubles: list[Trouble] = []
        self._to_event = to_event
        self._progressed = progressed
        self._sent: deque[_Batch] = deque()

    async def send(self, client: IngestClient, rows: Iterable[Row | Unreadable]) -> None:
        """Send every row after those that the tally has done already; returns when all are acknowledged."""
        skip = self.tally.rows_done
        begins_s, sent = anyio.current_time(), 0
        async with client.stream(self._acknowledged) as stream:
            batch = _Batch()
            for row in rows:
                if row.number <= skip:
                    continue
                self._add(batch, row)
                if len(batch.events) >= self._batch_events:
                    self._sent.append(batch)
                    await stream.send(batch.events)
                    sent += len(batch.events)
                    batch = _Batch()
                    if self._rate is not None:
                        await anyio.sleep_until(begins_s + sent / self._rate)
            if batch.events:
                self._sent.append(batch)
                await stream.send(batch.events)
                batch = _Batch()
            await stream.drain()
            self._settle(batch, ())

    def _add(self, batch: _Batch, row: Row | Unreadable) -> None:
        batch.rows += 1
        if isinstance(row, Unreadable):
            batch.unreadable.append(row)
            return
        batch.events.append(self._to_event(row))
        batch.numbers.append(row.number)
        if row.note:
            batch.notes.append(row.note)

    def _acknowledged(self, acknowledged: Acknowledged) -> None:
        batch = self._sent.popleft()
        for number, outcome in zip(batch.numbers, acknowledged.outcomes, strict=True):
            if isinstance(outcome, (Quarantined, Refused)):
                rules = "; ".join(f"{item.field}: {item.description}" for item in outcome.violations)
                reason = outcome.reason if isinstance(outcome, Refused) else ""
                self._tell(Trouble(number, outcome_name(outcome), f"{reason} {rules}".strip()))
        self._settle(batch, [outcome_name(outcome) for outcome in acknowledged.outcomes])

    def _settle(self, batch: _Batch, outcomes: Sequence[str]) -> None:
        if not batch.rows:
            return
        for item in batch.unreadable:
            self._tell(Trouble(item.number, f"unreadable.{item.reason}", item.detail))
        for note in batch.notes:
            self.tally.note(note)
        self.tally.count([*outcomes, *(f"unreadable.{item.reason}" for item in batch.unreadable)], batch.rows)
        self._progressed(self.tally)

    def _tell(self, trouble: Trouble) -> None:
        if len(self.troubles) < EXAMPLES_MAX:
            self.troubles.append(trouble)
