"""The console as a process: spans in by the real exporter, back out by its API and pages."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headwater.console.client import ConsoleClient
from headwater.console.model import StoredSpan
from headwater.kernel.telemetry import (
    Child,
    Linked,
    Telemetry,
    TelemetrySettings,
    TraceContext,
    names,
    start_telemetry,
)

EVENT_KEY = "0198f2c0-0000-7000-8000-000000000001"
SERVICES = Path(__file__).parents[3] / "services"


@dataclass(frozen=True)
class Running:
    """A console that said it is ready."""

    process: subprocess.Popen[str]
    otlp_port: int
    http_port: int

    @property
    def url(self) -> str:
        """Base address of its web."""
        return f"http://127.0.0.1:{self.http_port}"


@contextmanager
def _console(data_dir: Path, **more: str) -> Iterator[Running]:
    environ = {
        **os.environ,
        "PYTHONPATH": str(SERVICES),
        "HEADWATER_CONSOLE_DATA_DIR": str(data_dir),
        "HEADWATER_CONSOLE_OTLP_PORT": "0",
        "HEADWATER_CONSOLE_HTTP_PORT": "0",
        **more,
    }
    command = [sys.executable, "-m", "headwater.console"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield Running(process, ready["otlp_port"], ready["http_port"])
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def _telemetry(console: Running, service: str) -> Iterator[Telemetry]:
    settings = TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{console.otlp_port}", sample_ratio=1.0)
    telemetry = start_telemetry(service, settings, environ={}, instance_id="i1")
    try:
        yield telemetry
    finally:
        assert telemetry.shutdown(10)


def _send_event(console: Running) -> tuple[TraceContext, TraceContext]:
    """Export an event's life: sent by ingest, tried by sync, and tried again in a trace of its own."""
    keyed = {names.EVENT_KEY: EVENT_KEY}
    with (
        _telemetry(console, "ingest") as ingest,
        ingest.spans.record("event_log", attributes=keyed) as sent,
        ingest.spans.db("COPY", "event", 2),
    ):
        created = sent.context
    assert created is not None
    with _telemetry(console, "sync") as sync:
        with sync.spans.process("event_log", Child(), created=created) as first:
            first.error("UNAVAILABLE", "the CRM did not answer")
            previous = first.context
        with sync.spans.process(
            "event_log",
            Linked("retry"),
            created=created,
            previous=previous,
            attempt=2,
            attributes={names.EVENT_KEY: EVENT_KEY, names.CONNECTOR: "hubspot"},
        ) as second:
            retried = second.context
        assert sync.stats().dropped == 0
    assert retried is not None
    return created, retried


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Running]:
    """Run a console over an empty store."""
    with _console(tmp_path) as running:
        yield running


def _by_name(spans: tuple[StoredSpan, ...]) -> dict[str, StoredSpan]:
    return {span.name: span for span in spans}


@pytest.mark.slow
def test_trace_comes_back_as_it_was_exported(console: Running) -> None:
    """Services, kinds, parents, statuses, attributes and links survive export, store and API."""
    created, retried = _send_event(console)
    with ConsoleClient(console.url) as client:
        trace = client.trace(created.trace_id)
        retry = client.trace(retried.trace_id)
        assert client.trace("f" * 32) is None
    assert trace is not None
    assert retry is not None
    spans = _by_name(trace.spans)
    assert {name: (span.service, span.kind) for name, span in spans.items()} == {
        "send event_log": ("ingest", "PRODUCER"),
        "COPY event": ("ingest", "CLIENT"),
        "process event_log": ("sync", "CONSUMER"),
    }
    sent, failed = spans["send event_log"], spans["process event_log"]
    assert (sent.parent_span_id, spans["COPY event"].parent_span_id) == (None, sent.span_id)
    assert failed.parent_span_id == sent.span_id
    assert (failed.status, failed.status_message) == ("ERROR", "the CRM did not answer")
    assert failed.attributes["error.type"] == "UNAVAILABLE"
    assert spans["COPY event"].attributes["db.operation.batch.size"] == 2
    (second,) = retry.spans
    assert [(link.span_id, link.attributes["headwater.link_role"]) for link in second.links] == [
        (sent.span_id, "creation"),
        (failed.span_id, "previous_attempt"),
    ]
    assert {link.linked_span_id for link in trace.incoming} == {sent.span_id, failed.span_id}


@pytest.mark.slow
def test_event_is_found_by_its_key_across_its_traces(console: Running) -> None:
    """One key leads to every trace of the event, and each of them to the other."""
    created, retried = _send_event(console)
    with ConsoleClient(console.url) as client:
        found = [summary.trace_id for summary in client.traces(event_key=EVENT_KEY)]
        assert found == [retried.trace_id, created.trace_id]
        assert client.traces(event_key="unknown") == []
        assert [one.trace_id for one in client.traces(service="ingest")] == [created.trace_id]
        assert [one.summary.trace_id for one in client.related(created.trace_id)] == [retried.trace_id]
        assert [one.direction for one in client.related(retried.trace_id)] == ["links_to"]


@pytest.mark.slow
def test_page_shows_the_waterfall_and_its_links(console: Running) -> None:
    """A person can read the trace and follow its link, without a script."""
    created, retried = _send_event(console)
    page = httpx.get(f"{console.url}/trace/{created.trace_id}")
    assert page.status_code == 200
    assert "send event_log" in page.text
    assert f'href="/trace/{retried.trace_id}' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert created.trace_id in httpx.get(console.url).text


@pytest.mark.slow
def test_a_trace_is_downloaded_as_otlp_json_that_a_receiver_takes(console: Running, tmp_path: Path) -> None:
    """What is downloaded, sent to another console, is the same trace: ids, kinds, statuses, attributes and links."""
    created, retried = _send_event(console)
    with _console(tmp_path / "other") as other:
        for trace_id in (created.trace_id, retried.trace_id):
            answer = httpx.get(f"{console.url}/api/traces/{trace_id}/otlp.json").raise_for_status()
            assert f"trace-{trace_id}.otlp.json" in answer.headers["content-disposition"]
            _send_otlp_json(other, answer.text)
        with ConsoleClient(console.url) as ours, ConsoleClient(other.url) as theirs:
            for trace_id in (created.trace_id, retried.trace_id):
                assert theirs.trace(trace_id) == ours.trace(trace_id)


def _send_otlp_json(console: Running, text: str) -> None:
    """Export what OTLP JSON says: its ids are hex, where protobuf's own JSON has base64 (OTLP specification)."""

    def as_protobuf_has_it(found: dict[str, Any]) -> dict[str, Any]:
        named = {"traceId", "spanId", "parentSpanId"} & set(found)
        return {**found, **{name: base64.b64encode(bytes.fromhex(found[name])).decode() for name in named}}

    request = Parse(json.dumps(json.loads(text, object_hook=as_protobuf_has_it)), ExportTraceServiceRequest())
    with grpc.insecure_channel(f"127.0.0.1:{console.otlp_port}") as channel:
        export: Any = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        export(request.SerializeToString(), timeout=10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/trace/nonsense", 400),
        (f"/api/traces/{'f' * 32}", 404),
        (f"/api/traces/{'f' * 32}/otlp.json", 404),
        ("/api/traces/nonsense/otlp.json", 400),
        ("/api/related?trace_id=", 400),
        ("/api/traces?limit=0", 400),
        ("/api/traces?limit=501", 400),
    ],
)
def test_bad_request_is_answered_as_one(console: Running, path: str, status: int) -> None:
    """What cannot be asked is refused, not guessed at."""
    assert httpx.get(console.url + path).status_code == status


@pytest.mark.slow
def test_foreign_host_is_refused(console: Running) -> None:
    """A name that was rebound to loopback gets no traces."""
    assert httpx.get(f"{console.url}/api/traces", headers={"Host": "evil.test"}).status_code == 400


@pytest.mark.slow
def test_acknowledged_spans_survive_a_killed_process(tmp_path: Path) -> None:
    """What the console acknowledged is there after SIGKILL and a new start."""
    with _console(tmp_path) as console:
        created, retried = _send_event(console)
        console.process.kill()
        console.process.wait(10)
    with _console(tmp_path) as again, ConsoleClient(again.url) as client:
        assert client.stats().spans == 4
        assert client.trace(created.trace_id) is not None
        assert client.trace(retried.trace_id) is not None


@pytest.mark.slow
def test_ring_keeps_its_size_under_a_flood(tmp_path: Path) -> None:
    """More than fits goes in, the newest is kept, the loss is counted, and it all adds up."""
    with _console(tmp_path, HEADWATER_CONSOLE_STORE_BYTES_MAX=str(1 << 20)) as console:
        with _telemetry(console, "ingest") as ingest:
            for _ in range(6_000):
                with ingest.spans.root("work", attributes={names.SOURCE: "s" * 200}) as span:
                    last = span.context
        with ConsoleClient(console.url) as client:
            stats = client.stats()
            assert last is not None
            assert client.trace(last.trace_id) is not None
    assert stats.spans + stats.spans_dropped == 6_000
    assert stats.spans_dropped > 0
    assert stats.used_bytes <= 1 << 20


@pytest.mark.slow
def test_console_ends_cleanly_when_asked(tmp_path: Path) -> None:
    """SIGTERM drains and ends with 0."""
    with _console(tmp_path) as console:
        console.process.terminate()
        assert console.process.wait(10) == 0


@pytest.mark.slow
def test_console_refuses_to_start_without_a_directory() -> None:
    """A start that cannot work ends with the code that supervisors know."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_CONSOLE_")}
    command = [sys.executable, "-m", "headwater.console"]
    ended = subprocess.run(
        command,
        env={**environ, "PYTHONPATH": str(SERVICES)},
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert ended.returncode == 78
    assert "HEADWATER_CONSOLE_DATA_DIR" in ended.stderr
