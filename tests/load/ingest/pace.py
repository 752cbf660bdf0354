"""An open-loop client: messages leave when they are due, whatever became of those before. `pace '<Pace as JSON>'`.

Latency is from the instant a message was due, so that a stalled server cannot hide what it made wait. What is
refused or not known is counted and not tried again: offering is this program's whole business.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import anyio
import grpc
import uvloop
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from tests.load.figures import percentile
from tests.load.ingest.driver import OPTIONS, SERVICE
from tests.load.ingest.facts import Messages

STREAM_S_MORE: Final = 60.0
DETAILS: Final = "grpc-status-details-bin"
KEPT_EVERY: Final = 97
"""Every so many-th acknowledged number is kept, to be looked for in the table afterwards."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What is offered.

    Args:
        rate: events per second.
        events: in one message.
        lanes: streams, or connections of unary calls.
        outstanding_max: messages of one lane under way; one that is due while the lane is full is not sent.
    """

    address: str
    road: Literal["stream", "batch"]
    rate: float
    events: int
    seconds: float
    run: str
    lanes: int = 4
    outstanding_max: int = 256
    deadline_s: float = 10.0
    warm_up_s: float = 1.0

    def command_argument(self) -> str:
        """Return the pace as the program takes it."""
        return json.dumps(asdict(self))


class Tally:
    """What was offered and what became of it; numbers count events."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.messages = Messages(pace.run)
        self.starts = time.perf_counter()
        self.next_number = 0
        self.offered = self.acked = self.refused = self.unsent = 0
        self.window_events = 0
        self.no_retry_info = 0
        self.codes: Counter[str] = Counter()
        self.latencies_s: list[float] = []
        self.kept: list[int] = []

    async def due(self, lane: int) -> AsyncIterator[tuple[float, range]]:
        """Yield each message of a lane when it is due."""
        pace = self.pace
        interval_s = pace.lanes * pace.events / pace.rate
        ends = self.starts + pace.warm_up_s + pace.seconds
        moment = self.starts + interval_s * lane / pace.lanes
        while moment < ends:
            wait_s = moment - time.perf_counter()
            await anyio.sleep(max(0.0, wait_s))
            first = self.next_number
            self.next_number += pace.events
            self.offered += pace.events
            yield moment, range(first, self.next_number)
            moment += interval_s

    def answered(self, due: float, numbers: range) -> None:
        """Count an acknowledgement."""
        self.acked += len(numbers)
        now = time.perf_counter()
        window = self.starts + self.pace.warm_up_s
        if window <= now <= window + self.pace.seconds:
            self.window_events += len(numbers)
            self.latencies_s.append(now - due)
        if numbers.start // self.pace.events % KEPT_EVERY == 0:
            self.kept.append(numbers.start)

    def failed(self, error: grpc.aio.AioRpcError) -> None:
        """Count a call that was refused, or of which nobody knows."""
        self.codes[error.code().name] += 1
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self.refused += self.pace.events
            self.no_retry_info += retry_after_s(error) is None


def retry_after_s(error: grpc.aio.AioRpcError) -> float | None:
    """Return what a refusal's RetryInfo says; None when it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if isinstance(detail, Packed) and detail.Unpack(info):
                    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None


async def _stream(tally: Tally, channel: grpc.aio.Channel, lane: int) -> None:
    pace = tally.pace
    lasts_s = pace.warm_up_s + pace.seconds + STREAM_S_MORE
    call: Any = channel.stream_stream(SERVICE + "StreamEvents")(timeout=lasts_s)
    sent: deque[tuple[float, range]] = deque()

    async def write() -> None:
        batch_number = 0
        async for moment, numbers in tally.due(lane):
            batch_number += 1
            message = tally.messages.message(batch_number, numbers, time.time_ns(), sampled=False)
            sent.append((moment, numbers))
            await call.write(message)
        await call.done_writing()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        while await call.read() is not grpc.aio.EOF:
            tally.answered(*sent.popleft())
    if sent:
        raise AssertionError(f"{len(sent)} messages were never answered: {await call.code()}")


async def _calls(tally: Tally, channel: grpc.aio.Channel, lane: int) -> None:
    call: Any = channel.unary_unary(SERVICE + "BatchRecordEvents")
    under_way = 0

    async def offer(moment: float, numbers: range) -> None:
        nonlocal under_way
        under_way += 1
        try:
            request = tally.messages.request(numbers, time.time_ns(), sampled=False)
            await call(request, timeout=tally.pace.deadline_s)
            tally.answered(moment, numbers)
        except grpc.aio.AioRpcError as error:
            tally.failed(error)
        finally:
            under_way -= 1

    async with anyio.create_task_group() as tasks:
        async for moment, numbers in tally.due(lane):
            if under_way < tally.pace.outstanding_max:
                tasks.start_soon(offer, moment, numbers)
            else:
                tally.unsent += len(numbers)


async def offer_all(pace: Pace) -> None:
    """Offer the whole load and tell the stages."""
    channels = [grpc.aio.insecure_channel(pace.address, options=OPTIONS) for _ in range(pace.lanes)]
    for channel in channels:
        await channel.channel_ready()
    tally = Tally(pace)
    work = _stream if pace.road == "stream" else _calls
    used = 0.0
    async with anyio.create_task_group() as tasks:
        for lane, channel in enumerate(channels):
            tasks.start_soon(work, tally, channel, lane)
        await anyio.sleep(pace.warm_up_s)
        used = time.process_time()
        _say(stage="measuring")
        await anyio.sleep(pace.seconds)
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        latency_ms = {name: percentile(tally.latencies_s, share) * 1_000 for name, share in shares.items()}
        _say(
            stage="measured", events=tally.window_events, seconds=pace.seconds,
            cpu_s=time.process_time() - used, latency_ms=latency_ms,
        )  # fmt: skip
    for channel in channels:
        await channel.close()
    _say(
        stage="done", acked=tally.acked, distinct=tally.acked, refused=tally.refused, offered=tally.offered,
        unsent=tally.unsent, codes=tally.codes, no_retry_info=tally.no_retry_info, kept=tally.kept,
    )  # fmt: skip


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(offer_all(Pace(**json.loads(sys.argv[1]))))
