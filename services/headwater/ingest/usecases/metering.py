"""What ingest counts: a batch at a time, never an event. Knows the metrics' names, decides nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter

from headwater.ingest.domain.event import Disposition, Outcome
from headwater.ingest.usecases.ticket import Ticket
from headwater.kernel.metrics import Metrics, names

_disposition = attrgetter("disposition")


class IngestMeter:
    """The counters of one process's door.

    Args:
        ticks: the clock of `Ticket.begun_s`.
    """

    def __init__(self, metrics: Metrics | None = None, ticks: Callable[[], float] = time.monotonic) -> None:
        metrics = metrics or Metrics()
        self._ticks = ticks
        events = metrics.counter(names.INGEST_EVENTS)
        self._events = {one: events.of(one.name.lower()) for one in Disposition}
        unanswered = metrics.counter(names.INGEST_UNANSWERED)
        self._overloaded, self._unavailable = unanswered.of("overloaded"), unanswered.of("unavailable")
        self._latency = metrics.histogram(names.INGEST_ACK).of()

    def answered(self, tickets: Sequence[Ticket], outcomes: Sequence[Outcome]) -> None:
        """Count what one commit has answered."""
        for disposition, count in Counter(map(_disposition, outcomes)).items():
            self._events[disposition].add(count)
        now_s = self._ticks()
        example = next((one for one in tickets if one.call is not None and one.call.sampled), None)
        trace_id = example.call.trace_id if example is not None and example.call is not None else ""
        shown_s = now_s - example.begun_s if example is not None else 0.0
        self._latency.observe([now_s - one.begun_s for one in tickets], trace_id=trace_id, shown=shown_s)

    def refused(self, count: int) -> None:
        """Count events that were refused at the door."""
        self._events[Disposition.REFUSED].add(count)

    def overloaded(self, count: int) -> None:
        """Count events for which there was no room."""
        self._overloaded.add(count)

    def unavailable(self, tickets: Sequence[Ticket]) -> None:
        """Count events that the log did not take."""
        self._unavailable.add(sum(one.rows for one in tickets))
