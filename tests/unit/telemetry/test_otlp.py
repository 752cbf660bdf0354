"""Messages of exports: what the library would make of the same spans."""

from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, Tracer

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.context import TraceContext
from headwater.kernel.telemetry.otlp import ATTRIBUTE_CHARS_MAX, Encoder, OtlpExporter, message
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer, RowLink

REMOTE = TraceContext(f"00-{'a' * 32}-{'b' * 16}-01", "vendor=1,other=2")
RESOURCE = {"service.name": "sync", "service.version": "1"}
LINKS_MAX = 3
START_NS, END_NS = 1_700_000_000_000_000_001, 1_700_000_000_000_300_000


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class _Ids(IdGenerator):
    """The ids that our span got."""

    def __init__(self, span: RecordedSpan) -> None:
        self._context = span.get_span_context()

    def generate_trace_id(self) -> int:
        return self._context.trace_id

    def generate_span_id(self) -> int:
        return self._context.span_id

    def is_trace_id_random(self) -> bool:
        return True


def _plain(tracer: Tracer) -> Any:
    return tracer.start_span("plain", Context(), start_time=START_NS)


def _full(tracer: Tracer) -> Any:
    attributes: dict[str, Any] = {
        "text": "x", "long": "ä" * 5_000, "flag": True, "one": 1, "minus": -7, "zero": 0, "share": 0.5, "empty": "",
    }  # fmt: skip
    links = [
        RowLink(REMOTE, names.LINK_MEMBER),
        *[Link(REMOTE.to_span_context(), {"n": n}) for n in range(4)],
    ]
    span = tracer.start_span(
        "full", REMOTE.to_parent(), SpanKind.CONSUMER, attributes, links, start_time=START_NS
    )
    span.set_attribute("later", "y")
    span.set_status(Status(StatusCode.ERROR, "the CRM did not answer"))
    return span


def _failed(tracer: Tracer) -> Any:
    span = tracer.start_span("failed", Context(), SpanKind.CLIENT, start_time=START_NS)
    span.set_status(StatusCode.ERROR)
    return span


def _ours(make: Any) -> RecordedSpan:
    kept: list[RecordedSpan] = []
    make(RecordingTracer(1.0, kept.append, links_max=LINKS_MAX)).end(END_NS)
    return kept[0]


def _theirs(make: Any, ours: RecordedSpan) -> ReadableSpan:
    kept = _Kept()
    limits = SpanLimits(max_links=LINKS_MAX, max_span_attribute_length=ATTRIBUTE_CHARS_MAX)
    resource = Resource.create(RESOURCE)
    provider = TracerProvider(resource=resource, span_limits=limits, id_generator=_Ids(ours))
    provider.add_span_processor(kept)
    make(provider.get_tracer("headwater", "1")).end(END_NS)
    return kept.spans[0]


@pytest.mark.parametrize("make", [_plain, _full, _failed])
def test_an_export_of_ours_is_what_the_library_makes(make: Any) -> None:
    """Ids, state, kinds, times, attributes of every kind, links, statuses, flags, resource and scope."""
    ours = _ours(make)
    theirs = encode_spans([_theirs(make, ours)])
    links = theirs.resource_spans[0].scope_spans[0].spans[0].links
    dropped = theirs.resource_spans[0].scope_spans[0].spans[0]
    dropped.dropped_links_count = (
        2 if links else 0
    )  # those left out: the library keeps the last, we the first
    made = Encoder(RESOURCE, "headwater").request([ours])
    for side in (theirs, made):
        span = side.resource_spans[0].scope_spans[0].spans[0]
        assert len(span.links) == (LINKS_MAX if make is _full else 0)
        del span.links[:]
    assert made == theirs


def test_links_say_what_the_librarys_say() -> None:
    """Of a row, of the API, remote or not."""

    def make(tracer: Tracer) -> Any:
        links = [
            RowLink(REMOTE, names.LINK_CREATION),
            Link(REMOTE.to_span_context(), {"n": 1}),
            Link(REMOTE.to_span_context(is_remote=False)),
        ]
        return tracer.start_span("linked", Context(), links=links, start_time=START_NS)

    ours = _ours(make)
    [theirs] = encode_spans([_theirs(make, ours)]).resource_spans[0].scope_spans[0].spans
    assert Message.FromString(message(ours)) == theirs


def test_many_spans_of_every_size_are_one_message() -> None:
    """Lengths beyond one and two bytes are written right."""
    spans = [_ours(_plain), _ours(_full)] * 20
    wide = _ours(_full)
    wide.attributes.update({f"name {number}": "z" * 900 for number in range(60)})
    made = Encoder(RESOURCE, "headwater").request([*spans, wide])
    found = made.resource_spans[0].scope_spans[0].spans
    assert [span.name for span in found] == [span.name for span in (*spans, wide)]
    assert len(found[-1].attributes) == len(wide.attributes)


def test_kinds_of_one_value_are_told_apart() -> None:
    """True, 1 and 1.0 are equal, and yet three values; what is kept for one is not told for another."""
    told = []
    for value in ("1", True, 1, 1.0, "True"):
        span = _ours(_plain)
        span.attributes["value"] = value
        told.append(Message.FromString(message(span)).attributes[0].value.WhichOneof("value"))
    assert told == ["string_value", "bool_value", "int_value", "double_value", "string_value"]
    links = [Link(REMOTE.to_span_context(), {"value": value}) for value in (1, True, 1.0)]
    linked = _ours(lambda tracer: tracer.start_span("linked", Context(), links=links))
    made = [
        link.attributes[0].value.WhichOneof("value") for link in Message.FromString(message(linked)).links
    ]
    assert made == ["int_value", "bool_value", "double_value"]


def test_texts_of_every_length_arrive_as_they_were() -> None:
    """Those that are kept, those written in one piece, those with sizes of two bytes; longer ones are cut."""
    texts = {f"name {size}": "ä" * (size // 2) + "x" * (size % 2) for size in range(400)}
    long = {"longer": "y" * (ATTRIBUTE_CHARS_MAX + 1)}
    span = _ours(_plain)
    span.attributes.update({**texts, **long})
    told = {pair.key: pair.value.string_value for pair in Message.FromString(message(span)).attributes}
    assert told == {**texts, "longer": "y" * ATTRIBUTE_CHARS_MAX}


@pytest.mark.parametrize("value", [2**70, -(2**70), "broken \ud800 text", ["a"], None])
def test_a_value_that_has_no_form_does_not_fail_its_batch(value: Any) -> None:
    """It is told as text."""
    span = _ours(_plain)
    span.attributes["value"] = value
    assert Message.FromString(message(span)).attributes[0].value.string_value


def test_the_exporter_sends_these_messages() -> None:
    """The library asks its exporter for the message by the method that ours replaces; a retry costs no second one."""
    assert {"_translate_data"} <= set(vars(OTLPSpanExporter)) & set(vars(OtlpExporter))
    encoder = Encoder(RESOURCE, "headwater")
    spans = [_ours(_plain), _ours(_full)]
    exporter = OtlpExporter(encoder, endpoint="http://127.0.0.1:1")
    made = exporter._translate_data(spans)  # noqa: SLF001 - what the library calls
    assert made == encoder.request(spans)
    assert exporter._translate_data(spans) is made  # noqa: SLF001 - as above
    assert exporter._translate_data(spans[:1]) == encoder.request(spans[:1])  # noqa: SLF001 - as above
    exporter.shutdown()
