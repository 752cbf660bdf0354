"""What the services count, batch by batch."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from headwater.ingest.domain.event import Disposition, Outcome
from headwater.ingest.usecases.metering import IngestMeter
from headwater.kernel.metrics import Metrics, names
from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.settling import State
from headwater.sync.metering import AccountMeter

NOW = dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC)
TRACE = TraceContext(f"00-{'a' * 32}-{'b' * 16}-01")


@dataclass
class Row:
    """What a meter looks at of a claimed delivery."""

    dirty_time: dt.datetime
    tries_before: int = 0
    entity_id: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass
class Tried:
    """What a meter looks at of a settlement."""

    claimed: Row
    outcome: str
    state: State
    error_class: str = ""
    trace: TraceContext | None = None


def _tried(outcome: str, state: State, *, age_s: float = 1.0, tries: int = 0, **more: Any) -> Any:
    return Tried(Row(NOW - dt.timedelta(seconds=age_s), tries), outcome, state, **more)


def _values(metrics: Metrics, metric: names.Metric) -> dict[tuple[str, ...], float]:
    return {labels: one.value for labels, one in metrics.counter(metric).series.items() if one.value}


def test_settlements_are_counted_by_how_they_ended() -> None:
    """Attempts by first and retry, deliveries by their end, errors by class, records made: one pass over a batch."""
    metrics = Metrics("sync")
    AccountMeter("hubspot", metrics).settled(
        [
            _tried("created", State.DELIVERED),
            _tried("updated", State.DELIVERED, tries=2),
            _tried("superseded", State.DELIVERED),
            _tried("failed", State.RETRYING, error_class="server"),
            _tried("failed", State.DEAD, error_class="validation"),
            _tried("in_doubt", State.IN_DOUBT, error_class="in_doubt"),
            _tried("", State.PENDING),
        ],
        NOW,
    )
    assert _values(metrics, names.DELIVERIES) == {
        ("hubspot", "delivered"): 2, ("hubspot", "superseded"): 1, ("hubspot", "dead"): 1,
    }  # fmt: skip
    assert _values(metrics, names.DELIVERY_ATTEMPTS) == {
        ("hubspot", "first", "delivered"): 2, ("hubspot", "retry", "delivered"): 1,
        ("hubspot", "first", "failed"): 2, ("hubspot", "first", "in_doubt"): 1,
    }  # fmt: skip
    assert _values(metrics, names.DELIVERY_ERRORS) == {
        ("hubspot", "server"): 1, ("hubspot", "validation"): 1, ("hubspot", "in_doubt"): 1,
    }  # fmt: skip
    assert _values(metrics, names.RECORDS_CREATED) == {("hubspot",): 1}


def test_a_batch_of_like_settlements_is_counted_whole() -> None:
    """What is alike is compared, not hashed: with the same numbers in the end."""
    metrics = Metrics("sync")
    meter = AccountMeter("hubspot", metrics)
    meter.settled([_tried("updated", State.DELIVERED) for _ in range(100)], NOW)
    meter.settled([_tried("failed", State.RETRYING, error_class="server", tries=1) for _ in range(7)], NOW)
    meter.settled([_tried("", State.PENDING)], NOW)
    assert _values(metrics, names.DELIVERY_ATTEMPTS) == {
        ("hubspot", "first", "delivered"): 100, ("hubspot", "retry", "failed"): 7,
    }  # fmt: skip
    assert _values(metrics, names.DELIVERIES) == {("hubspot", "delivered"): 100}
    assert (
        dict(line[:2] for line in metrics.histogram(names.DELIVERY_LATENCY).of("hubspot").lines())["+Inf"]
        == 100
    )


def test_latency_is_between_two_times_of_the_database() -> None:
    """What was written counts, retries included; its slow example leads to a trace."""
    metrics = Metrics("sync")
    late = _tried("updated", State.DELIVERED, age_s=70.0, tries=3, trace=TRACE)
    same = _tried("unchanged", State.DELIVERED, age_s=9_000.0)
    AccountMeter("hubspot", metrics).settled([_tried("created", State.DELIVERED, age_s=0.2), late, same], NOW)
    series = metrics.histogram(names.DELIVERY_LATENCY).of("hubspot")
    told = dict(line[:2] for line in series.lines())
    assert (told["0.25"], told["60.0"], told["120.0"], told["+Inf"]) == (1, 1, 2, 2)
    assert [one.labels for one in series.exemplars if one is not None] == [{"trace_id": "a" * 32}]


def test_calls_are_counted_by_the_class_of_their_answer() -> None:
    """429 stands apart from other refusals, and so does an answer that never came."""
    metrics = Metrics("sync")
    meter = AccountMeter("hubspot", metrics)
    for status in (200, 204, 404, 429, 503, None):
        meter.called(status)
    assert _values(metrics, names.CRM_CALLS) == {
        ("hubspot", "2xx"): 2, ("hubspot", "4xx"): 1, ("hubspot", "429"): 1, ("hubspot", "5xx"): 1,
        ("hubspot", "none"): 1,
    }  # fmt: skip


@dataclass
class Waiting:
    """What a meter looks at of a ticket."""

    begun_s: float
    rows: int
    call: TraceContext | None = None


def test_ingest_counts_a_commit_at_once() -> None:
    """Events by disposition, one latency a call, an example of a sampled call."""
    metrics = Metrics("ingest")
    meter = IngestMeter(metrics, lambda: 10.0)
    tickets: Any = [Waiting(9.7, 2), Waiting(9.96, 1, TRACE)]
    meter.answered(
        tickets,
        [Outcome(Disposition.ACCEPTED), Outcome(Disposition.ACCEPTED), Outcome(Disposition.DUPLICATE)],
    )
    meter.refused(4)
    assert _values(metrics, names.INGEST_EVENTS) == {("accepted",): 2, ("duplicate",): 1, ("refused",): 4}
    series = metrics.histogram(names.INGEST_ACK).of()
    told = dict(line[:2] for line in series.lines())
    assert (told["0.025"], told["0.05"], told["0.25"], told["0.5"]) == (0, 1, 1, 2)
    assert sum(one is not None for one in series.exemplars) == 1


def test_events_without_an_answer_are_counted_by_cause() -> None:
    """No room, and a log that does not take them, are two things."""
    metrics = Metrics("ingest")
    meter = IngestMeter(metrics)
    waiting: Any = [Waiting(0.0, 3), Waiting(0.0, 4)]
    meter.overloaded(5)
    meter.unavailable(waiting)
    assert _values(metrics, names.INGEST_UNANSWERED) == {("overloaded",): 5, ("unavailable",): 7}
