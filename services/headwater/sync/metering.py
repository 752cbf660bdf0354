"""What sync counts: a batch at a time, never an event. Knows the metrics' names, decides nothing.

A delivery's latency is taken between two times of the database's clock: the record time of the oldest event that
the CRM did not hold, and the turn that settled it.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from headwater.connectors.base import ErrorClass
from headwater.connectors.base.streaming import Heard
from headwater.kernel.metrics import Metrics, names
from headwater.sync.domain.limiting import HTTP_TOO_MANY
from headwater.sync.domain.projecting import Effect
from headwater.sync.domain.settling import Settlement, State

_CLASSES: Final = frozenset(one.value for one in ErrorClass)
_WRITTEN: Final = frozenset({"created", "updated"})
"""Outcomes that changed a record in the CRM."""
EXAMPLES_LOOKED_AT: Final = 64
"""Deliveries of a batch among which one is looked for whose trace is kept: an example now and then is enough."""

_Key = tuple[str, State, str, bool]


class ProjectionMeter:
    """The counters of one process's projector."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        events = (metrics or Metrics()).counter(names.EVENTS_PROJECTED)
        self._projected, self._superseded = events.of("projected"), events.of("superseded")
        self._poisoned = events.of("poisoned")

    def projected(self, effects: Sequence[Effect]) -> None:
        """Count how the events of one batch ended."""
        poisoned = sum([one.poisoned for one in effects])
        superseded = sum([one.superseded for one in effects])
        self._poisoned.add(poisoned)
        self._superseded.add(superseded)
        self._projected.add(len(effects) - poisoned - superseded)


class StreamMeter:
    """The counters of one process's streams of changes."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._changes = self._metrics.counter(names.STREAM_CHANGES)
        self._ends = self._metrics.counter(names.STREAM_ENDS)

    def heard(self, connector: str, heard: Heard) -> None:
        """Count what was told at once."""
        counts = {"wanted": len(heard.wanted), "unread": heard.unread, "unreadable": heard.unreadable}
        for outcome, count in counts.items():
            if count:
                self._changes.of(connector, outcome).add(count)

    def ended(self, connector: str, cause: ErrorClass) -> None:
        """Count a stream that ended, or would not open."""
        self._ends.of(connector, cause.value).add()

    def lost(self, connector: str) -> None:
        """Count a place that the vendor has forgotten."""
        self._ends.of(connector, "mark_lost").add()


class AccountMeter:
    """The counters of one connector account."""

    def __init__(self, connector: str, metrics: Metrics | None = None) -> None:
        metrics = metrics or Metrics()
        metrics.expect(connector=connector)
        self._connector = connector
        self._deliveries = metrics.counter(names.DELIVERIES)
        self._attempts = metrics.counter(names.DELIVERY_ATTEMPTS)
        self._errors = metrics.counter(names.DELIVERY_ERRORS)
        self._created = metrics.counter(names.RECORDS_CREATED).of(connector)
        self._latency = metrics.histogram(names.DELIVERY_LATENCY).of(connector)
        self._calls = metrics.counter(names.CRM_CALLS)

    def settled(self, items: Sequence[Settlement], now: dt.datetime | None) -> None:
        """Count how tries ended.

        Args:
            now: when they were settled, by the database's clock; None where nobody knows.
        """
        tried = [one for one in items if one.outcome]
        keys = [(one.outcome, one.state, one.error_class, one.claimed.tries_before > 0) for one in tried]
        ended = _counted(keys)
        for (outcome, state, error_class, again), count in ended.items():
            self._count(outcome, state, error_class, count, again=again)
        if now is not None:
            alike = all(outcome in _WRITTEN for outcome, *_ in ended)
            self._time(tried if alike else [one for one in tried if one.outcome in _WRITTEN], now)

    def called(self, status: int | None) -> None:
        """Count a call to the CRM by its answer's status; None: none came."""
        shown = "none" if status is None else "429" if status == HTTP_TOO_MANY else f"{status // 100}xx"
        self._calls.of(self._connector, shown).add()

    def _count(self, outcome: str, state: State, error_class: str, count: int, *, again: bool) -> None:
        attempt = "retry" if again else "first"
        result = outcome if outcome in {"failed", "in_doubt"} else "delivered"
        self._attempts.of(self._connector, attempt, result).add(count)
        if outcome == "created":
            self._created.add(count)
        if error_class in _CLASSES and result != "delivered":
            self._errors.of(self._connector, error_class).add(count)
        if state is State.DEAD:
            self._deliveries.of(self._connector, "dead").add(count)
        elif state is State.DELIVERED:
            ending = "superseded" if outcome == "superseded" else "delivered"
            self._deliveries.of(self._connector, ending).add(count)

    def _time(self, written: Sequence[Settlement], now: dt.datetime) -> None:
        if not written:
            return
        latencies = [(now - one.claimed.dirty_time).total_seconds() for one in written]
        looked_at = written[:EXAMPLES_LOOKED_AT]
        place = next(
            (n for n, one in enumerate(looked_at) if one.trace is not None and one.trace.sampled), None
        )
        if place is None:
            self._latency.observe(latencies)
            return
        trace = written[place].trace
        assert trace is not None  # noqa: S101 - chosen for having one
        self._latency.observe(latencies, trace_id=trace.trace_id, shown=latencies[place])


def _counted(keys: list[_Key]) -> Mapping[_Key, int]:
    """Count keys; mostly all of a batch are alike, which comparing finds out in half the time of hashing."""
    if keys and keys.count(keys[0]) == len(keys):
        return {keys[0]: len(keys)}
    return Counter(keys)
