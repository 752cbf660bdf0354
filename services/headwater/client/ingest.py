"""The asynchronous client of ingest: one batch at a time, a stream of batches, or a recorder that batches by itself.

Owns the channel and the retry of what is safe to send again (everything: recording is idempotent).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

import anyio
import grpc

from headwater.client.errors import ClientClosed, ContractBroken
from headwater.client.outcomes import Outcome, Outcomes
from headwater.client.pump import STREAM_METHOD, Call
from headwater.client.recorder import Publisher, Recorder, accepted_or_raise, wake_waiter
from headwater.client.retrying import RetryBudget, unary_fault
from headwater.client.settings import ClientSettings, RecorderSettings
from headwater.client.stream import Acknowledged, EventStream
from headwater.client.waking import Home
from headwater.client.wire import BATCH_EVENTS_MAX, body, unary_request
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.rpc.client import open_channel
from headwater.kernel.telemetry.context import current

if TYPE_CHECKING:  # generic in the stubs only
    _Unary = grpc.aio.UnaryUnaryMultiCallable[bytes, ingest_pb2.BatchRecordEventsResponse]
    _Stream = grpc.aio.StreamStreamMultiCallable[bytes, ingest_pb2.StreamEventsResponse]

__all__ = ["BATCH_EVENTS_MAX", "ClientSettings", "IngestClient"]

BATCH_METHOD: Final = "/headwater.ingest.v1.IngestService/BatchRecordEvents"


class IngestClient:
    """Records events of one tenant; use as `async with`, in one event loop.

    Which way: `recorder` for events that come one by one, `stream` for a program that has batches in hand and
    keeps track of them, `record` for one batch now, `record_one` for one event now.

    Args:
        address: host:port of ingest.
        tenant_id: tenant of every event.
        interceptors: of the channel, as `kernel.telemetry.client_tracing`; trace contexts travel without any.
        chance: draws the jitter of pauses.
    """

    def __init__(
        self,
        address: str,
        tenant_id: str,
        *,
        settings: ClientSettings | None = None,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
        chance: random.Random | None = None,
    ) -> None:
        self._address = address
        self._tenant_id = tenant_id
        self._settings = settings or ClientSettings()
        self._interceptors = interceptors
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._budget = RetryBudget(self._settings.retries)
        self._home = Home()
        self._channel: grpc.aio.Channel | None = None
        self._unary: _Unary | None = None
        self._stream: _Stream | None = None

    async def __aenter__(self) -> Self:
        self._home = Home()
        self._channel = channel = open_channel(
            self._address, self._interceptors, retries=False, security=self._settings.security
        )
        self._unary = channel.unary_unary(BATCH_METHOD, None, ingest_pb2.BatchRecordEventsResponse.FromString)
        self._stream = channel.stream_stream(STREAM_METHOD, None, ingest_pb2.StreamEventsResponse.FromString)
        return self

    async def __aexit__(self, *_: object) -> None:
        channel, self._channel, self._unary, self._stream = self._channel, None, None, None
        if channel is not None and not self._home.left:
            await channel.close()

    async def record(self, events: Sequence[event_pb2.Event]) -> Sequence[Outcome]:
        """Record 1..1000 events in one commit and return their outcomes, in order.

        Raises:
            InvalidInput: the batch itself is malformed; a bad event is an outcome, not an error.
            Overloaded, Unavailable: still so after `give_up_s`; sending the same again is safe.

        Cancellation: the events may or may not be recorded; sending them again tells.
        """
        self._ready()
        request = unary_request(self._tenant_id, list(map(body, events)))
        answer = await self._insist(request)
        if len(answer.outcomes) != len(events):
            raise ContractBroken(f"{len(events)} events sent, {len(answer.outcomes)} outcomes received")
        return Outcomes(answer.outcomes)

    async def record_one(self, event: event_pb2.Event) -> Outcome:
        """Record one event and return its outcome, which is not `Refused`; raises and cancels as `record`.

        Raises:
            EventRefused: the event is not recorded.
        """
        (outcome,) = await self.record((event,))
        return accepted_or_raise(outcome)

    @asynccontextmanager
    async def stream(self, acknowledged: Callable[[Acknowledged], None]) -> AsyncIterator[EventStream]:
        """Open the main road; leaving the block waits until everything sent is acknowledged.

        Args:
            acknowledged: told of each batch once, in the order sent; must not block.

        Raises:
            HeadwaterError: in the block, as itself: given up after `give_up_s` without an acknowledgement, or of
                no use to go on. What was not acknowledged is to be sent again.

        Cancellation: what was not acknowledged may be recorded or not; sending it again tells.
        """
        self._ready()
        stream = EventStream(
            self._open_stream, self._tenant_id, acknowledged, settings=self._settings, chance=self._chance
        )
        async with stream.running():
            yield stream

    @asynccontextmanager
    async def recorder(self, settings: RecorderSettings | None = None) -> AsyncIterator[Recorder]:
        """Open a recorder, which batches by itself; leaving the block flushes.

        It outlives failures: events that were given up say so by their receipts, later ones are tried anew.

        Raises:
            HeadwaterError: on leaving, as `Recorder.flush`.

        Cancellation: as when left by an error, what is not settled is abandoned (`Abandoned` by its receipts).
        """
        publisher = self.publisher(settings, wake_waiter)
        async with publisher.running():
            yield Recorder(publisher)

    def publisher(self, settings: RecorderSettings | None, finished: Callable[..., None]) -> Publisher:
        """Return what a recorder stands on, for another face of it."""
        self._ready()
        return Publisher(
            self._open_stream,
            self._tenant_id,
            finished,
            client=self._settings,
            settings=settings or RecorderSettings(),
            chance=self._chance,
        )

    async def _insist(self, request: bytes) -> ingest_pb2.BatchRecordEventsResponse:
        settings = self._settings
        deadline = anyio.current_time() + settings.give_up_s
        metadata = _call_metadata()
        failures = 0
        self._budget.called()
        while True:
            call = self._ready()
            try:
                return await call(request, timeout=settings.call_timeout_s, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                fault = unary_fault(error)
                if not fault.passing:
                    raise fault.error from error
                failures += 1
                pause_s = settings.backoff.pause_s(failures, self._chance, least_s=fault.least_s)
                now = anyio.current_time()
                turn_s = self._budget.draw(now, deadline - now - pause_s)
                if turn_s is None:
                    raise fault.error from error
            await anyio.sleep(max(pause_s, turn_s))

    def _open_stream(self) -> Call:
        self._ready()
        assert self._stream is not None  # noqa: S101 - opened with the other
        return self._stream()

    def _ready(self) -> _Unary:
        self._home.check()
        if self._unary is None:
            raise ClientClosed("IngestClient is used outside its `async with` block")
        return self._unary


def _call_metadata() -> tuple[tuple[str, str], ...]:
    context = current()
    if context is None:
        return ()
    sent = (("traceparent", context.traceparent),)
    return (*sent, ("tracestate", context.tracestate)) if context.tracestate else sent
