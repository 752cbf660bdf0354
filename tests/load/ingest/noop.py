"""A grpc.aio server that does nothing with the same messages: `noop <port> <processes>`; the most that gRPC allows.

The process named on the command line serves, and starts the others on the same port. Also takes spans over OTLP
and drops them, so that the exporter of the service under test has somebody to talk to.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc

_KEY = "00000000-0000-4000-8000-000000000000"
_OUTCOME = ingest_pb2.EventOutcome(disposition=ingest_pb2.DISPOSITION_ACCEPTED, event_key=_KEY)
END_S = 5.0


class Noop(ingest_pb2_grpc.IngestServiceServicer):
    """Answers as if everything were accepted."""

    async def RecordEvent(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.RecordEventRequest, context: Any
    ) -> ingest_pb2.RecordEventResponse:
        """Answer one event."""
        del request, context
        return ingest_pb2.RecordEventResponse(outcome=_OUTCOME)

    async def BatchRecordEvents(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.BatchRecordEventsRequest, context: Any
    ) -> ingest_pb2.BatchRecordEventsResponse:
        """Answer a batch."""
        del context
        return ingest_pb2.BatchRecordEventsResponse(outcomes=[_OUTCOME] * len(request.events))

    async def StreamEvents(  # type: ignore[override]  # noqa: N802 - a handler that writes: the stubs know generators only
        self, request_iterator: AsyncIterator[ingest_pb2.StreamEventsRequest], context: Any
    ) -> None:
        """Acknowledge each message."""
        async for request in request_iterator:
            await context.write(
                ingest_pb2.StreamEventsResponse(
                    batch_number=request.batch_number, outcomes=[_OUTCOME] * len(request.events)
                )
            )


class Sink(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans and drops them."""

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the contract
        """Say that all is well."""
        del request, context
        return trace_service_pb2.ExportTraceServiceResponse()


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    server = grpc.aio.server(
        options=[("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", 16 * 1024 * 1024)]
    )
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(Noop(), server)  # type: ignore[abstract]  # the other methods are never called
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Sink(), server)  # type: ignore[no-untyped-call]
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write(f'{{"ready": true, "port": {bound}}}\n')
    sys.stdout.flush()
    await ended.wait()
    await server.stop(0.2)


def main() -> None:
    """Serve, with as many processes as asked for."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    others = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.load.ingest.noop", str(port), "1"], stdout=subprocess.DEVNULL
        )
        for _ in range(count - 1)
    ]
    try:
        uvloop.run(serve(port))
    finally:
        for other in others:
            other.terminate()
            other.wait(END_S)


if __name__ == "__main__":
    main()
