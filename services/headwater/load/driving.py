"""The senders: callers of unary methods and holders of streams, open or closed loop. Raw bytes through `raw`.

An open loop is given the moments at which messages are due and keeps to them whatever the service does; a closed loop
sends the next one when an answer came. Both measure from when a message was due. The clock must be `time.monotonic`
or one that runs alike, as the event loop's timers do; they are a millisecond coarse, which `uncorrected` leaves out.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import anyio
import grpc

from headwater.kernel.errors import Overloaded
from headwater.kernel.rpc.received import from_rpc_error
from headwater.load.answers import Ledger
from headwater.load.meter import Meter, Timing
from headwater.load.raw import Metadata, RawIngest, StreamCall
from headwater.load.supply import Message, Shape, Supply
from headwater.load.wire import batch_number, stream_head

REOPEN_PAUSE_S: Final = 0.1
"""Before a broken stream is opened anew."""
_WATCH_S: Final = 0.25
_WRITE_FAILED: Final = "Internal error from Core"
"""How gRPC's Python binding names the failure of a write (`set_internal_error`)."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a sender behaves.

    Args:
        timeout_s: deadline of a call, and of the acknowledgement of a stream's batch.
        window: batches of one stream that may wait for their acknowledgement.
        honour_retry: wait as long as RESOURCE_EXHAUSTED asks for, then send the same again; else the message is shed.
        ends_s: when a closed loop stops, and how long an open loop may send what is late.
        clock: seconds.
        wall_us: event times, microseconds since 1970.
    """

    shape: Shape = "stream"
    timeout_s: float = 10.0
    window: int = 8
    honour_retry: bool = True
    ends_s: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    wall_us: Callable[[], int] = lambda: time.time_ns() // 1000


@dataclass(slots=True)
class _Flight:
    """A message sent and not yet answered."""

    message: Message
    intended_s: float
    sent_s: float
    number: int = 0
    resent: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """What senders of one process share."""

    supply: Supply
    meter: Meter
    ledger: Ledger
    conduct: Conduct


def endless(clock: Callable[[], float]) -> Iterator[float]:
    """Yield the present for ever: the due times of a closed loop."""
    while True:
        yield clock()


async def run_caller(raw: RawIngest, post: Post, due: Iterator[float]) -> None:
    """Send one unary call or batch after the other, as `due` says; callers may share one iterator of moments."""
    conduct = post.conduct
    for intended_s in due:
        if not await _reached(conduct, intended_s):
            return
        message = post.supply.message(conduct.wall_us())
        await _call(raw, post, _Flight(message, intended_s, conduct.clock()))


async def _call(raw: RawIngest, post: Post, flight: _Flight) -> None:
    """Make one call, and again when it is pushed back and that is to be honoured."""
    conduct, message = post.conduct, flight.message
    method = raw.record if conduct.shape == "unary" else raw.record_batch
    metadata: Metadata = (("traceparent", message.traceparent),) if message.traceparent else ()
    give_up_s = conduct.clock() + conduct.timeout_s
    while True:
        post.meter.sent(message.events, len(message.body))
        try:
            answer = await method(message.body, timeout=conduct.timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            pause_s = _pushed_back(post.meter, error)
            if pause_s is None:
                post.meter.failed(*_named(error))
                post.meter.add(**_fate(error, message.events))
                return
            if not conduct.honour_retry or conduct.clock() + pause_s > give_up_s:
                post.meter.add(shed=message.events)
                return
            post.meter.add(resent=message.events)
            flight.resent = True
            await anyio.sleep(pause_s)
            flight.sent_s = conduct.clock()
        else:
            timing = Timing(flight.intended_s, flight.sent_s, conduct.clock())
            post.ledger.book(message, answer, timing, resent=flight.resent)
            return


@dataclass(slots=True)
class StreamSender:
    """Keeps one stream going from the first due moment to the last acknowledgement."""

    raw: RawIngest
    post: Post
    due: Iterator[float]
    _pending: deque[_Flight] = field(default_factory=deque)
    _again: deque[_Flight] = field(default_factory=deque)
    _number: int = 0
    _next_s: float | None = None
    """Due, but not sent: a stream that breaks while it is waited for leaves it to the next one."""
    _done: bool = False
    _room: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        """Send until the schedule ends and everything is answered or given up."""
        while not self._done or self._again:
            pause_s = await self._converse()
            if pause_s is not None:
                await anyio.sleep(pause_s)

    async def _converse(self) -> float | None:
        """Hold one stream; return the pause before the next one, None when this one ended well."""
        conduct = self.post.conduct
        left_s = max(0.0, min(conduct.ends_s - conduct.clock(), 86_400.0))
        call = self.raw.stream(timeout_s=left_s + conduct.timeout_s)
        async with anyio.create_task_group() as tasks:
            late = anyio.Event()
            tasks.start_soon(self._write, call)
            tasks.start_soon(self._watch, call, late)
            try:
                pause_s = await self._read(call, late)
            finally:
                call.cancel()
            tasks.cancel_scope.cancel()
        return pause_s

    async def _write(self, call: StreamCall) -> None:
        """Write what is to be sent again, then what falls due; a broken stream ends it quietly: the reader knows."""
        try:
            while self._again and not call.done():
                flight = self._again.popleft()
                flight.resent = True
                self.post.meter.add(resent=flight.message.events)
                await self._send(call, flight)
            while True:
                await self._wait_for_room()
                if self._next_s is None:
                    self._next_s = next(self.due, None)
                intended_s = self._next_s
                if intended_s is None or not await _reached(self.post.conduct, intended_s):
                    break
                if call.done():  # what was under way is judged already; this is for the next stream
                    return
                self._next_s = None
                message = self.post.supply.message(self.post.conduct.wall_us())
                await self._send(call, _Flight(message, intended_s, 0.0))
            self._done = True
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return

    async def _send(self, call: StreamCall, flight: _Flight) -> None:
        self._number += 1
        flight.number = self._number
        body = stream_head(self._number, flight.message.tenant_id) + flight.message.body
        flight.sent_s = self.post.conduct.clock()
        self._pending.append(flight)
        self.post.meter.sent(flight.message.events, len(body))
        await call.write(body)

    async def _wait_for_room(self) -> None:
        """Wait until the window has room.

        Before the next due moment is asked for: a closed loop's is the present, an open loop's stays what it is.
        """
        while len(self._pending) >= self.post.conduct.window:
            self._room = anyio.Event()
            await self._room.wait()

    async def _read(self, call: StreamCall, late: anyio.Event) -> float | None:
        try:
            while isinstance(answer := await call.read(), bytes):
                self._settle(answer)
        except grpc.aio.AioRpcError as error:
            return self._broken(error)
        except anyio.get_cancelled_exc_class():
            # A call that is cancelled raises this in its reader, with no scope of ours behind it.
            if not late.is_set():
                raise
            self.post.meter.failed("DEADLINE_EXCEEDED", "NOT_ACKNOWLEDGED", unknown=self._drop())
            return REOPEN_PAUSE_S
        if self._pending:
            self.post.meter.failed("OK", "STREAM_ENDED", unknown=self._drop())
            return REOPEN_PAUSE_S
        return None

    def _settle(self, answer: bytes) -> None:
        if not self._pending or batch_number(answer) != self._pending[0].number:
            self.post.meter.failed("OK", "UNKNOWN_BATCH", unexpected=1)
            return
        flight = self._pending.popleft()
        timing = Timing(flight.intended_s, flight.sent_s, self.post.conduct.clock())
        self.post.ledger.book(flight.message, answer, timing, resent=flight.resent)
        self._room.set()

    def _broken(self, error: grpc.aio.AioRpcError) -> float:
        """Decide what becomes of the unacknowledged; return the pause before the next stream."""
        pause_s = _pushed_back(self.post.meter, error)
        if pause_s is None and _reason_lost(error):
            self.post.meter.failed("INTERNAL", "REASON_LOST")
            pause_s = REOPEN_PAUSE_S
        if pause_s is None:
            self.post.meter.failed(*_named(error), unknown=self._drop())
            return REOPEN_PAUSE_S
        if self.post.conduct.honour_retry and self.post.conduct.clock() < self.post.conduct.ends_s:
            self._again.extendleft(reversed(self._pending))
            self._pending.clear()
        else:
            self.post.meter.add(shed=self._drop())
        return pause_s

    def _drop(self) -> int:
        """Forget what is unacknowledged; return how many events that are."""
        events = sum(flight.message.events for flight in self._pending)
        self._pending.clear()
        self._room.set()
        return events

    async def _watch(self, call: StreamCall, late: anyio.Event) -> None:
        """End a stream whose oldest batch waits longer than the deadline."""
        conduct = self.post.conduct
        while True:
            await anyio.sleep(_WATCH_S)
            if self._pending and conduct.clock() - self._pending[0].sent_s > conduct.timeout_s:
                late.set()
                call.cancel()
                return


async def _reached(conduct: Conduct, intended_s: float) -> bool:
    """Wait until a message is due; return False when the time for sending is over."""
    now_s = conduct.clock()
    if now_s >= conduct.ends_s or intended_s >= conduct.ends_s:
        return False
    if intended_s > now_s:
        await anyio.sleep(intended_s - now_s)
    return True


def _pushed_back(meter: Meter, error: grpc.aio.AioRpcError) -> float | None:
    """Return the pause that a full service asks for; None when the error says something else."""
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return None
    fault = from_rpc_error(error)
    meter.failed("RESOURCE_EXHAUSTED", fault.reason, pushed_back=1)
    return fault.retry_after_s if isinstance(fault, Overloaded) else REOPEN_PAUSE_S


def _reason_lost(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether gRPC wrote on a stream that the service was just ending, and lost the status that says why.

    A push-back most likely, which is the one reason why a service ends a stream that works: treated alike.
    """
    return error.code() is grpc.StatusCode.INTERNAL and str(error.details()).startswith(_WRITE_FAILED)


def _named(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    fault = from_rpc_error(error)
    return error.code().name, fault.reason if fault.reason != type(fault).default_reason else ""


_SURE: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Codes that say for sure: nothing was recorded."""


def _fate(error: grpc.aio.AioRpcError, events: int) -> dict[str, int]:
    """Return under which count the events of a failed call go."""
    return {"refused": events} if error.code() in _SURE else {"unknown": events}
