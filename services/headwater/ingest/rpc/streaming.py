"""One StreamEvents call: reads ahead by a bounded number of batches, acknowledges in order after each commit."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from headwater.ingest.rpc.translate import read_arrival, write_outcome
from headwater.ingest.usecases.recording import Recorder, Submission
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import Unavailable
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.telemetry import TraceContext

Requests = AsyncIterable[ingest_pb2.StreamEventsRequest]
Write = Callable[[ingest_pb2.StreamEventsResponse], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Bounds of one stream.

    Args:
        batches_ahead_max: batches read and not yet acknowledged; then flow control holds the sender.
        batch_wait_s: longest wait for the commit of one batch.
    """

    batches_ahead_max: int = 8
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

    async def serve(self, requests: Requests, write: Write) -> None:
        """Serve the call until the sender has finished or the service ends; all that was read is answered.

        Raises:
            InvalidInput: a message is malformed as a whole; those before it are acknowledged.
            Unavailable: a commit failed, or the service ends; send again what was not acknowledged.

        Cancellation: events read may be recorded or not.
        """
        send, receive = anyio.create_memory_object_stream[tuple[int, Submission]](
            self._settings.batches_ahead_max
        )
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read_until_shutdown, requests, send)
            with receive:
                try:
                    async for number, submission in receive:
                        outcomes = await self._recorder.answer(submission, self._settings.batch_wait_s)
                        answer = [write_outcome(outcome) for outcome in outcomes]
                        await write(ingest_pb2.StreamEventsResponse(batch_number=number, outcomes=answer))
                except Exception as error:  # noqa: BLE001 - carried out of the task group as it is, not in a group
                    failure = error
            tasks.cancel_scope.cancel()
        failure = failure or self._refusal
        if failure is not None:
            raise failure

    async def _read_until_shutdown(
        self, requests: Requests, send: MemoryObjectSendStream[tuple[int, Submission]]
    ) -> None:
        with send:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._end_reading, tasks.cancel_scope)
                await self._read(requests, send)
                tasks.cancel_scope.cancel()

    async def _end_reading(self, reading: anyio.CancelScope) -> None:
        await self._shutdown.wait()
        self._refusal = Unavailable(
            "the service is shutting down; send again what was not acknowledged", reason="SHUTTING_DOWN"
        )
        reading.cancel()

    async def _read(self, requests: Requests, send: MemoryObjectSendStream[tuple[int, Submission]]) -> None:
        try:
            async for request in requests:
                arrivals = [read_arrival(event) for event in request.events]
                submission = await self._recorder.submit(request.tenant_id, arrivals, self._call)
                await send.send((request.batch_number, submission))
        except Exception as error:  # noqa: BLE001 - raised by `serve` once what was read before is answered
            self._refusal = error
