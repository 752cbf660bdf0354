"""Spans kept in memory, so that a test can look at what was recorded."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from headwater.kernel.telemetry import Spans, names
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer

LINKS_MAX = 4


@dataclass
class Recorder:
    """Spans of one test and what became of them."""

    spans: Spans
    kept: list[RecordedSpan]

    def all(self) -> list[RecordedSpan]:
        """Return the finished spans, oldest first."""
        return list(self.kept)

    def one(self) -> RecordedSpan:
        """Return the only finished span."""
        (span,) = self.all()
        return span


def _recorder(ratio: float) -> Recorder:
    kept: list[RecordedSpan] = []
    return Recorder(Spans(RecordingTracer(ratio, kept.append), links_max=LINKS_MAX), kept)


def _check_attributes(recorder: Recorder) -> None:
    for span in recorder.all():
        assert names.unregistered(span.attributes) == ()
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
