"""What one span costs: kept, as a message, and left out; ours beside the SDK's in turns of the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import Link, SpanKind
from tests.load.figures import Figure, Goal

from headwater.kernel.telemetry import Child, Spans, TraceContext, names
from headwater.kernel.telemetry.otlp import Encoder
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer

SPANS: Final = 2_000
KEY: Final = "00f0a947-2c88-bd17-e123-40c518abc596"
_ATTRIBUTES: Final = {names.TENANT: "bench", names.EVENT_KEY: KEY, names.CONNECTOR: "hubspot"}
_ENCODER: Final = Encoder({"service.name": "bench"}, "headwater")


def figures(rounds: int) -> list[Figure]:
    """Measure; CPU microseconds of a span that is kept, made and encoded, and of one that is left out."""
    kept, left_out, share = [], [], []
    for _ in range(rounds):
        ours, theirs = _ours(sampled=True), _theirs(sampled=True)
        kept.append(ours)
        share.append(ours / theirs)
        left_out.append(_ours(sampled=False))
    return [
        Figure("a kept span, made and encoded", "us", Goal("<=", 25.0), tuple(kept)),
        Figure("a kept span against the SDK's", "ratio", Goal("<=", 0.4), tuple(share)),
        Figure("a span left out", "us", Goal("<=", 2.0), tuple(left_out)),
    ]


def _ours(*, sampled: bool) -> float:
    made: list[RecordedSpan] = []
    spans = Spans(RecordingTracer(0.0, made.append))

    def make(created: TraceContext) -> None:
        span = spans.process("headwater.deliveries", Child(), created=created)
        if span.handle.recording:
            span.handle.update(_ATTRIBUTES)
        span.handle.set(names.OUTCOME, "updated")
        span.finish()

    return _timed(make, made, sampled=sampled, encode=lambda: _ENCODER.request(made).SerializeToString())


def _theirs(*, sampled: bool) -> float:
    kept = _Kept()
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(kept)
    tracer = provider.get_tracer("headwater", "1")
    attributes: dict[str, str | int] = {
        **{str(name): value for name, value in _ATTRIBUTES.items()},
        names.MESSAGING_SYSTEM: names.MESSAGING_SYSTEM_HEADWATER,
        names.MESSAGING_DESTINATION_NAME: "headwater.deliveries",
        names.MESSAGING_OPERATION_NAME: "process",
        names.MESSAGING_OPERATION_TYPE: "process",
        names.ATTEMPT: 1,
        names.RELATION: "child",
    }

    def make(created: TraceContext) -> None:
        parent, links = created.to_parent(), [_link(created)]
        span = tracer.start_span("process headwater.deliveries", parent, SpanKind.CONSUMER, attributes, links)
        span.set_attribute(names.OUTCOME, "updated")
        span.end()

    return _timed(
        make, kept.spans, sampled=sampled, encode=lambda: encode_spans(kept.spans).SerializeToString()
    )


def _link(created: TraceContext) -> Link:
    return Link(created.to_span_context(), {names.LINK_ROLE: names.LINK_CREATION})


def _timed(
    make: Callable[[TraceContext], None],
    made: Sequence[object],
    *,
    sampled: bool,
    encode: Callable[[], bytes],
) -> float:
    contexts = [TraceContext(f"00-{n:032x}-{n:016x}-0{int(sampled)}") for n in range(1, SPANS + 1)]
    began = time.thread_time()
    for created in contexts:
        make(created)
    if sampled:
        encode()
    took_s = time.thread_time() - began
    assert len(made) == (SPANS if sampled else 0)
    return took_s / SPANS * 1e6


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)
