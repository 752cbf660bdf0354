"""The stream of batches as programs see it: they make the batches, a bounded window holds them back."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

import anyio

from headwater.client.batch import Batch
from headwater.client.conversation import Conversation
from headwater.client.outcomes import Outcome
from headwater.client.pump import Call, Pump
from headwater.client.settings import ClientSettings
from headwater.client.waking import errors_as_themselves
from headwater.client.wire import body, checked
from headwater.event.v1 import event_pb2
from headwater.kernel.errors import HeadwaterError


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One batch is committed.

    Args:
        batch_number: as `EventStream.send` returned it.
        outcomes: one per event, in the order sent; decoded when looked at.
    """

    batch_number: int
    outcomes: Sequence[Outcome]


class EventStream:
    """Sends batches of one tenant; made by `IngestClient.stream`."""

    def __init__(
        self,
        open_call: Callable[[], Call],
        tenant_id: str,
        acknowledged: Callable[[Acknowledged], None],
        *,
        settings: ClientSettings,
        chance: random.Random,
    ) -> None:
        self._acknowledged = acknowledged
        self._conversation = Conversation(tenant_id, settings, chance)
        self._pump = Pump(open_call, self._conversation, self._settled, _give_up)

    async def send(self, events: Sequence[event_pb2.Event]) -> int:
        """Queue 1..1000 events and return the number of the batch; waits while the window is full.

        Raises:
            InvalidInput: none, or too many; nothing was queued.

        Cancellation: the batch is not queued.
        """
        bodies = checked(list(map(body, events)))
        while not self._conversation.has_room:
            await self._pump.change.wait()
        return self._pump.send(Batch(bodies=bodies, count=len(bodies)))

    async def drain(self) -> None:
        """Wait until every batch sent is acknowledged."""
        while self._conversation.pending_count:
            await self._pump.change.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the conversation going for the block; drain at its end."""
        with errors_as_themselves():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pump.run)
                yield
                await self.drain()
                self._pump.close()

    def _settled(self, batch: Batch) -> None:
        if batch.outcomes is not None:
            self._acknowledged(Acknowledged(batch.number, batch.outcomes))


def _give_up(_: Sequence[Batch], error: HeadwaterError) -> NoReturn:
    """End the stream: its program knows which batches were acknowledged."""
    raise error
