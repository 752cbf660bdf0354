"""One StreamEvents call: reads ahead within bounds, acknowledges in order after each commit.

One reader and one writer with a queue between them; a flush wakes the writer once, however many of the stream's
batches it settled. What is read and not yet acknowledged is bounded; beyond it nothing is read, and gRPC's flow
control holds the sender.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass

import anyio

from headwater.ingest.rpc.outcomes import write_stream_answer
from headwater.ingest.rpc.translate import read_arrival
from headwater.ingest.usecases.recording import Recorder, Submission
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import Unavailable
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.telemetry import TraceContext

Requests = AsyncIterable[ingest_pb2.StreamEventsRequest]
Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Bounds of one stream; one batch is always read, however large.

    Args:
        batches_ahead_max: batches read and not yet acknowledged.
        rows_ahead_max: events of such batches.
        bytes_ahead_max: memory of such batches.
        batch_wait_s: longest wait for the commit of one batch.
    """

    batches_ahead_max: int = 256
    rows_ahead_max: int = 1_000
    bytes_ahead_max: int = 4 * 1024 * 1024
    batch_wait_s: float = 30.0


class StreamCall:
    """One call, from its first message to its last acknowledgement."""

    def __init__(
        self, recorder: Recorder, settings: StreamSettings, shutdown: Shutdown, call: TraceContext | None
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._shutdown = shutdown
        self._call = call
        self._refusal: Exception | None = None
        self._ahead: deque[tuple[int, Submission]] = deque()
        self._rows_ahead = 0
        self._bytes_ahead = 0
        self._all_read = False
        self._bell: anyio.Event | None = None
        self._room: anyio.Event | None = None

    async def serve(self, requests: Requests, write: Write) -> None:
        """Serve the call until the sender has finished or the service ends; all that was read is answered.

        Raises:
            InvalidInput: a message is malformed as a whole; those before it are acknowledged.
            Unavailable: a commit failed, or the service ends; send again what was not acknowledged.

        Cancellation: events read may be recorded or not.
        """
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                reading = anyio.CancelScope()
                tasks.start_soon(self._end_reading, reading)
                tasks.start_soon(self._read, requests, reading)
                try:
                    await self._acknowledge(write)
                except Exception as error:  # noqa: BLE001 - carried out of the task group as it is, not in a group
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            for _, submission in self._ahead:
                self._recorder.withdraw(submission)
        failure = failure or self._refusal
        if failure is not None:
            raise failure

    async def _end_reading(self, reading: anyio.CancelScope) -> None:
        await self._shutdown.wait()
        self._refusal = Unavailable(
            "the service is shutting down; send again what was not acknowledged", reason="SHUTTING_DOWN"
        )
        reading.cancel()

    async def _read(self, requests: Requests, reading: anyio.CancelScope) -> None:
        try:
            with reading:
                async for request in requests:
                    await self._take_in(request)
        except Exception as error:  # noqa: BLE001 - raised by `serve` once what was read before is answered
            self._refusal = error
        self._all_read = True
        self._ring()

    async def _take_in(self, request: ingest_pb2.StreamEventsRequest) -> None:
        arrivals = [read_arrival(event) for event in request.events]
        submission = await self._recorder.prepare(request.tenant_id, arrivals, self._call)
        while not self._has_room(submission):
            self._room = self._room or anyio.Event()
            await self._room.wait()
        if submission.ticket is not None:
            submission.ticket.on_done = self._ring
        await self._recorder.hand_in(submission)
        self._ahead.append((request.batch_number, submission))
        self._rows_ahead += submission.rows
        self._bytes_ahead += submission.weight_bytes
        if submission.is_done:
            self._ring()

    async def _acknowledge(self, write: Write) -> None:
        ahead = self._ahead
        while True:
            while ahead and ahead[0][1].is_done:
                number, submission = ahead.popleft()
                await write(write_stream_answer(number, submission.outcomes()))
                self._leave(submission)
            if ahead:
                await self._wait_for_commit()
            elif self._all_read:
                return
            else:
                self._bell = anyio.Event()
                await self._bell.wait()

    async def _wait_for_commit(self) -> None:
        """Wait until something is done; the time is measured anew for each batch that stands first."""
        first = self._ahead[0][1]
        try:
            with anyio.fail_after(self._settings.batch_wait_s):
                while not first.is_done:
                    self._bell = anyio.Event()
                    await self._bell.wait()
        except TimeoutError as error:
            message = (
                f"not known after {self._settings.batch_wait_s:.1f} s whether the batch is recorded; "
                "sending again is safe"
            )
            raise Unavailable(message, reason="LOG_SLOW") from error

    def _has_room(self, submission: Submission) -> bool:
        settings = self._settings
        return not self._ahead or (
            len(self._ahead) < settings.batches_ahead_max
            and self._rows_ahead + submission.rows <= settings.rows_ahead_max
            and self._bytes_ahead + submission.weight_bytes <= settings.bytes_ahead_max
        )

    def _leave(self, submission: Submission) -> None:
        self._rows_ahead -= submission.rows
        self._bytes_ahead -= submission.weight_bytes
        if self._room is not None:
            self._room.set()
            self._room = None

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.set()
            self._bell = None
