"""The exporting half: what a slow, dead or failing receiver costs."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from headwater.kernel.telemetry.export import BoundedSpanPipe, OneLineEvery
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer

QUEUE = 8
BATCH = 4
FLUSH_S = 0.01
PATIENCE_MS = 5_000


class Receiver:
    """A receiver that answers when it is let, and as it is told."""

    def __init__(self, *, open_gate: bool = True) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[int] = []
        self.answer: SpanExportResult | Exception = SpanExportResult.SUCCESS
        if open_gate:
            self.gate.set()

    def export(self, spans: Sequence[RecordedSpan]) -> SpanExportResult:
        self.entered.set()
        self.gate.wait(10)
        self.batches.append(len(spans))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def shutdown(self) -> None:
        self.gate.set()


@contextmanager
def _piped(receiver: Receiver, ratio: float = 1.0) -> Iterator[tuple[BoundedSpanPipe, RecordingTracer]]:
    pipe = BoundedSpanPipe(
        receiver,
        queue_spans_max=QUEUE,
        batch_spans_max=BATCH,
        flush_interval_s=FLUSH_S,
        wall_time=lambda: 1_000.0,
    )
    try:
        yield pipe, RecordingTracer(ratio, pipe.take)
    finally:
        receiver.gate.set()
        pipe.shutdown_within(5)


def _end_spans(tracer: RecordingTracer, count: int) -> None:
    for _ in range(count):
        tracer.start_span("work").end()


def test_every_span_is_exported_and_counted_when_the_receiver_answers() -> None:
    """Spans go out in bounded batches and the counters add up."""
    receiver = Receiver()
    with _piped(receiver) as (pipe, tracer):
        _end_spans(tracer, 6)
        assert pipe.force_flush(PATIENCE_MS)
        stats = pipe.stats()
    assert (stats.ended, stats.exported, stats.dropped, stats.failed, stats.queued) == (6, 6, 0, 0, 0)
    assert stats.last_export_time_s == 1_000.0
    assert sum(receiver.batches) == 6
    assert max(receiver.batches) <= BATCH


def test_full_queue_drops_and_counts_when_the_receiver_hangs() -> None:
    """A hanging receiver costs spans past the bound and never blocks the one who ends them."""
    receiver = Receiver(open_gate=False)
    with _piped(receiver) as (pipe, tracer):
        _end_spans(tracer, 1)
        assert receiver.entered.wait(5)
        _end_spans(tracer, QUEUE + 5)
        stats = pipe.stats()
    assert (stats.queued, stats.dropped) == (QUEUE, 5)


@pytest.mark.parametrize("answer", [SpanExportResult.FAILURE, RuntimeError("cannot encode")])
def test_failed_export_is_counted_and_the_thread_goes_on(answer: SpanExportResult | Exception) -> None:
    """A batch given up is counted as failed; the next one is tried."""
    receiver = Receiver()
    receiver.answer = answer
    with _piped(receiver) as (pipe, tracer):
        _end_spans(tracer, 1)
        assert pipe.force_flush(PATIENCE_MS)
        receiver.answer = SpanExportResult.SUCCESS
        _end_spans(tracer, 1)
        assert pipe.force_flush(PATIENCE_MS)
        stats = pipe.stats()
    assert (stats.failed, stats.exported) == (1, 1)


def test_shutdown_flushes_what_waits() -> None:
    """Spans that wait at the end are sent before the stop."""
    receiver = Receiver()
    with _piped(receiver) as (pipe, tracer):
        _end_spans(tracer, 3)
        assert pipe.shutdown_within(5) is True
        assert pipe.stats().exported == 3


def test_shutdown_gives_up_in_time_when_the_receiver_hangs() -> None:
    """The end waits no longer than told, and what was left counts as dropped."""
    receiver = Receiver(open_gate=False)
    with _piped(receiver) as (pipe, tracer):
        _end_spans(tracer, 1)
        assert receiver.entered.wait(5)
        _end_spans(tracer, 2)
        assert pipe.shutdown_within(0.05) is False
        assert pipe.stats().dropped == 2


def test_unsampled_span_never_enters_the_queue() -> None:
    """At ratio zero an unmarked span costs nothing downstream."""
    with _piped(Receiver(), ratio=0.0) as (pipe, tracer):
        _end_spans(tracer, 3)
        assert pipe.stats().ended == 0


def test_error_lines_are_held_back_and_counted() -> None:
    """One line an interval gets through; the next says how many did not."""
    now = [0.0]
    gate = OneLineEvery(60.0, monotonic=lambda: now[0])

    def passes() -> str | None:
        record = logging.makeLogRecord({"msg": "failed %s", "args": ("x",)})
        return record.getMessage() if gate.filter(record) else None

    assert [passes(), passes(), passes()] == ["failed x", None, None]
    now[0] = 60.0
    assert passes() == "failed x (2 lines held back)"
