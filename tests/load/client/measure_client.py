"""What a client costs: events a second and CPU an event of each way to record, against a server that does nothing.

    python -m tests.load.client.measure_client [EVENTS]

The server runs in a process of its own, acknowledges without reading the events, and is warmed up. CPU is that of
the client's process alone (all of its threads, gRPC's among them), by `time.process_time`. One JSON line a way.
"""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any, Final

import anyio
import grpc

from headwater.client import (
    Acknowledged,
    BlockingIngestClient,
    EventStream,
    IngestClient,
    Outcome,
    Receipt,
    Recorder,
    event,
)
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

BATCH: Final = 100
EVENTS: Final = 100_000
PAYLOAD: Final = {"email": "someone@example.com", "name": "Some One", "city": "Somewhere", "age": 42}
TIME: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Way = Callable[[IngestClient, Sequence[event_pb2.Event]], Awaitable[int]]


def _answers() -> dict[int, Sequence[ingest_pb2.EventOutcome]]:
    accepted = ingest_pb2.EventOutcome(
        disposition=ingest_pb2.DISPOSITION_ACCEPTED, event_key="0190b5c1-7c7a-7c7a-8c7a-7c7a7c7a7c7a"
    )
    return {count: [accepted] * count for count in range(1_001)}


class Nothing(grpc.GenericRpcHandler):
    """Serves the two recording calls with outcomes made before."""

    def __init__(self) -> None:
        self._outcomes = _answers()

    def service(self, handler_call_details: Any) -> Any:
        read = ingest_pb2.BatchRecordEventsRequest.FromString
        if handler_call_details.method.endswith("BatchRecordEvents"):
            write = ingest_pb2.BatchRecordEventsResponse.SerializeToString
            return grpc.unary_unary_rpc_method_handler(self._batch, read, write)
        return grpc.stream_stream_rpc_method_handler(
            self._stream,
            ingest_pb2.StreamEventsRequest.FromString,
            ingest_pb2.StreamEventsResponse.SerializeToString,
        )

    async def _batch(self, request: Any, _: Any) -> Any:
        return ingest_pb2.BatchRecordEventsResponse(outcomes=self._outcomes[len(request.events)])

    async def _stream(self, requests: Any, _: Any) -> Any:
        async for request in requests:
            outcomes = self._outcomes[len(request.events)]
            yield ingest_pb2.StreamEventsResponse(batch_number=request.batch_number, outcomes=outcomes)


async def _serve(told: Connection) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Nothing(),))
    told.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()


def serve(told: Connection) -> None:
    """Serve until terminated; tell the port."""
    anyio.run(_serve, told)


async def record_100(client: IngestClient, events: Sequence[event_pb2.Event]) -> int:
    """Batch after batch, each looked at."""
    told = 0
    for first in range(0, len(events), BATCH):
        told += len(list(await client.record(events[first : first + BATCH])))
    return told


async def stream_100(client: IngestClient, events: Sequence[event_pb2.Event]) -> int:
    """A stream of batches, every outcome looked at."""
    told: list[int] = []

    def acknowledged(batch: Acknowledged) -> None:
        told.append(len(list(batch.outcomes)))

    stream: EventStream
    async with client.stream(acknowledged) as stream:
        for first in range(0, len(events), BATCH):
            await stream.send(events[first : first + BATCH])
    return sum(told)


async def recorder_submits(client: IngestClient, events: Sequence[event_pb2.Event]) -> int:
    """Single submits, then every receipt awaited."""
    recorder: Recorder
    async with client.recorder() as recorder:
        receipts: list[Receipt] = [await recorder.submit(item) for item in events]
        return len([await receipt for receipt in receipts])


async def recorder_records(client: IngestClient, events: Sequence[event_pb2.Event]) -> int:
    """A thousand tasks that each record one event at a time."""
    async with client.recorder() as recorder:
        rest = iter(events)
        done: list[Outcome] = []

        async def one() -> None:
            for item in rest:
                done.append(await recorder.record(item))  # noqa: PERF401 - one at a time is the point

        async with anyio.create_task_group() as tasks:
            for _ in range(1_000):
                tasks.start_soon(one)
        return len(done)


def blocking_submits(address: str, events: Sequence[event_pb2.Event]) -> int:
    """Single submits of a program without an event loop, then every future's result."""
    with BlockingIngestClient(address, "acme") as client, client.recorder() as recorder:
        futures: list[Future[Outcome]] = [recorder.submit(item) for item in events]
        return len([future.result() for future in futures])


async def _asynchronously(way: Way, address: str, events: Sequence[event_pb2.Event]) -> dict[str, float]:
    async with IngestClient(address, "acme") as client:
        await way(client, events[:1_000])
        began, cpu = time.perf_counter(), time.process_time()
        told = await way(client, events)
        return _figures(told, time.perf_counter() - began, time.process_time() - cpu)


def _figures(told: int, elapsed_s: float, cpu_s: float) -> dict[str, float]:
    return {
        "events": told,
        "events_per_s": round(told / elapsed_s),
        "client_cpu_us_per_event": round(cpu_s / told * 1e6, 2),
    }


def main(arguments: list[str]) -> None:
    """Measure every way once and print a line for each."""
    count = int(arguments[0]) if arguments else EVENTS
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    server = spawn.Process(target=serve, args=(there,), daemon=True)
    server.start()
    address = f"127.0.0.1:{here.recv()}"
    events = [event("crm", "contact", f"c-{n}", PAYLOAD, event_time=TIME) for n in range(count)]
    try:
        for way in (record_100, stream_100, recorder_submits, recorder_records):
            _say(
                way.__name__,
                anyio.run(_asynchronously, way, address, events, backend_options={"use_uvloop": True}),
            )
        blocking_submits(address, events[:1_000])
        began, cpu = time.perf_counter(), time.process_time()
        told = blocking_submits(address, events)
        _say("blocking_submits", _figures(told, time.perf_counter() - began, time.process_time() - cpu))
    finally:
        server.terminate()
        server.join()


def _say(way: str, figures: dict[str, float]) -> None:
    sys.stdout.write(json.dumps({"way": way, **figures}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
