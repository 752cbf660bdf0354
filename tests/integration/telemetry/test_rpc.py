"""Spans of calls, over a real channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import grpc
import grpc.aio
import pytest
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode, Tracer

from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.kernel.telemetry import Spans, TraceContext, names
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer
from headwater.kernel.telemetry.rpc import client_tracing, server_span_context

pytestmark = pytest.mark.anyio

METHOD = "test.v1.Echo/Say"
SAMPLED = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"


class Traced:
    """A tracer, and what it recorded."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._kept: list[RecordedSpan] = []
        self.tracer = RecordingTracer(ratio, self._kept.append)

    def spans(self, kind: SpanKind) -> list[RecordedSpan]:
        """Return the finished spans of a kind."""
        return [span for span in self._kept if span.kind is kind]

    async def one(self, kind: SpanKind) -> RecordedSpan:
        """Return the only span of a kind, once it is finished: the server's may end after the answer came."""
        with anyio.fail_after(5):
            while not (found := self.spans(kind)):
                await anyio.lowlevel.checkpoint()
        assert len(found) == 1
        assert names.unregistered(found[0].attributes or {}) == ()
        return found[0]


async def _say(request: bytes, context: Any) -> bytes:
    if request == b"missing":
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    if request == b"broken":
        raise LookupError
    if request == b"hang":
        await anyio.sleep_forever()
    seen = server_span_context()
    return f"{seen.traceparent} {seen.tracestate}".encode() if seen else b"none"


async def _echo(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def _echo_by_hand(_requests: Any, context: Any) -> None:
    while (request := await context.read()) is not grpc.aio.EOF:
        await context.write(request)


@asynccontextmanager
async def _channel(server: Tracer, client: Tracer | None = None) -> AsyncIterator[grpc.aio.Channel]:
    handlers: dict[str, Any] = {
        "Say": grpc.unary_unary_rpc_method_handler(_say),
        "Echo": grpc.stream_stream_rpc_method_handler(_echo),
        "EchoByHand": grpc.stream_stream_rpc_method_handler(_echo_by_hand),
    }

    def add(running: grpc.aio.Server) -> tuple[str]:
        running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.v1.Echo", handlers),))
        return ("test.v1.Echo",)

    interceptors = [] if client is None else client_tracing(client)
    async with (
        RpcServer(ServerSettings(), add, server).serving() as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel,
    ):
        yield channel


async def _call(
    channel: grpc.aio.Channel,
    request: bytes = b"x",
    metadata: Any = None,
    timeout_s: float = 5,
) -> bytes:
    call: Any = channel.unary_unary(f"/{METHOD}")
    answer: bytes = await call(request, metadata=metadata, timeout=timeout_s)
    return answer


async def test_call_is_one_trace_across_both_ends() -> None:
    """The server's span is the client span's child, and the handler sees its own."""
    traced = Traced()
    async with _channel(traced.tracer, traced.tracer) as channel:
        seen = await _call(channel)
        server, client = await traced.one(SpanKind.SERVER), await traced.one(SpanKind.CLIENT)
    assert (server.name, client.name) == (METHOD, METHOD)
    assert client.parent is None
    assert server.parent is not None
    assert server.parent.span_id == client.context.span_id
    assert f"{server.context.span_id:016x}" in seen.decode()
    expected = {"rpc.system.name": "grpc", "rpc.method": METHOD, "rpc.response.status_code": "OK"}
    assert dict(server.attributes or {}) == dict(client.attributes or {}) == expected


async def test_call_under_a_span_carries_its_trace_and_state() -> None:
    """A client span hangs under the current span and the tracestate goes along."""
    traced = Traced()
    parent = TraceContext(SAMPLED, "rojo=1")
    async with _channel(traced.tracer, traced.tracer) as channel:
        with Spans(traced.tracer).record("event_log", parent=parent):
            seen = await _call(channel)
    assert seen.decode().split("-")[1] == parent.trace_id
    assert seen.endswith(b" rojo=1")


@pytest.mark.parametrize(
    ("request_bytes", "code", "server_failed"),
    [(b"missing", "NOT_FOUND", False), (b"broken", "INTERNAL", True)],
)
async def test_status_is_an_error_where_the_convention_says(
    request_bytes: bytes,
    code: str,
    *,
    server_failed: bool,
) -> None:
    """What the caller did wrong fails the client's span only; what the server did wrong fails both."""
    traced = Traced()
    async with _channel(traced.tracer, traced.tracer) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await _call(channel, request_bytes)
        server, client = await traced.one(SpanKind.SERVER), await traced.one(SpanKind.CLIENT)
    for span, failed in ((server, server_failed), (client, True)):
        attributes = span.attributes or {}
        assert attributes["rpc.response.status_code"] == code
        assert attributes.get("error.type") == (code if failed else None)
        assert (span.status.status_code is StatusCode.ERROR) == failed


async def test_unknown_method_makes_no_server_span() -> None:
    """A caller cannot fill the store with names it invents."""
    traced = Traced()
    async with _channel(traced.tracer) as channel:
        call: Any = channel.unary_unary("/test.v1.Echo/Invented")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"x", timeout=5)
        await _call(channel)
        await traced.one(SpanKind.SERVER)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_unsampled_caller_makes_no_span_but_is_seen() -> None:
    """The flag decides before a span is begun, and the context still reaches the handler."""
    traced = Traced()
    async with _channel(traced.tracer) as channel:
        seen = await _call(channel, metadata=(("traceparent", UNSAMPLED),))
        assert seen.decode().strip() == UNSAMPLED
        await _call(channel)
        await traced.one(SpanKind.SERVER)


async def test_context_passes_through_when_spans_are_off() -> None:
    """Without an exporter both ends still carry the producer's context."""
    off = NoOpTracer()
    async with _channel(off, off) as channel:
        with Spans(off).record("event_log", parent=TraceContext(SAMPLED, "rojo=1")):
            assert await _call(channel) == f"{SAMPLED} rojo=1".encode()
        assert await _call(channel) == b"none"


async def test_bad_traceparent_begins_a_new_trace() -> None:
    """Nonsense in the metadata costs the caller its trace, never the call."""
    traced = Traced()
    async with _channel(traced.tracer) as channel:
        await _call(channel, metadata=(("traceparent", "nonsense"),))
        assert (await traced.one(SpanKind.SERVER)).parent is None


@pytest.mark.parametrize("method", ["Echo", "EchoByHand"])
async def test_stream_is_one_span_at_each_end(method: str) -> None:
    """However many messages pass, a stream is one span, whichever way its handler is written."""
    traced = Traced()
    async with _channel(traced.tracer, traced.tracer) as channel:
        opened: Any = channel.stream_stream(f"/test.v1.Echo/{method}")
        call = opened(timeout=5)
        for message in (b"1", b"2", b"3"):
            await call.write(message)
            assert await call.read() == message
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        server, client = await traced.one(SpanKind.SERVER), await traced.one(SpanKind.CLIENT)
    assert server.parent is not None
    assert server.parent.span_id == client.context.span_id
    assert (client.attributes or {})["rpc.response.status_code"] == "OK"


async def test_cancelled_stream_ends_both_spans() -> None:
    """A caller that goes away leaves no open span behind; the server may see it as an early end of the stream."""
    traced = Traced()
    async with _channel(traced.tracer, traced.tracer) as channel:
        opened: Any = channel.stream_stream("/test.v1.Echo/Echo")
        call = opened(timeout=5)
        await call.write(b"1")
        await call.read()
        call.cancel()
        client = await traced.one(SpanKind.CLIENT)
        await traced.one(SpanKind.SERVER)
    assert (client.attributes or {})["rpc.response.status_code"] == "CANCELLED"


async def test_handler_cut_off_by_its_caller_is_cancelled() -> None:
    """A handler that is cancelled ends its span with that status, and as no error of the server's."""
    traced = Traced()
    async with _channel(traced.tracer, traced.tracer) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await _call(channel, b"hang", timeout_s=0.1)
        server, client = await traced.one(SpanKind.SERVER), await traced.one(SpanKind.CLIENT)
    assert (server.attributes or {})["rpc.response.status_code"] == "CANCELLED"
    assert server.status.status_code is StatusCode.UNSET
    assert (client.attributes or {})["error.type"] == "DEADLINE_EXCEEDED"
