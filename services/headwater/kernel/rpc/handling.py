"""From a service's handlers to the ones that gRPC calls: bounded, traced, errors turned into statuses.

Each handler is wrapped once, when it is registered, in one coroutine: an interceptor of grpc.aio costs 20-40 us at
every call, because it is asked for a new handler each time. Knows no service.

A unary call is registered as a stream of one request: the bytes on the wire are the same, and so the reading of
the request is ours to count and to bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.trace import NoOpTracer

from headwater.kernel.errors import InvalidInput
from headwater.kernel.rpc.admitting import Admission, Admit
from headwater.kernel.rpc.calls import Calls, CallSettings
from headwater.kernel.rpc.status import abort_with
from headwater.kernel.security.principal import Principal
from headwater.kernel.telemetry.rpc import ServerTracing
from headwater.kernel.tenancy import NOBODY, serve_tenant

if TYPE_CHECKING:  # generic in the stubs only
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]

MALFORMED: Final = "MALFORMED_MESSAGE"

Wrap = Callable[[str, "Handler"], "Handler"]
Behaviour = Callable[[Any, "Context"], Awaitable[Any]]


def unregistered(server: grpc.aio.Server) -> grpc.aio.Server:
    """Return what to give to `add_…_to_server` functions whose handlers are to be served as they are."""
    return cast("grpc.aio.Server", Registrar(server, lambda _, handler: handler))


def guarded(
    server: grpc.aio.Server,
    calls: Calls | None = None,
    tracing: ServerTracing | None = None,
    admit: Admit | None = None,
) -> grpc.aio.Server:
    """Return what to give to generated `add_…_to_server` functions in place of *server*.

    Args:
        admit: makes each method's admission; no credential is asked for when None.
    """
    wrap = _wrapper(calls or Calls(CallSettings()), tracing or ServerTracing(NoOpTracer()), admit)
    return cast("grpc.aio.Server", Registrar(server, wrap))


class Registrar:
    """What generated `add_…_to_server` functions take for a server: wraps each handler on its way there."""

    def __init__(self, server: grpc.aio.Server, wrap: Wrap) -> None:
        self._server = server
        self._wrap = wrap

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Register handlers that are looked up by name at each call."""
        self._server.add_generic_rpc_handlers(
            [_WrappedHandlers(handlers, self._wrap) for handlers in generic_rpc_handlers]
        )

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Leave it at the handlers looked up by name, which generated code registers too.

        grpc.aio waits for a call of each registered method apart, and at every call for all of them anew.
        """


class _WrappedHandlers(grpc.GenericRpcHandler):
    """Handlers wrapped when they are first asked for; there are as many as methods that are served."""

    def __init__(self, inner: grpc.GenericRpcHandler, wrap: Wrap) -> None:
        self._inner = inner
        self._wrap = wrap
        self._wrapped: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the handler of a method, None when nobody serves it."""
        method = str(handler_call_details.method)
        found = self._wrapped.get(method)
        if found is None:
            handler = self._inner.service(handler_call_details)
            if handler is None:
                return None
            found = self._wrapped[method] = self._wrap(method, handler)
        return found


def _wrapper(calls: Calls, tracing: ServerTracing, admit: Admit | None) -> Wrap:
    """Return the function that wraps the handler of a method, of whichever of the four kinds it is."""

    def wrap(method: str, handler: Handler) -> Handler:
        admission = admit(method) if admit is not None else None
        guard = _Guard(calls, _body(handler), admission, reading=not handler.request_streaming)
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        made: Handler = make(
            _traced(tracing, method, guard),
            request_deserializer=_parser(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )
        return made

    return wrap


def _traced(tracing: ServerTracing, method: str, guard: _Guard) -> Behaviour:
    run = guard.run

    async def serve(requests: Any, context: Context) -> Any:
        call = tracing.begin(method, context)
        if call is None:
            return await run(requests, context)
        with call:
            return await run(requests, context)

    return serve


class _Guard:
    """Runs the calls of one method: each counted, each error told to its caller as a status."""

    __slots__ = ("_admission", "_body", "_calls", "_reading")

    def __init__(self, calls: Calls, body: Behaviour, admission: Admission | None, *, reading: bool) -> None:
        self._calls = calls
        self._body = body
        self._admission = admission
        self._reading = reading

    async def run(self, requests: Any, context: Context) -> Any:
        """Serve one call.

        Cancellation: of the caller's doing is passed on; of this server's doing the caller is told.
        """
        task = _this_task()
        try:
            self._calls.begin(task, reading=self._reading)
            admission = self._admission
            principal = await self._admit(task, context)
            if not self._reading:
                serve_tenant(NOBODY)  # each message names its own: nothing is read for one
                if admission is not None and principal is not None:
                    requests = admission.inspected(requests, context, principal)
                return self._well(await self._body(requests, context))
            request = await context.read()
            self._calls.has_request(task)
            if request is not grpc.aio.EOF:
                if admission is not None and principal is not None:
                    admission.inspect(principal, request)
                serve_tenant(getattr(request, "tenant_id", NOBODY))
                return self._well(await self._body(request, context))
            nothing = InvalidInput("the call brought no request", reason=MALFORMED)
            self._calls.answered(nothing)
            await abort_with(context, nothing)
        except grpc.aio.AbortError:
            raise
        except asyncio.CancelledError:
            reason = self._calls.reason_of(task)
            self._calls.answered(reason or asyncio.CancelledError())
            if reason is None:
                raise
            await abort_with(context, reason)
        except Exception as error:  # noqa: BLE001 - the edge of every call: whatever comes becomes its status
            if self._admission is not None:
                self._admission.note(error)
            self._calls.answered(error)
            await abort_with(context, error)
        finally:
            self._calls.end(task)

    async def _admit(self, task: asyncio.Task[Any], context: Context) -> Principal | None:
        """Return whom a call comes from, counted to its share; None where callers need no credential."""
        if self._admission is None:
            return None
        principal = await self._admission.admit(context)
        self._calls.claim(task, principal.subject)
        return principal

    def _well(self, answer: Any) -> Any:
        """Return *answer*, counted."""
        self._calls.answered()
        return answer


def _body(handler: Handler) -> Behaviour:
    """Return the behaviour of a handler as a coroutine function, whichever way it is written."""
    behaviour: Any = (
        (handler.stream_stream or handler.unary_stream)
        if handler.response_streaming
        else (handler.stream_unary or handler.unary_unary)
    )
    if not inspect.isasyncgenfunction(behaviour):
        body: Behaviour = behaviour
        return body

    async def write_all(requests: Any, context: Context) -> None:
        async with contextlib.aclosing(behaviour(requests, context)) as answers:
            async for answer in answers:
                await context.write(answer)

    return write_all


def _parser(parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Return *parse* with bytes that are no such message as the caller's error."""
    if parse is None:
        return None

    def parse_or_refuse(raw: bytes) -> Any:
        try:
            return parse(raw)
        except DecodeError as error:
            raise InvalidInput("the request is no message of this method", reason=MALFORMED) from error

    return parse_or_refuse


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - grpc.aio runs every call in a task
    return task
