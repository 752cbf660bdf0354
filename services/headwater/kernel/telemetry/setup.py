"""Starting and stopping telemetry in a process.

Owns the decision whether spans are exported at all, and the life of the exporter. The SDK is imported only when
an endpoint is configured (it costs 0.4 s and 10 MiB at start); without one, `Telemetry.spans` records nothing
and passes contexts through. A dead endpoint costs spans, never calls: the queue is bounded, and so is each try.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Protocol

from opentelemetry.trace import NoOpTracer, Tracer

from headwater.kernel.metrics import Metrics
from headwater.kernel.metrics import names as metric_names
from headwater.kernel.telemetry.queue import LINKS_MAX, Spans

NAMESPACE: Final = "headwater"
ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""In order of precedence; both win over the setting."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What a service may set about its spans."""

    otlp_endpoint: str | None = None
    """`http://host:port` of an OTLP/gRPC receiver; None exports nothing unless OTEL_* says otherwise."""
    sample_ratio: float = 0.01
    """Share of new traces kept, 0..1; `make bench-tracing` says what a kept span costs, and one that is left out."""
    queue_spans_max: int = 16_384
    """Finished spans waiting for export; the next ones are dropped and counted."""
    batch_spans_max: int = 512
    """Spans in one export: a call costs about as much as ten spans, so more in one gains nothing but memory."""
    flush_interval_s: float = 1.0
    """Longest wait of a finished span for its export."""
    export_timeout_s: float = 5.0
    """One export with all its retries."""
    links_max: int = LINKS_MAX
    """Links on one span."""


@dataclass(frozen=True, slots=True)
class TelemetryStats:
    """Counters since start, for the metrics page: telemetry reports its own failure outside its own path."""

    ended: int = 0
    """Sampled spans that ended."""
    exported: int = 0
    """Spans a receiver acknowledged."""
    dropped: int = 0
    """Spans that found the queue full, or came after the stop."""
    failed: int = 0
    """Spans whose export was given up."""
    queued: int = 0
    """Spans waiting now."""
    last_export_time_s: float | None = None
    """Unix time of the last acknowledged export."""


class SpanPipe(Protocol):
    """The exporting half: counters and an end."""

    def stats(self) -> TelemetryStats:
        """Return the counters."""
        ...

    def shutdown_within(self, timeout_s: float) -> bool:
        """Flush and stop; False when time ran out and spans were left."""
        ...


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A process's telemetry: its spans, its numbers, its end."""

    tracer: Tracer
    spans: Spans
    enabled: bool
    _pipe: SpanPipe | None = field(default=None, repr=False)
    metrics: Metrics = field(default_factory=Metrics, repr=False)

    def __post_init__(self) -> None:
        """Let the page of numbers tell how telemetry itself is doing."""
        if self.enabled:
            self.metrics.at_scrape(self._tell_metrics)

    def stats(self) -> TelemetryStats:
        """Return the counters; all zero when spans are off."""
        return TelemetryStats() if self._pipe is None else self._pipe.stats()

    async def _tell_metrics(self) -> None:
        """Set the numbers of the exporter: telemetry reports its own failure outside its own path."""
        stats = self.stats()
        spans = self.metrics.counter(metric_names.SPANS)
        for result, count in (
            ("exported", stats.exported),
            ("dropped", stats.dropped),
            ("failed", stats.failed),
        ):
            spans.of(result).value = float(count)
        self.metrics.gauge(metric_names.SPANS_QUEUED).of().set(stats.queued)
        if stats.last_export_time_s is not None:
            self.metrics.gauge(metric_names.LAST_EXPORT).of().set(stats.last_export_time_s)

    def shutdown(self, timeout_s: float) -> bool:
        """Flush what waits and stop, within the time given; blocks, so call it from a worker thread.

        Returns:
            False when time ran out and spans were left; calling it again does nothing.
        """
        return True if self._pipe is None else self._pipe.shutdown_within(timeout_s)


def start_telemetry(
    service_name: str,
    settings: TelemetrySettings,
    *,
    environ: Mapping[str, str] | None = None,
    instance_id: str | None = None,
) -> Telemetry:
    """Start exporting spans where an endpoint is configured, and nothing at all where none is.

    Args:
        service_name: `ingest`, `identity`, `sync`, …
        settings: ours; the standard OTEL_* variables win over them.
        environ: the process's environment; the default reads it.
        instance_id: tells replicas apart; random by default.
    """
    environ = os.environ if environ is None else environ
    endpoint = resolve_endpoint(settings, environ)
    if endpoint is None:
        off = NoOpTracer()
        return Telemetry(off, Spans(off), enabled=False, metrics=Metrics(service_name))
    from headwater.kernel.telemetry.export import start_export  # noqa: PLC0415 - the SDK is dear to import

    resource = {
        "service.name": service_name,
        "service.namespace": NAMESPACE,
        "service.instance.id": instance_id or secrets.token_hex(8),
        "service.version": _version(),
    }
    tracer, pipe = start_export(endpoint, resource, settings)
    spans = Spans(tracer, links_max=settings.links_max)
    return Telemetry(tracer, spans, enabled=True, _pipe=pipe, metrics=Metrics(service_name))


def resolve_endpoint(settings: TelemetrySettings, environ: Mapping[str, str]) -> str | None:
    """Say where spans go: the standard variables first, then the setting; None when nowhere or switched off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    named = (environ.get(name, "").strip() for name in ENDPOINT_VARIABLES)
    return next((value for value in named if value), None) or settings.otlp_endpoint or None


def _version() -> str:
    try:
        return version("headwater")
    except PackageNotFoundError:
        return "0"
