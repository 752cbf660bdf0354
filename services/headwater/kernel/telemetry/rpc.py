"""Spans of gRPC calls: a context manager for the server's end, interceptors for the client's.

Owns the server and client span of a call and the carrying of trace context in its metadata. Open the server's span
outside of what turns errors into statuses, so that it sees the status. A call whose parent is not sampled gets no
span, only its context carried on. Must not decide anything about the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from opentelemetry import context as otel_context
from opentelemetry.trace import (
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.context import CarriedSpan, TraceContext, context_of, current

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

SERVER_ERRORS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"},
)
"""Codes that are errors on a server's span; on a client's every code but OK is (docs/rpc/grpc.md)."""

_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

if TYPE_CHECKING:  # generic in the stubs only
    _Context = grpc.aio.ServicerContext[Any, Any]


def server_span_context() -> TraceContext | None:
    """Return the context of the call being served: its span's, or the caller's where the call is not sampled."""
    return current()


def context_from_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> TraceContext | None:
    """Read trace context out of a call's metadata; None where there is none or it is bad."""
    parent = state = ""
    for key, value in metadata or ():
        if key == TRACEPARENT and isinstance(value, str):
            parent = value
        elif key == TRACESTATE and isinstance(value, str):
            state = f"{state},{value}" if state else value
    return TraceContext.parse(parent, state) if parent else None


class ServerTracing:
    """Makes one SERVER span for each call that is sampled, unary or stream."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._enabled = not isinstance(tracer, NoOpTracer)

    def begin(self, method: str, context: _Context) -> ServedCall | None:
        """Return the context manager of a call's span; None when there is neither a span nor a context to carry.

        Args:
            method: the path of the call, `/pkg.Service/Method`.
            context: the call's, as grpc.aio hands it to the handler.
        """
        parent = context_from_metadata(context.invocation_metadata())
        if parent is None:
            if not self._enabled:
                return None
            under = otel_context.Context()
        elif self._enabled and parent.sampled:
            under = parent.to_parent()
        else:
            return ServedCall(CarriedSpan(parent), context)
        name = names.rpc_method(method)
        attributes: dict[str, str] = {names.RPC_SYSTEM_NAME: names.RPC_SYSTEM_GRPC, names.RPC_METHOD: name}
        span = self._tracer.start_span(name, under, SpanKind.SERVER, attributes=attributes)
        return ServedCall(span, context)


class ServedCall:
    """One call's span: current inside, ended at exit with the status that the call ended with."""

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, span: Span, context: _Context) -> None:
        self._span = span
        self._context = context

    def __enter__(self) -> None:
        self._token = otel_context.attach(set_span_in_context(self._span))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        otel_context.detach(self._token)
        if self._span.is_recording():
            _finish_server(self._span, self._context, error)


def _finish_server(span: Span, context: _Context, failure: BaseException | None) -> None:
    code = _status_name(context.code(), failure)
    span.set_attribute(names.RPC_RESPONSE_STATUS_CODE, code)
    if code in SERVER_ERRORS:
        span.set_attribute(names.ERROR_TYPE, code)
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _status_name(code: object, failure: BaseException | None) -> str:
    """Name the status of a served call; the context holds a number, a StatusCode or nothing yet."""
    if isinstance(code, grpc.StatusCode):
        name = code.name
    else:
        name = _CODES[code].name if isinstance(code, int) and code in _CODES else "OK"
    if failure is None or name != "OK":
        return name
    return "UNKNOWN" if isinstance(failure, Exception) else "CANCELLED"


class _ClientTracing:
    """What the client interceptors share: a CLIENT span for a sampled call, context in its metadata."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._enabled = not isinstance(tracer, NoOpTracer)

    async def _traced(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        span = self._start(_method_of(details))
        context = context_of(span)
        if context is not None:
            details = _with_context(details, context)
        try:
            call = await continuation(details, request)
        except BaseException as error:
            if span.is_recording():
                _fail_client(span, type(error).__qualname__)
                span.end()
            raise
        if span.is_recording():
            call.add_done_callback(lambda done: _finish_client(span, done))
        return call

    def _start(self, method: str) -> Span:
        parent = get_current_span()
        above = context_of(parent)
        if not self._enabled or (above is not None and not above.sampled):
            return parent
        attributes: dict[str, str] = {names.RPC_SYSTEM_NAME: names.RPC_SYSTEM_GRPC, names.RPC_METHOD: method}
        return self._tracer.start_span(method, kind=SpanKind.CLIENT, attributes=attributes)


class UnaryClientTracing(_ClientTracing, grpc.aio.UnaryUnaryClientInterceptor):
    """Makes one CLIENT span for each sampled unary call."""

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Send the call with its trace context; the span ends with the call."""
        return await self._traced(continuation, client_call_details, request)


class StreamClientTracing(_ClientTracing, grpc.aio.StreamStreamClientInterceptor):
    """Makes one CLIENT span for each sampled stream of messages both ways."""

    async def intercept_stream_stream(
        self,
        continuation: Any,
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        """Open the stream with its trace context; the span ends with the stream."""
        return await self._traced(continuation, client_call_details, request_iterator)


def client_tracing(tracer: Tracer) -> list[grpc.aio.ClientInterceptor]:
    """Return the interceptors for a channel; put them first."""
    return [UnaryClientTracing(tracer), StreamClientTracing(tracer)]


def _method_of(details: grpc.aio.ClientCallDetails) -> str:
    method: Any = details.method
    return names.rpc_method(method.decode() if isinstance(method, bytes) else method)


def _with_context(details: grpc.aio.ClientCallDetails, context: TraceContext) -> grpc.aio.ClientCallDetails:
    sent = [(key, value) for key, value in details.metadata or () if key not in {TRACEPARENT, TRACESTATE}]
    sent.append((TRACEPARENT, context.traceparent))
    if context.tracestate:
        sent.append((TRACESTATE, context.tracestate))
    return grpc.aio.ClientCallDetails(
        method=details.method,
        timeout=details.timeout,
        metadata=grpc.aio.Metadata(*sent),
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
    )


def _finish_client(span: Span, call: Any) -> None:
    code = _code_of_done(call.code())
    span.set_attribute(names.RPC_RESPONSE_STATUS_CODE, code.name)
    if code is not grpc.StatusCode.OK:
        _fail_client(span, code.name)
    span.end()


def _fail_client(span: Span, error_type: str) -> None:
    span.set_attribute(names.ERROR_TYPE, error_type)
    span.set_status(Status(StatusCode.ERROR))


def _code_of_done(code: Coroutine[Any, Any, grpc.StatusCode]) -> grpc.StatusCode:
    """Read the status of a call that is done: grpc.aio makes it a coroutine, which then has nothing to await."""
    try:
        code.send(None)
    except StopIteration as finished:
        found: grpc.StatusCode = finished.value
        return found
    code.close()
    return grpc.StatusCode.UNKNOWN
