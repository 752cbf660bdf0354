"""A client as cheap as Python can be: bytes out, acknowledgements counted. `driver '<Plan as JSON>'`, see `stages`.

Owns the load of one case, closed loop: each caller has its share under way and no more. Must not think.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import anyio
import grpc
import uvloop
from tests.load.figures import percentile
from tests.load.ingest.facts import SAMPLED_SHARE, VARIANTS, Messages, traceparent

from headwater.ingest.v1 import ingest_pb2

SERVICE: Final = "/headwater.ingest.v1.IngestService/"
CALL_S: Final = 20.0
CHANNELS_MAX: Final = 8
"""Connections of one client: enough that several processes on one port each get some."""
LOOKED_AT: Final = 64
"""Every so many-th answer is read whole; the others are counted."""
REPEATED_AFTER: Final = 8
"""A repeat follows its batch by so many batches: as a sender's second try would, not in the same commit."""
PAUSE_S: Final = 0.05
OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.enable_retries", 0),
)
GOOD: Final = frozenset({ingest_pb2.DISPOSITION_ACCEPTED, ingest_pb2.DISPOSITION_DUPLICATE})


@dataclass(frozen=True, slots=True)
class Plan:
    """One case.

    Args:
        callers: calls or streams at once.
        events: in one call or message.
        window: messages of one stream that wait for their acknowledgement.
        repeat: every second message is one that was sent before.
    """

    address: str
    road: Literal["unary", "batch", "stream"]
    callers: int
    events: int
    seconds: float
    run: str
    window: int = 1
    repeat: bool = False
    warm_up_s: float = 1.0

    def command_argument(self) -> str:
        """Return the plan as the driver takes it."""
        return json.dumps(asdict(self))


class UnexpectedError(Exception):
    """The server did what no server under test may do."""


class Tally:
    """What was sent and answered; `open` from the opening of the window to its close."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.messages = Messages(plan.run)
        self.chance = random.Random(plan.run)
        self.next_number = 0
        self.started_ns = time.time_ns()
        self.distinct = self.acked = self.refused = self.answers = 0
        self.open = False
        self.over = False
        self.window_events = 0
        self.latencies_s: list[float] = []

    def fresh(self) -> range:
        """Return the numbers of the next events."""
        first = self.next_number
        self.next_number += self.plan.events
        return range(first, self.next_number)

    def sampled(self) -> bool:
        """Draw whether a call is traced."""
        return self.chance.random() < SAMPLED_SHARE

    def answered(self, raw: bytes, began: float, *, single: bool = False) -> None:
        """Count an answer, and look into some."""
        self.answers += 1
        self.acked += self.plan.events
        if self.open:
            self.window_events += self.plan.events
            self.latencies_s.append(time.perf_counter() - began)
        if self.answers % LOOKED_AT == 1:
            _check(raw, self.plan, single=single)


def _check(raw: bytes, plan: Plan, *, single: bool) -> None:
    if single:
        outcomes = [ingest_pb2.RecordEventResponse.FromString(raw).outcome]
    elif plan.road == "stream":
        outcomes = list(ingest_pb2.StreamEventsResponse.FromString(raw).outcomes)
    else:
        outcomes = list(ingest_pb2.BatchRecordEventsResponse.FromString(raw).outcomes)
    if len(outcomes) != plan.events or any(one.disposition not in GOOD for one in outcomes):
        raise UnexpectedError(f"an answer is not what it should be: {outcomes[:1]}")


async def _call(tally: Tally, channel: grpc.aio.Channel) -> None:
    """Send one call after another until the end."""
    single = tally.plan.road == "unary"
    send: Any = channel.unary_unary(SERVICE + ("RecordEvent" if single else "BatchRecordEvents"))
    while not tally.over:
        sampled = tally.sampled()
        request = tally.messages.request(tally.fresh(), time.time_ns(), sampled=sampled)
        tally.distinct += tally.plan.events
        metadata = (("traceparent", traceparent(tally.answers % VARIANTS, sampled=sampled)),)
        while True:
            began = time.perf_counter()
            try:
                raw = await send(request, timeout=CALL_S, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise UnexpectedError(f"{error.code().name}: {error.details()}") from error
                tally.refused += 1
                await anyio.sleep(PAUSE_S)
            else:
                break
        tally.answered(raw, began, single=single)


def _stream_requests(tally: Tally) -> Iterator[tuple[bytes, int]]:
    """Yield messages without end, each with how many events of it are new; with repeats, every second one is an older one again."""
    before: deque[range] = deque()
    for batch_number in range(1, sys.maxsize):
        if tally.plan.repeat and batch_number % 2 == 0 and len(before) > REPEATED_AFTER:
            numbers, fresh = before.popleft(), 0
        else:
            numbers, fresh = tally.fresh(), tally.plan.events
            before.append(numbers)
        moment_ns = (
            tally.started_ns + numbers.start * 1_000
        )  # of the number alone: a repeat is the same event
        yield tally.messages.message(batch_number, numbers, moment_ns, sampled=False), fresh


async def _stream(tally: Tally, channel: grpc.aio.Channel) -> None:
    """Keep one stream's window full until the end, then read what is left."""
    metadata = (("traceparent", traceparent(tally.next_number % VARIANTS, sampled=tally.sampled())),)
    call: Any = channel.stream_stream(SERVICE + "StreamEvents")(
        timeout=tally.plan.seconds + tally.plan.warm_up_s + CALL_S, metadata=metadata
    )
    sent: deque[float] = deque()
    room = anyio.Semaphore(tally.plan.window)

    async def write() -> None:
        for message, fresh in _stream_requests(tally):
            await room.acquire()
            if tally.over:
                break
            sent.append(time.perf_counter())
            tally.distinct += fresh
            await call.write(message)
        await call.done_writing()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        try:
            while (raw := await call.read()) is not grpc.aio.EOF:
                tally.answered(raw, sent.popleft())
                room.release()
        except grpc.aio.AioRpcError as error:
            raise UnexpectedError(f"{error.code().name}: {error.details()}") from error
        if not tally.over:
            raise UnexpectedError(f"the stream ended early: {await call.code()}")


async def drive(plan: Plan) -> None:
    """Load the server and tell the stages."""
    tally = Tally(plan)
    channels = [
        grpc.aio.insecure_channel(plan.address, options=OPTIONS)
        for _ in range(min(plan.callers, CHANNELS_MAX))
    ]
    for channel in channels:
        await channel.channel_ready()
    work = _stream if plan.road == "stream" else _call
    async with anyio.create_task_group() as tasks:
        for number in range(plan.callers):
            tasks.start_soon(work, tally, channels[number % len(channels)])
        await anyio.sleep(plan.warm_up_s)
        _say(stage="measuring")
        tally.open = True
        began, used = time.perf_counter(), time.process_time()
        await anyio.sleep(plan.seconds)
        tally.open, elapsed = False, time.perf_counter() - began
        _say(
            stage="measured", events=tally.window_events, seconds=elapsed,
            cpu_s=time.process_time() - used, latency_ms=_percentiles(tally.latencies_s),
        )  # fmt: skip
        tally.over = True
    for channel in channels:
        await channel.close()
    _say(stage="done", acked=tally.acked, distinct=tally.distinct, refused=tally.refused)


def _percentiles(latencies_s: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: percentile(latencies_s, share) * 1_000 for name, share in shares.items()}


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(drive(Plan(**json.loads(sys.argv[1]))))
