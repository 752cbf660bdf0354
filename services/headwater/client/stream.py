"""The stream of batches: a bounded window, acknowledgements matched by number, everything unacknowledged sent again.

Owns order and re-sending. Must not change what is sent: a batch that is sent again is the same bytes, so the
ledger answers it with the same keys.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import grpc

from headwater.client.backoff import Backoff
from headwater.client.outcomes import Outcome, read_outcome
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.errors import HeadwaterError, Overloaded, Unavailable
from headwater.kernel.rpc.received import from_rpc_error

if TYPE_CHECKING:  # generic in the stubs only
    _Call = grpc.aio.StreamStreamCall[ingest_pb2.StreamEventsRequest, ingest_pb2.StreamEventsResponse]
else:
    _Call = grpc.aio.StreamStreamCall

_BROKEN = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
"""Codes of a stream that broke under us (reset, proxy, server gone); the same is safe to send again."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One batch is committed.

    Args:
        batch_number: as `EventStream.send` returned it.
        outcomes: one per event, in the order sent.
    """

    batch_number: int
    outcomes: tuple[Outcome, ...]


class EventStream:
    """Sends batches of one tenant; made by `IngestClient.stream`."""

    def __init__(
        self,
        stub: ingest_pb2_grpc.IngestServiceAsyncStub,
        tenant_id: str,
        acknowledged: Callable[[Acknowledged], None],
        *,
        chance: random.Random,
        window_batches: int,
        acknowledge_timeout_s: float,
        give_up_s: float,
        backoff: Backoff,
    ) -> None:
        self._stub = stub
        self._tenant_id = tenant_id
        self._acknowledged = acknowledged
        self._chance = chance
        self._window_batches = window_batches
        self._acknowledge_timeout_s = acknowledge_timeout_s
        self._give_up_s = give_up_s
        self._backoff = backoff
        self._pending: dict[int, ingest_pb2.StreamEventsRequest] = {}
        self._sent_number = 0
        self._settled_count = 0
        self._closed = False
        self._failure: HeadwaterError | None = None
        self._change = anyio.Event()

    async def send(self, events: Sequence[event_pb2.Event]) -> int:
        """Queue 1..1000 events and return the number of the batch; waits while the window is full.

        Raises:
            HeadwaterError: the stream was given up; what is not acknowledged is to be sent again.
        """
        while len(self._pending) >= self._window_batches and self._failure is None:
            await self._change.wait()
        if self._failure is not None:
            raise self._failure
        self._sent_number += 1
        self._pending[self._sent_number] = ingest_pb2.StreamEventsRequest(
            batch_number=self._sent_number, tenant_id=self._tenant_id, events=events
        )
        self._changed()
        return self._sent_number

    async def drain(self) -> None:
        """Wait until every batch sent is acknowledged; raises as `send`."""
        while self._pending and self._failure is None:
            await self._change.wait()
        if self._failure is not None:
            raise self._failure

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the conversation going for the block; drain at its end."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._run)
                yield
                await self.drain()
                self._closed = True
                self._changed()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

    async def _run(self) -> None:
        failures = 0
        given_up_at = anyio.current_time() + self._give_up_s
        while not (self._closed and not self._pending):
            settled_before = self._settled_count
            fault = await self._converse()
            if fault is None:
                continue
            if self._settled_count > settled_before:
                failures, given_up_at = 0, anyio.current_time() + self._give_up_s
            failures += 1
            least_s = fault.retry_after_s if isinstance(fault, Overloaded) else 0.0
            pause_s = self._backoff.pause_s(failures, self._chance, least_s=least_s)
            hopeless = not isinstance(fault, (Overloaded, Unavailable))
            if hopeless or anyio.current_time() + pause_s > given_up_at:
                self._failure = fault
                self._changed()
                return
            await anyio.sleep(pause_s)

    async def _converse(self) -> HeadwaterError | None:
        """Hold one stream until it ends; return why it broke, None when all was said."""
        stalled = anyio.Event()
        async with anyio.create_task_group() as tasks:
            call = self._stub.StreamEvents(self._requests())
            tasks.start_soon(self._watch, call, stalled)
            try:
                fault = await self._listen(call)
            except anyio.get_cancelled_exc_class():
                # A call that is cancelled raises this in its reader, with no scope of ours behind it.
                if not stalled.is_set():
                    raise
                fault = Unavailable("nothing was acknowledged in time", reason="STALLED")
            finally:
                call.cancel()
            tasks.cancel_scope.cancel()
        return fault

    async def _listen(self, call: _Call) -> HeadwaterError | None:
        try:
            async for answer in call:
                self._settle(answer)
        except grpc.aio.AioRpcError as error:
            return _fault_of(error)
        except HeadwaterError as error:
            return error
        return Unavailable("the stream ended early", reason="STREAM_ENDED") if self._pending else None

    async def _watch(self, call: _Call, stalled: anyio.Event) -> None:
        """End a call on which nothing was acknowledged for too long though something waits."""
        while True:
            oldest = next(iter(self._pending), None)
            await anyio.sleep(self._acknowledge_timeout_s)
            if oldest is not None and oldest in self._pending:
                stalled.set()
                call.cancel()
                return

    async def _requests(self) -> AsyncIterator[ingest_pb2.StreamEventsRequest]:
        number = next(iter(self._pending), self._sent_number + 1)
        while True:
            request = self._pending.get(number)
            if request is not None:
                yield request
                number += 1
            elif self._closed:
                return
            else:
                await self._change.wait()

    def _settle(self, answer: ingest_pb2.StreamEventsResponse) -> None:
        number = next(iter(self._pending), None)
        if answer.batch_number != number:
            message = f"batch {answer.batch_number} was acknowledged where {number} is due"
            raise HeadwaterError(message, reason="CONTRACT_BROKEN")
        events = len(self._pending[number].events)
        if len(answer.outcomes) != events:
            message = f"batch {number}: {events} events sent, {len(answer.outcomes)} outcomes received"
            raise HeadwaterError(message, reason="CONTRACT_BROKEN")
        outcomes = tuple(map(read_outcome, answer.outcomes))
        del self._pending[number]
        self._settled_count += 1
        self._acknowledged(Acknowledged(answer.batch_number, outcomes))
        self._changed()

    def _changed(self) -> None:
        self._change.set()
        self._change = anyio.Event()


def _fault_of(error: grpc.aio.AioRpcError) -> HeadwaterError:
    fault = from_rpc_error(error)
    ours = "correlation_id" in fault.metadata  # the service itself failed: the same would fail again
    if error.code() in _BROKEN and type(fault) is HeadwaterError and not ours:
        return Unavailable(fault.message, reason="STREAM_BROKEN")
    return fault
