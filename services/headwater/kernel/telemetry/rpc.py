"""Spans of gRPC calls: one interceptor for each end of grpc.aio.

Owns the server and client span of a call and the carrying of trace context in its metadata. Put the server
interceptor first in the list, so that it sees the status that the error interceptor sets. A call whose parent is
not sampled gets no span, only its context carried on. Must not decide anything about the call.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from opentelemetry import context as otel_context
from opentelemetry.trace import (
    NonRecordingSpan,
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
from headwater.kernel.telemetry.context import TraceContext, current

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

SERVER_ERRORS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"},
)
"""Codes that are errors on a server's span; on a client's every code but OK is (docs/rpc/grpc.md)."""

_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

if TYPE_CHECKING:  # generic in the stubs only; an interceptor sees every message there is
    _Handler = grpc.RpcMethodHandler[Any, Any]
    _Context = grpc.aio.ServicerContext[Any, Any]
else:
    _Handler = grpc.RpcMethodHandler
    _Context = grpc.aio.ServicerContext

_Behaviour = Callable[[Any, _Context], Any]


def server_span_context() -> TraceContext | None:
    """Return the context of the call being served: its span's, or the caller's where the call is not sampled."""
    return current()


def context_from_metadata(metadata: Sequence[tuple[str, str | bytes]] | None) -> TraceContext | None:
    """Read trace context out of a call's metadata; None where there is none or it is bad."""
    parent = state = ""
    for key, value in metadata or ():
        if key == TRACEPARENT and isinstance(value, str):
            parent = value
        elif key == TRACESTATE and isinstance(value, str):
            state = f"{state},{value}" if state else value
    return TraceContext.parse(parent, state) if parent else None


class ServerTracing(grpc.aio.ServerInterceptor):
    """Makes one SERVER span for each call that is sampled, unary or stream."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._enabled = not isinstance(tracer, NoOpTracer)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Wrap the call's handler; a method nobody serves stays unwrapped."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        parent = context_from_metadata(handler_call_details.invocation_metadata)
        if parent is None and not self._enabled:
            return handler
        return _wrapped(
            handler, _ServedCall(self, names.rpc_method(str(handler_call_details.method)), parent)
        )

    def start(self, method: str, parent: TraceContext | None) -> Span:
        """Start a call's span; a stand-in that records nothing where the caller does not sample."""
        if parent is not None and not (self._enabled and parent.sampled):
            return NonRecordingSpan(parent.to_span_context())
        context = otel_context.Context() if parent is None else parent.to_parent()
        attributes: dict[str, str] = {names.RPC_SYSTEM_NAME: names.RPC_SYSTEM_GRPC, names.RPC_METHOD: method}
        return self._tracer.start_span(method, context, SpanKind.SERVER, attributes=attributes)


class _ServedCall:
    """One call: opens its span around the handler and writes the status on it."""

    __slots__ = ("_method", "_parent", "_tracing")

    def __init__(self, tracing: ServerTracing, method: str, parent: TraceContext | None) -> None:
        self._tracing = tracing
        self._method = method
        self._parent = parent

    @contextmanager
    def span(self, context: _Context) -> Iterator[None]:
        span = self._tracing.start(self._method, self._parent)
        token = otel_context.attach(set_span_in_context(span))
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            otel_context.detach(token)
            if span.is_recording():
                _finish_server(span, context, failure)


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


def _wrapped(handler: _Handler, call: _ServedCall) -> _Handler:
    served = handler.stream_stream or handler.unary_stream if handler.response_streaming else None
    if served is not None:
        streaming = _stream_answer(served, call)
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )
        return _remade(make, streaming, handler)
    single = handler.stream_unary if handler.request_streaming else handler.unary_unary
    make = (
        grpc.stream_unary_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return _remade(make, _single_answer(single, call), handler)


def _remade(make: Any, behaviour: _Behaviour, handler: _Handler) -> _Handler:
    made: _Handler = make(
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return made


def _single_answer(behaviour: Any, call: _ServedCall) -> _Behaviour:
    async def serve(request: Any, context: _Context) -> Any:
        with call.span(context):
            return await behaviour(request, context)

    return serve


def _stream_answer(behaviour: Any, call: _ServedCall) -> _Behaviour:
    """Wrap a handler that yields its answers, or one that writes them; each stays what it is."""
    if not inspect.isasyncgenfunction(behaviour):
        return _single_answer(behaviour, call)

    async def serve(request: Any, context: _Context) -> AsyncIterator[Any]:
        with call.span(context):
            async for answer in behaviour(request, context):
                yield answer

    return serve


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
        context = TraceContext.from_span_context(span.get_span_context())
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
        parent_context = parent.get_span_context()
        if not self._enabled or (parent_context.is_valid and not parent_context.trace_flags.sampled):
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
