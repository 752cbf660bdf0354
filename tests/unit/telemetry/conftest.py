"""Spans kept in memory, so that a test can look at what was recorded."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from headwater.kernel.telemetry import Spans, names
from headwater.kernel.telemetry.export import sampler

LINKS_MAX = 4


@dataclass
class Recorder:
    """Spans of one test and what became of them."""

    spans: Spans
    exporter: InMemorySpanExporter

    def all(self) -> list[ReadableSpan]:
        """Return the finished spans, oldest first."""
        return list(self.exporter.get_finished_spans())

    def one(self) -> ReadableSpan:
        """Return the only finished span."""
        (span,) = self.all()
        return span


def _recorder(ratio: float) -> Recorder:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler(ratio), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Recorder(Spans(provider.get_tracer("test"), links_max=LINKS_MAX), exporter)


def _check_attributes(recorder: Recorder) -> None:
    for span in recorder.all():
        assert names.unregistered(span.attributes or {}) == ()
        for link in span.links:
            assert names.unregistered(link.attributes or {}) == ()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Record every trace; at the end every attribute seen must be in the table."""
    recorder = _recorder(1.0)
    yield recorder
    _check_attributes(recorder)


@pytest.fixture
def sparing_recorder() -> Iterator[Recorder]:
    """Record no trace but those that are marked or whose parent is recorded."""
    recorder = _recorder(0.0)
    yield recorder
    _check_attributes(recorder)
