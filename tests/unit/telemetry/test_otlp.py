"""Messages of exports: to the byte what the library would make."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, Tracer

from headwater.kernel.telemetry.context import TraceContext
from headwater.kernel.telemetry.otlp import OtlpExporter, encode

REMOTE = TraceContext(f"00-{'a' * 32}-{'b' * 16}-01", "vendor=1,other=2")


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def _recorded(*makers: Callable[[Tracer], Any], service: str = "sync") -> Sequence[ReadableSpan]:
    kept = _Kept()
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), span_limits=SpanLimits(max_links=3)
    )
    provider.add_span_processor(kept)
    tracer = provider.get_tracer("headwater", "1")
    for make in makers:
        make(tracer).end()
    return kept.spans


def _plain(tracer: Tracer) -> Any:
    return tracer.start_span("plain", Context())


def _full(tracer: Tracer) -> Any:
    attributes: dict[str, Any] = {
        "text": "x",
        "long": "y" * 500,
        "flag": True,
        "one": 1,
        "minus": -7,
        "share": 0.5,
        "empty": "",
    }
    links = [
        Link(REMOTE.to_span_context(), {"headwater.link_role": "member", "number": number})
        for number in range(5)
    ]
    span = tracer.start_span(
        "full", REMOTE.to_parent(), SpanKind.CONSUMER, attributes=attributes, links=links
    )
    span.set_status(Status(StatusCode.ERROR, "the CRM did not answer"))
    return span


def _failed(tracer: Tracer) -> Any:
    span = tracer.start_span("failed", Context(), SpanKind.CLIENT)
    span.set_status(Status(StatusCode.ERROR))
    return span


def _listed(tracer: Tracer) -> Any:
    return tracer.start_span("listed", Context(), attributes={"list": ["a", "b"]})


def _eventful(tracer: Tracer) -> Any:
    span = tracer.start_span("eventful", Context())
    span.add_event("happened", {"a": 1})
    return span


@pytest.mark.parametrize("makers", [(_plain,), (_full,), (_failed,), (_plain, _full, _failed, _full)])
def test_an_export_of_ours_is_what_the_library_makes(makers: tuple[Callable[[Tracer], Any], ...]) -> None:
    """Ids, state, kinds, times, attributes of every kind, links beyond the limit, statuses, flags."""
    spans = _recorded(*makers)
    assert encode(spans) == encode_spans(spans)
    assert encode(spans).SerializeToString() == encode_spans(spans).SerializeToString()


@pytest.mark.parametrize("makers", [(), (_listed,), (_eventful, _plain), (_plain, _listed)])
def test_what_is_unusual_is_left_to_the_library(makers: tuple[Callable[[Tracer], Any], ...]) -> None:
    """Lists as values, events, nothing at all."""
    spans = _recorded(*makers)
    assert encode(spans) == encode_spans(spans)


def test_spans_of_several_resources_are_kept_apart() -> None:
    """Each stands under its own, as the library has it."""
    spans = [*_recorded(_plain), *_recorded(_full, service="ingest")]
    assert encode(spans) == encode_spans(spans)
    assert len(encode(spans).resource_spans) == 2


def test_kinds_of_one_value_are_told_apart() -> None:
    """True, 1 and 1.0 are equal, and yet three values; what is kept for one is not told for another."""
    spans = _recorded(*(
        lambda tracer, value=value: tracer.start_span("s", Context(), attributes={"value": value})
        for value in ("1", True, 1, 1.0, "True")
    ))  # fmt: skip
    assert encode(spans) == encode_spans(spans)


def test_the_exporter_sends_these_messages() -> None:
    """The library asks its exporter for the message by the method that ours replaces."""
    assert {"_translate_data"} <= set(vars(OTLPSpanExporter)) & set(vars(OtlpExporter))
    spans = _recorded(_plain, _full)
    exporter = OtlpExporter(endpoint="http://127.0.0.1:1")
    assert exporter._translate_data(spans) == encode(spans)  # noqa: SLF001 - what the library calls
    exporter.shutdown()
