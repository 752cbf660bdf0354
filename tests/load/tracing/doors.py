"""Ingest by its stream and by unary calls: one process, whose tracing is switched, in turns of a slice."""

from __future__ import annotations

import os
import random
import re
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import anyio
import grpc
from anyio import to_thread
from tests.load.ingest import facts
from tests.load.ingest.driver import OPTIONS, SERVICE
from tests.load.ingest.ground import Ground, apply_policy, free_port, service_environment
from tests.load.ingest.meters import process_cpu_s
from tests.load.tracing.switchable import LAUNCHER, switch
from tests.load.tracing.ways import FEW, TAIL_S, WAYS, Receiver, order_of, settings_of
from tests.system.processes import Child

STREAMS: Final = 4
WINDOW: Final = 5
MESSAGE_EVENTS: Final = 100
"""As `make bench-ingest` has the stream: 2,000 events under way."""
CALLERS: Final = 16
SHAPES: Final = ("stream", "unary")
WARM_UP_S: Final = 0.5
SLICE_S: Final = 0.5
CALL_S: Final = 20.0
_TRACE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


@dataclass(frozen=True, slots=True)
class Door:
    """One running ingest process, and where it says how its tracing stands."""

    address: str
    child: Child
    switches: Path


@dataclass(slots=True)
class Seen:
    """What rounds saw, turn by turn: events a second, and microseconds of CPU an event."""

    pace_per_s: list[list[float]] = field(default_factory=list)
    cpu_us: list[list[float]] = field(default_factory=list)

    def pace_lost(self, base: Seen) -> tuple[float, ...]:
        """Return per cent of the pace lost against *base*, round by round."""
        return tuple((1 - ratio) * 100 for ratio in _ratios(self.pace_per_s, base.pace_per_s))

    def cpu_more(self, base: Seen) -> tuple[float, ...]:
        """Return per cent of CPU more than *base* takes, round by round."""
        return tuple((ratio - 1) * 100 for ratio in _ratios(self.cpu_us, base.cpu_us))


def _ratios(ours: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> list[float]:
    """Compare turn with turn, which ran right beside each other; of a round the median, which a disturbed turn cannot move."""
    return [
        median([one / other for one, other in zip(turns, base, strict=True)])
        for turns, base in zip(ours, others, strict=True)
    ]


class Traced:
    """Makes messages whose events all differ, each with a trace of its own, of which a share is sampled."""

    def __init__(self, run: str, share: float) -> None:
        self._messages = facts.Messages(run)
        self._chance = random.Random(run)
        self._share = share
        self._next = 0
        self._sent = 0

    def context(self) -> bytes:
        """Return a new trace context of 55 characters."""
        chance = self._chance
        sampled = chance.random() < self._share
        return b"00-%032x-%016x-0%d" % (chance.getrandbits(127) + 1, chance.getrandbits(63) + 1, sampled)

    def message(self) -> bytes:
        """Return the next `StreamEventsRequest`."""
        numbers = range(self._next, self._next + MESSAGE_EVENTS)
        self._next, self._sent = numbers.stop, self._sent + 1
        raw = self._messages.message(self._sent, numbers, time.time_ns(), sampled=False)
        return _TRACE.sub(lambda _: self.context(), raw)

    def request(self) -> bytes:
        """Return the next `RecordEventRequest`."""
        number = self._next
        self._next += 1
        raw = self._messages.request([number], time.time_ns(), sampled=False)
        return _TRACE.sub(lambda _: self.context(), raw)


@asynccontextmanager
async def open_door(ground: Ground, receiver: Receiver) -> AsyncIterator[Door]:
    """Run the process on a new database."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(ground.database(migrated=True))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        extra = {"HEADWATER_INGEST_PROCESSES": "1", **settings_of(receiver, directory)}
        environment = service_environment(url, port, extra=extra)
        child = Child("ingest", environment, directory / "stderr", LAUNCHER)
        await to_thread.run_sync(child.start)
        stack.push_async_callback(to_thread.run_sync, child.end)
        await apply_policy(f"127.0.0.1:{port}")
        yield Door(f"127.0.0.1:{port}", child, directory)


async def measure_round(
    door: Door, receiver: Receiver, shape: str, seconds: float, seen: dict[tuple[str, str], Seen]
) -> None:
    """Load each way for *seconds* in all, in turns of a slice, each turn in another order."""
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    pid = door.child.pid
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(door.address, options=OPTIONS))
            for _ in range(STREAMS)
        ]
        await _load(channels, shape, WAYS[FEW].share, WARM_UP_S)
        for number in range(max(1, round(seconds / SLICE_S))):
            for name in order_of(f"{shape} {number}"):
                way = WAYS[name]
                await switch([door.child], door.switches, on=way.traced)
                receiver.answer(way.answers)
                before, begun = process_cpu_s(pid), time.monotonic()
                answered = await _load(channels, shape, way.share, SLICE_S)
                took_s = time.monotonic() - begun
                await anyio.sleep(TAIL_S)  # what is still exported is this slice's
                turns[name].append((answered / took_s, (process_cpu_s(pid) - before) / answered * 1e6))
                if not way.answers:
                    receiver.answer(True)
                    await anyio.sleep(TAIL_S)
    for name, told in turns.items():
        found = seen.setdefault((shape, name), Seen())
        found.pace_per_s.append([pace for pace, _ in told])
        found.cpu_us.append([cpu_us for _, cpu_us in told])


async def _load(channels: Sequence[grpc.aio.Channel], shape: str, share: float, seconds: float) -> int:
    """Send for *seconds* and wait for the last answer; return the events answered."""
    made, end, done = Traced(os.urandom(6).hex(), share), time.monotonic() + seconds, 0

    async def stream(channel: grpc.aio.Channel) -> None:
        nonlocal done
        done += await _stream(channel, made, end)

    async def call(channel: grpc.aio.Channel) -> None:
        nonlocal done
        send: Any = channel.unary_unary(SERVICE + "RecordEvent")
        while time.monotonic() < end:
            await send(made.request(), timeout=CALL_S, metadata=(("traceparent", made.context().decode()),))
            done += 1

    async with anyio.create_task_group() as tasks:
        for number in range(STREAMS if shape == "stream" else CALLERS):
            tasks.start_soon(stream if shape == "stream" else call, channels[number % len(channels)])
    return done


async def _stream(channel: grpc.aio.Channel, made: Traced, end: float) -> int:
    """Keep one stream's window full until *end*, then read what is left; return the events acknowledged."""
    opened: Any = channel.stream_stream(SERVICE + "StreamEvents")
    call = opened(timeout=CALL_S, metadata=(("traceparent", made.context().decode()),))
    under_way: deque[None] = deque()
    acked = 0
    while time.monotonic() < end or under_way:
        while len(under_way) < WINDOW and time.monotonic() < end:
            await call.write(made.message())
            under_way.append(None)
        if under_way:
            if await call.read() is grpc.aio.EOF:
                raise ConnectionError(f"the stream ended early: {await call.code()}")
            under_way.popleft()
            acked += MESSAGE_EVENTS
    await call.done_writing()
    await call.read()
    return acked
