"""The OTLP/gRPC receiver: acknowledges an export once it is stored.

Owns back-pressure: exports wait for the one worker thread up to a bound in bytes, beyond which the sender gets
RESOURCE_EXHAUSTED, on which OTLP senders try again. Decodes and stores off the event loop.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import anyio.to_thread
import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from headwater.console.otlp import ResourceRows, rows_of
from headwater.kernel.errors import Overloaded

SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"

RETRY_AFTER_S: Final = 0.5
"""When a refused sender should come again; the store takes some thousands of spans meanwhile."""

if TYPE_CHECKING:  # generic in the stubs only
    _Context = grpc.aio.ServicerContext[Any, Any]
else:
    _Context = grpc.aio.ServicerContext


class SpanSink(Protocol):
    """Where exports go: a `SpanStore`."""

    def write(self, groups: Iterable[ResourceRows]) -> int:
        """Store an export for good; return how many spans were left out."""
        ...


class TraceReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes exports into a store, one at a time, in the order they came."""

    def __init__(self, store: SpanSink, *, pending_bytes_max: int) -> None:
        self._store = store
        self._pending_bytes_max = pending_bytes_max
        self._pending_bytes = 0
        self._writer = anyio.CapacityLimiter(1)
        self.exports_refused = 0

    async def Export(  # noqa: N802 - the wire's name
        self,
        request: ExportTraceServiceRequest,
        context: _Context,  # noqa: ARG002 - the wire's signature
    ) -> ExportTraceServiceResponse:
        """Store an export, then acknowledge it."""
        size = request.ByteSize()
        if self._pending_bytes and self._pending_bytes + size > self._pending_bytes_max:
            self.exports_refused += 1
            raise Overloaded("the span store is behind", retry_after_s=RETRY_AFTER_S)
        self._pending_bytes += size
        try:
            rejected = await anyio.to_thread.run_sync(self._take, request, limiter=self._writer)
        finally:
            self._pending_bytes -= size
        if rejected:
            reason = "trace id or span id missing"
            partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=reason)
            return ExportTraceServiceResponse(partial_success=partial)
        return ExportTraceServiceResponse()

    def add_to(self, server: grpc.aio.Server) -> tuple[str]:
        """Serve here; return the service's name."""
        add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add(self, server)
        return (SERVICE,)

    def _take(self, request: ExportTraceServiceRequest) -> int:
        return self._store.write(rows_of(request))
