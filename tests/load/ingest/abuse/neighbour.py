"""The well-behaved client whose service must not suffer: a stream at a steady pace, each acknowledgement timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import anyio
import grpc
from tests.integration.ingest.world import TENANT, event

from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc

BATCH: Final = 20


@dataclass(frozen=True, slots=True)
class Service:
    """What the neighbour got: batches acknowledged of those that were due, and how long they took."""

    share: float
    p99_s: float


async def stream_steadily(port: int, pace_per_s: float, seconds: float, first: int) -> Service:
    """Send batches at *pace_per_s* for so long; times run from when each was due, not from when it was sent.

    Args:
        first: number of the first event; later rounds send others.
    """
    due: dict[int, float] = {}
    latencies: list[float] = []
    total = round(pace_per_s * seconds)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call: Any = ingest_pb2_grpc.IngestServiceStub(channel).StreamEvents(timeout=seconds + 30)
        begin_s = anyio.current_time()

        async def write() -> None:
            for number in range(1, total + 1):
                due[number] = begin_s + number / pace_per_s
                await anyio.sleep_until(due[number])
                start = first + number * BATCH
                items = [event(one) for one in range(start, start + BATCH)]
                await call.write(
                    ingest_pb2.StreamEventsRequest(tenant_id=TENANT, batch_number=number, events=items)
                )
            await call.done_writing()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            while (answer := await call.read()) is not grpc.aio.EOF:
                latencies.append(anyio.current_time() - due[answer.batch_number])
        took_s = anyio.current_time() - begin_s
    latencies.sort()
    share = len(latencies) / total * min(1.0, (seconds + 1.0) / took_s)
    return Service(share, latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))])
