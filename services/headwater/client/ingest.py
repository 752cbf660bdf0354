"""The asynchronous client of ingest: one batch at a time, or a stream of batches.

Owns the channel and the retry of what is safe to send again (everything: recording is idempotent).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import anyio
import grpc

from headwater.client.backoff import Backoff
from headwater.client.outcomes import Outcome, read_outcome
from headwater.client.stream import Acknowledged, EventStream
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.errors import Overloaded, Unavailable
from headwater.kernel.rpc import open_channel
from headwater.kernel.rpc.received import from_rpc_error

BATCH_EVENTS_MAX: Final = 1_000
"""Most events in a batch; source: ingest.proto."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How patient a client is."""

    call_timeout_s: float = 30.0
    """Bound of one call."""
    give_up_s: float = 60.0
    """How long one batch is tried again while the service is full or away."""
    window_batches: int = 4
    """Batches of a stream that may wait for their acknowledgement."""
    acknowledge_timeout_s: float = 30.0
    """A stream on which nothing was acknowledged for so long is broken."""
    backoff: Backoff = field(default_factory=Backoff)


class IngestClient:
    """Records events of one tenant; use as `async with`.

    Args:
        address: host:port of ingest.
        tenant_id: tenant of every event.
        interceptors: of the channel, as `kernel.telemetry.client_tracing`.
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
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        self._channel = open_channel(self._address, self._interceptors)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def record(self, events: Sequence[event_pb2.Event]) -> tuple[Outcome, ...]:
        """Record 1..1000 events in one commit and return their outcomes, in order.

        Raises:
            InvalidInput: the batch itself is malformed; a bad event is an outcome, not an error.
            Overloaded, Unavailable: still so after `give_up_s`; sending the same again is safe.

        Cancellation: the events may or may not be recorded; sending them again tells.
        """
        request = ingest_pb2.BatchRecordEventsRequest(tenant_id=self._tenant_id, events=events)
        deadline = anyio.current_time() + self._settings.give_up_s
        failures = 0
        while True:
            try:
                answer = await self._stub.BatchRecordEvents(request, timeout=self._settings.call_timeout_s)
            except grpc.aio.AioRpcError as error:
                fault = from_rpc_error(error)
                if not isinstance(fault, (Overloaded, Unavailable)):
                    raise fault from error
                failures += 1
                least_s = fault.retry_after_s if isinstance(fault, Overloaded) else 0.0
                pause_s = self._settings.backoff.pause_s(failures, self._chance, least_s=least_s)
                if anyio.current_time() + pause_s > deadline:
                    raise fault from error
                await anyio.sleep(pause_s)
            else:
                return tuple(map(read_outcome, answer.outcomes))

    @asynccontextmanager
    async def stream(self, acknowledged: Callable[[Acknowledged], None]) -> AsyncIterator[EventStream]:
        """Open the main road; leaving the block waits until everything sent is acknowledged.

        Args:
            acknowledged: told of each batch once, in the order sent; must not block.
        """
        settings = self._settings
        stream = EventStream(
            self._stub,
            self._tenant_id,
            acknowledged,
            chance=self._chance,
            window_batches=settings.window_batches,
            acknowledge_timeout_s=settings.acknowledge_timeout_s,
            give_up_s=settings.give_up_s,
            backoff=settings.backoff,
        )
        async with stream.running():
            yield stream

    @property
    def _stub(self) -> ingest_pb2_grpc.IngestServiceAsyncStub:
        if self._channel is None:
            raise RuntimeError("IngestClient is used outside its `async with` block")
        stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(self._channel)
        return stub
