"""The span store: writing, the ring, and reading back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headwater.console.otlp import CHUNK_SPANS, ResourceRows, rows_of
from headwater.console.reading import reading
from headwater.console.store import SpanStore

BYTES_MAX = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SpanStore]:
    """Open a small store."""
    with SpanStore(tmp_path, bytes_max=BYTES_MAX) as opened:
        yield opened


def _trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _export(
    trace: int,
    *,
    spans: int = 1,
    service: str = "ingest",
    event_key: str = "",
    links_to: int = 0,
    payload: str = "",
) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_spans.add()
    for number in range(1, spans + 1):
        span = scope.spans.add(
            trace_id=_trace_id(trace),
            span_id=number.to_bytes(8, "big"),
            name=f"span {number}",
            start_time_unix_nano=number,
            end_time_unix_nano=number + 5,
        )
        if event_key:
            span.attributes.add(key="headwater.event_key").value.string_value = event_key
        if payload:
            span.attributes.add(key="payload").value.string_value = payload
        if links_to:
            span.links.add(trace_id=_trace_id(links_to), span_id=(1).to_bytes(8, "big"))
    return request


def _write(store: SpanStore, *requests: ExportTraceServiceRequest) -> None:
    for request in requests:
        assert store.write(rows_of(request)) == 0


def _traces(store: SpanStore, **asked: str) -> list[int]:
    with reading(store.path) as reader:
        found = reader.traces(event_key=asked.get("event_key"), service=asked.get("service"), limit=10)
    return [int(summary.trace_id, 16) for summary in found]


def test_export_sent_twice_is_stored_once(store: SpanStore) -> None:
    """A sender that lost the answer and tries again doubles nothing."""
    _write(store, _export(1, spans=3, links_to=2), _export(1, spans=3, links_to=2))
    with reading(store.path) as reader:
        stats = reader.stats()
    assert (stats.traces, stats.spans, stats.links) == (1, 3, 3)


def test_large_export_is_stored_whole(store: SpanStore) -> None:
    """An export of several chunks loses nothing between them."""
    _write(store, _export(1, spans=2 * CHUNK_SPANS + 1))
    with reading(store.path) as reader:
        trace = reader.trace(_trace_id(1))
    assert trace is not None
    assert [span.name for span in trace.spans] == [f"span {n}" for n in range(1, 2 * CHUNK_SPANS + 2)]


def test_traces_are_found_by_event_key_and_by_service(store: SpanStore) -> None:
    """The newest come first; both filters narrow the list."""
    _write(
        store,
        _export(1, event_key="k"),
        _export(2),
        _export(3, event_key="k", service="sync"),
    )
    assert _traces(store) == [3, 2, 1]
    assert _traces(store, event_key="k") == [3, 1]
    assert _traces(store, service="sync") == [3]
    assert _traces(store, event_key="k", service="ingest") == [1]
    assert _traces(store, event_key="other") == []


def test_related_follows_links_both_ways_and_onwards(store: SpanStore) -> None:
    """From the middle of a chain both ends are found, nearest first, and a circle ends."""
    _write(
        store, _export(1), _export(2, links_to=1), _export(3, links_to=2), _export(4, links_to=3), _export(5)
    )
    _write(store, _export(1, spans=2, links_to=4))
    with reading(store.path) as reader:
        found = {
            int(one.summary.trace_id, 16): (one.distance, one.direction)
            for one in reader.related(_trace_id(2))
        }
    assert found == {1: (1, "links_to"), 3: (1, "linked_from"), 4: (2, found[4][1])}


def test_incoming_links_say_who_links_here(store: SpanStore) -> None:
    """A trace knows the spans elsewhere that link to it."""
    _write(store, _export(1), _export(2, links_to=1, service="sync"))
    with reading(store.path) as reader:
        trace = reader.trace(_trace_id(1))
    assert trace is not None
    (link,) = trace.incoming
    assert (int(link.trace_id, 16), link.service, link.name) == (2, "sync", "span 1")


def test_ring_drops_the_oldest_traces_and_counts_them(store: SpanStore) -> None:
    """Past the size cap the oldest go, the newest stay, and the loss is known."""
    for number in range(1, 1_001):
        _write(store, _export(number, spans=2, links_to=1, payload="x" * 1_000))
        assert store.used_bytes() <= BYTES_MAX
    with reading(store.path) as reader:
        stats = reader.stats()
        newest, oldest = reader.trace(_trace_id(1_000)), reader.trace(_trace_id(1))
    assert newest is not None
    assert oldest is None
    assert stats.traces + stats.traces_dropped == 1_000
    assert stats.spans + stats.spans_dropped == 2_000
    assert stats.links == stats.spans
    assert stats.used_bytes <= BYTES_MAX


def test_span_without_proper_ids_is_refused_and_the_rest_kept(store: SpanStore) -> None:
    """A broken span costs itself only, and the sender hears of it."""
    request = _export(1, spans=2)
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"
    assert store.write(rows_of(request)) == 1
    with reading(store.path) as reader:
        assert reader.stats().spans == 1


def test_failed_export_leaves_nothing_behind(store: SpanStore) -> None:
    """An export is stored whole or not at all, and the store goes on."""
    (good,) = rows_of(_export(1))

    def breaks() -> Iterator[ResourceRows]:
        yield good
        raise RuntimeError("broken export")

    with pytest.raises(RuntimeError):
        store.write(breaks())
    _write(store, _export(2))
    assert _traces(store) == [2]
