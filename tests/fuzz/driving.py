"""Sends generated requests to a running service, many at once, and holds every answer to the rules.

Every call has a deadline; a watch ends calls that outlive theirs and calls that a finding. Must not know how
requests are made or what makes an answer right.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import anyio
import grpc
from tests.fuzz.judging import Judge, events_of, kills_stream
from tests.fuzz.methods import Method, Request
from tests.fuzz.reporting import Report

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
WINDOW_MESSAGES: Final = 24
"""Messages of one stream that are not yet acknowledged."""
WINDOW_BYTES: Final = 48 * 1024
"""Their bytes: below HTTP/2's first window (64 KiB), so that a stream's one task cannot block itself."""
STREAM_MESSAGES: Final = 2_000
"""Messages of one stream, then the next one opens."""
KILLING_SHARE: Final = 0.1
"""Share of the messages that end a stream which share one with others; the rest get one of their own."""
MISPLACED_MAX: Final = 4
"""Of those, how many may wait for a caller; there are always more."""
OVERTAKEN: Final = "Internal error from Core"
"""What grpc.aio's client says of a write on a call that ended meanwhile; the service's status is lost."""
GIVEN_UP: Final = "the driver is done with this stream"
SINGLE_SHARE: Final = 0.25
"""Share of a run's requests that are single calls at least: streams, which are faster, leave them so many."""
HASTY_SHARE: Final = 0.003
"""Share of single calls that get hardly any time."""
HASTY_S: Final = (0.001, 0.005, 0.02)
PROGRESS_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is sent and how long is waited.

    Args:
        requests: how many; a message of a stream is one.
        seconds: and no longer than that.
        callers: single calls under way at once.
        streams: streams open at once.
        deadline_s: of each single call; an answer to a message of a stream may take as long.
        margin_s: after the deadline a call counts as hanging.
    """

    requests: int
    seconds: float
    callers: int = 24
    streams: int = 12
    deadline_s: float = 15.0
    margin_s: float = 3.0


class Source(Protocol):
    """Where requests come from."""

    def unary(self) -> Request:
        """Return a request of a method that is answered once."""

    def streamed(self) -> Request:
        """Return a message of a stream."""


class Driver:
    """One run against one address."""

    def __init__(
        self,
        address: str,
        method: Method,
        source: Source,
        judge: Judge,
        pace: Pace,
        chance: random.Random,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.report = Report()
        self._address = address
        self._method = method
        self._source = source
        self._judge = judge
        self._pace = pace
        self._chance = chance
        self._progress = progress
        self._left = pace.requests
        self._owed = round(pace.requests * SINGLE_SHARE) if pace.callers else 0
        self._calls: dict[Method, Any] = {}
        self._waiting: dict[int, tuple[float, Request, Any]] = {}
        self._misplaced: deque[Request] = deque()
        self._ended: set[Any] = set()

    async def run(self) -> Report:
        """Send until all is sent, or the time is up; returns when every call has ended."""
        started = time.monotonic()
        self._end_at = started + self._pace.seconds
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.enable_retries", 0),
        ]
        async with (
            grpc.aio.insecure_channel(self._address, options=options) as self._channel,
            anyio.create_task_group() as watch,
        ):
            watch.start_soon(self._watch, started)
            async with anyio.create_task_group() as senders:
                for number in range(self._pace.callers):
                    senders.start_soon(self._call_on, number)
                for number in range(self._pace.callers, self._pace.callers + self._pace.streams):
                    senders.start_soon(self._stream_on, number)
            while self._misplaced:  # of a stream that ended after the last caller
                await self._call(0, self._misplaced.popleft())
            watch.cancel_scope.cancel()
        self.report.seconds = time.monotonic() - started
        return self.report

    def _more(self, kept: int = 0) -> bool:
        return self._left > kept and time.monotonic() < self._end_at

    async def _call_on(self, place: int) -> None:
        while self._misplaced or self._more():
            if self._misplaced:
                await self._call(place, self._misplaced.popleft())
            else:
                self._left -= 1
                self._owed = max(0, self._owed - 1)
                await self._call(place, self._source.unary())

    async def _call(self, place: int, request: Request) -> None:
        hasty = self._chance.random() < HASTY_SHARE
        wait_s = self._chance.choice(HASTY_S) if hasty else self._pace.deadline_s
        call: Any = self._unary(request.method)(request.wire, timeout=wait_s)
        self._waiting[place] = (time.monotonic(), request, call)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
            breach = self._judge.missing(request, error.code())
            breach = breach or self._judge.failed(request, error.code(), details, hasty=hasty)
            self._count(request, error.code().name, breach)
        except BaseException as error:
            if not self._was_ended(call, error):
                raise
            self._count(request, "HANG", "hang: no answer by the deadline")
        else:
            self._count(request, "OK", self._judge.answered(request, answer), len(events_of(request)))
        finally:
            self._waiting.pop(place, None)

    def _unary(self, method: Method) -> Any:
        call = self._calls.get(method)
        if call is None:
            call = self._channel.unary_unary(
                method.path, request_serializer=None, response_deserializer=method.response.FromString
            )
            self._calls[method] = call
        return call

    async def _stream_on(self, place: int) -> None:
        again: deque[Request] = deque()
        while again or self._more(self._owed):
            again = await self._stream(place, again)

    async def _stream(self, place: int, again: deque[Request]) -> deque[Request]:
        """Serve one stream; returns what is to be sent again: not sent on it, or not answered."""
        method = self._method
        call: Any = self._channel.stream_stream(
            method.path, request_serializer=None, response_deserializer=method.response.FromString
        )(timeout=self._pace.seconds + 2 * self._pace.deadline_s)
        pending: deque[Request] = deque()
        try:
            await self._exchange(place, call, again, pending)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the stream has ended: its status is looked at below
        except BaseException as error:
            if not self._was_ended(call, error):
                raise
        finally:
            self._waiting.pop(place, None)
        if pending:
            pending = await self._blame(call, pending)
        # What a call left unread fills the connection's window for all others. `call.cancel` passes over calls
        # that a write met ended: grpc.aio counts those as done, though the core still holds them.
        call._cython_call.cancel(GIVEN_UP)  # noqa: SLF001
        return deque([*pending, *again])

    async def _exchange(self, place: int, call: Any, again: deque[Request], pending: deque[Request]) -> None:
        """Write and read by turns until the stream ends or has carried enough."""
        sent = pending_bytes = 0
        while True:
            while len(pending) < WINDOW_MESSAGES and sent < STREAM_MESSAGES:
                request = again.popleft() if again else self._take_streamed()
                if request is None:
                    sent = STREAM_MESSAGES
                    break
                if pending and pending_bytes + len(request.wire) > WINDOW_BYTES:
                    again.appendleft(request)
                    break
                pending.append(request)
                pending_bytes += len(request.wire)
                sent += 1
                self._waiting[place] = (time.monotonic(), pending[0], call)
                await call.write(request.wire)
            if not pending:
                break
            self._waiting[place] = (time.monotonic(), pending[0], call)
            answer = await call.read()
            if answer is grpc.aio.EOF:
                return
            request = pending.popleft()
            pending_bytes -= len(request.wire)
            self._count(request, "OK", self._judge.answered(request, answer), len(events_of(request)))
        await call.done_writing()
        await call.read()

    async def _blame(self, call: Any, pending: deque[Request]) -> deque[Request]:
        """Hold the end of a stream against the message that brought it about; returns those to send again.

        gRPC may drop acknowledgements that a status overtakes, so the first message without one need not be it.
        """
        code, details = await call.code(), await call.details() or ""
        if code is grpc.StatusCode.INTERNAL and details == OVERTAKEN:
            self._misplaced.extend(pending)  # single calls will tell
            return deque()
        culprit = next((item for item in pending if kills_stream(item)), pending[0])
        if call in self._ended:
            self._count(culprit, "HANG", "hang: no answer on a stream by the deadline")
        elif code is grpc.StatusCode.OK:
            self._count(culprit, "OK", "the stream ended with OK before its last message was answered")
        else:
            breach = self._judge.failed(culprit, code, details)
            if not breach and not kills_stream(culprit):
                breach = f"a well-formed message ended the stream: {code.name} {details}"
            self._count(culprit, code.name, breach)
            if breach:  # which of them it was, single calls will tell
                self._misplaced.extend(item for item in pending if item is not culprit)
                return deque()
        return deque(item for item in pending if item is not culprit)

    def _take_streamed(self) -> Request | None:
        """Return the next message; most that would end the stream go out on a stream of their own."""
        while self._more(self._owed):
            self._left -= 1
            request = self._source.streamed()
            if not kills_stream(request) or self._chance.random() < KILLING_SHARE:
                return request
            if len(self._misplaced) < MISPLACED_MAX:
                self._misplaced.append(request)
            else:
                self._left += 1
        return None

    def _count(self, request: Request, code: str, breach: str, events: int = 0) -> None:
        self.report.count(request, code, events)
        is_new = bool(breach) and self.report.found(request, breach)
        if is_new and self._progress:
            self._progress(f"found: {request.method.name}: {breach} {request.wire.hex()[:400]}")

    async def _watch(self, started: float) -> None:
        """End calls that hang, and say how far the run is."""
        longest_s = self._pace.deadline_s + self._pace.margin_s
        told = started
        while True:
            await anyio.sleep(min(longest_s / 10, 0.5))
            now = time.monotonic()
            for since, _, call in list(self._waiting.values()):
                if now - since > longest_s:
                    self._ended.add(call)
                    call.cancel()
            if self._progress and now - told > PROGRESS_S:
                told = now
                rate = self.report.requests / (now - started)
                found = sum(self.report.breaches.values())
                self._progress(f"{self.report.requests} requests, {rate:.0f}/s, {found} findings")

    def _was_ended(self, call: Any, error: BaseException) -> bool:
        """Tell whether the watch, and nobody else, cancelled the call."""
        return isinstance(error, asyncio.CancelledError) and call in self._ended
