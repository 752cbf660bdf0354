"""The exporting half of telemetry: bounded queue, export thread. Imported only when spans are on.

Of the SDK it takes the resource and the sender of messages. The queue and its thread are ours rather than the SDK's BatchSpanProcessor, which counts
no drops where a metrics page could read them and joins its thread for a fixed 30 s at shutdown. Must not be
imported by anything but `setup`.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from opentelemetry.sdk.trace.export import SpanExportResult

from headwater.kernel.telemetry.otlp import Encoder, OtlpExporter
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer
from headwater.kernel.telemetry.setup import TelemetrySettings, TelemetryStats

SCOPE: Final = "headwater"
ERROR_LOG_INTERVAL_S: Final = 60.0
"""Seconds between two lines about failing exports."""

_EXPORTER_LOGGER: Final = "opentelemetry.exporter.otlp.proto.grpc.exporter"


class SpanSender(Protocol):
    """What sends spans to a receiver, in the words of the SDK."""

    def export(self, spans: Sequence[RecordedSpan], /) -> SpanExportResult:
        """Send a batch; blocks until it is answered or given up."""
        ...

    def shutdown(self) -> None:
        """Give up what is under way, and send no more."""
        ...


class BoundedSpanPipe:
    """Carries ended spans to an exporter from one thread; a full queue drops the newest and counts it."""

    def __init__(
        self,
        exporter: SpanSender,
        *,
        queue_spans_max: int,
        batch_spans_max: int,
        flush_interval_s: float,
        wall_time: Callable[[], float] = time.time,
    ) -> None:
        self._exporter = exporter
        self._queue: deque[RecordedSpan] = deque()
        self._queue_spans_max = queue_spans_max
        self._batch_spans_max = batch_spans_max
        self._flush_interval_s = flush_interval_s
        self._wall_time = wall_time
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._given_up = False
        self._ended = self._exported = self._dropped = self._failed = 0
        self._last_export_time_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def take(self, span: RecordedSpan) -> None:
        """Queue a span that ended, or drop it where the queue is full; never blocks on the exporter."""
        with self._lock:
            self._ended += 1
            if self._stopping or len(self._queue) >= self._queue_spans_max:
                self._dropped += 1
                return
            self._queue.append(span)
            full_batch = len(self._queue) >= self._batch_spans_max
        if full_batch and not self._wake.is_set():
            self._wake.set()

    def stats(self) -> TelemetryStats:
        """Return the counters."""
        with self._lock:
            return TelemetryStats(
                ended=self._ended,
                exported=self._exported,
                dropped=self._dropped,
                failed=self._failed,
                queued=len(self._queue),
                last_export_time_s=self._last_export_time_s,
            )

    def shutdown_within(self, timeout_s: float) -> bool:
        """Flush and stop; False when time ran out and spans were left."""
        with self._lock:
            first, self._stopping = not self._stopping, True
        if not first:
            return not self._queue
        self._wake.set()
        self._thread.join(timeout_s)
        self._given_up = True
        self._exporter.shutdown()
        with self._lock:
            left = len(self._queue)
            self._dropped += left
            self._queue.clear()
        return left == 0 and not self._thread.is_alive()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wake the thread and wait until the queue is empty or time is up."""
        deadline = time.monotonic() + timeout_millis / 1_000
        while self._unsettled() and time.monotonic() < deadline and self._thread.is_alive():
            self._wake.set()
            self._thread.join(0.005)
        return not self._unsettled()

    def _unsettled(self) -> int:
        with self._lock:
            return self._ended - self._exported - self._dropped - self._failed

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._flush_interval_s)
            self._wake.clear()
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while not self._given_up and (batch := self._take()):
            exported = self._export(batch)
            with self._lock:
                if exported:
                    self._exported += len(batch)
                    self._last_export_time_s = self._wall_time()
                else:
                    self._failed += len(batch)

    def _take(self) -> list[RecordedSpan]:
        with self._lock:
            return [self._queue.popleft() for _ in range(min(self._batch_spans_max, len(self._queue)))]

    def _export(self, batch: list[RecordedSpan]) -> bool:
        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # the edge of the export thread: a span that cannot be encoded must not end it
            logging.getLogger(_EXPORTER_LOGGER).exception("span export failed")
            return False


class OneLineEvery(logging.Filter):
    """Lets one record through each interval; the rest are counted and named in the next line."""

    def __init__(self, interval_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._next_s = float("-inf")
        self._held_back = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether this record may be written."""
        now = self._monotonic()
        if now < self._next_s:
            self._held_back += 1
            return False
        self._next_s = now + self._interval_s
        if self._held_back:
            record.msg, record.args = f"{record.getMessage()} ({self._held_back} lines held back)", None
            self._held_back = 0
        return True


def start_export(
    endpoint: str,
    resource: Mapping[str, str],
    settings: TelemetrySettings,
) -> tuple[RecordingTracer, BoundedSpanPipe]:
    """Build tracer and pipe to an OTLP/gRPC receiver, and start the export thread."""
    _limit_error_logs()
    pipe = BoundedSpanPipe(
        OtlpExporter(Encoder(resource, SCOPE), endpoint=endpoint, timeout=settings.export_timeout_s),
        queue_spans_max=settings.queue_spans_max,
        batch_spans_max=min(settings.batch_spans_max, settings.queue_spans_max),
        flush_interval_s=settings.flush_interval_s,
    )
    tracer = RecordingTracer(settings.sample_ratio, pipe.take, links_max=settings.links_max + 2)
    return tracer, pipe


def _limit_error_logs() -> None:
    logger = logging.getLogger(_EXPORTER_LOGGER)
    if not any(isinstance(held, OneLineEvery) for held in logger.filters):
        logger.addFilter(OneLineEvery(ERROR_LOG_INTERVAL_S))
