"""The recorder: takes single events, sends batches, gives each event its outcome.

`Publisher` is the part that both faces share; it runs in an event loop and may be offered events from any thread.
`Recorder` is the asynchronous face; the blocking one is in `blocking`.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from headwater.client.batch import Batch
from headwater.client.conversation import Conversation
from headwater.client.errors import Abandoned, ClientClosed, EventRefused
from headwater.client.gather import Gather
from headwater.client.outcomes import Outcome, Refused
from headwater.client.pump import Call, Pump
from headwater.client.settings import ClientSettings, RecorderSettings
from headwater.client.waking import errors_as_themselves
from headwater.client.wire import single
from headwater.event.v1 import event_pb2
from headwater.kernel.errors import HeadwaterError

FAILED_KEPT_MAX: Final = 100
"""Failed batches remembered until `flush` tells of them."""


class Publisher:
    """Gathers, sends and settles for one recorder.

    Args:
        finished: told in the loop of each batch that was settled or failed; must not block.
    """

    def __init__(
        self,
        open_call: Callable[[], Call],
        tenant_id: str,
        finished: Callable[[Batch], None],
        *,
        client: ClientSettings,
        settings: RecorderSettings,
        chance: random.Random,
    ) -> None:
        self.lock = threading.Lock()
        """Held around every use of the gather."""
        self.ended = False
        self._finished = finished
        self._gather = Gather(settings)
        self._conversation = Conversation(tenant_id, client, chance)
        self._pump = Pump(open_call, self._conversation, self._settled, self._given_up)
        self._failed: deque[Batch] = deque(maxlen=FAILED_KEPT_MAX)

    def offer(self, event_body: bytes, token: Any) -> tuple[Batch, int, bool] | None:
        """Take an event as `Gather.add`; with the lock held. The loop must be told (`wake`) where it says so.

        Raises:
            ClientClosed: the recorder's block was left.
        """
        if self.ended:
            raise ClientClosed("the recorder is used outside its `with` block")
        return self._gather.add(event_body, token)

    def wake(self) -> None:
        """Look at the gather again; in the loop only."""
        self._pump.change.notify()

    async def changed(self) -> None:
        """Wait until something was taken, sent, settled or failed."""
        await self._pump.change.wait()

    async def flush(self) -> None:
        """Send what gathers at once and wait until everything taken so far is settled or failed.

        Raises:
            HeadwaterError: of the first batch that failed and whose failure nobody has looked at.
        """
        with self.lock:
            self._gather.close_open()
            goal = self._gather.added
        self.wake()
        while self._gather.released < goal:
            await self.changed()
        failures = [batch for batch in self._failed if not batch.seen]
        self._failed.clear()
        for batch in failures:
            batch.seen = True
        if failures and failures[0].failure is not None:
            raise failures[0].failure

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send for the block; flush at its end. Left by an error or cancelled, what waits is abandoned."""
        try:
            with errors_as_themselves():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._pump.run)
                    tasks.start_soon(self._feed)
                    try:
                        yield
                        await self.flush()
                    finally:
                        tasks.cancel_scope.cancel()
        finally:
            self._abandon()

    async def _feed(self) -> None:
        """Move batches that are due from the gather to the conversation while its window has room."""
        while True:
            due_time: float | None = None
            if self._conversation.has_room:
                with self.lock:
                    batch = self._gather.take(anyio.current_time())
                    due_time = self._gather.due_time
                if batch is not None:
                    self._pump.send(batch)
                    continue
            with anyio.CancelScope(deadline=float("inf") if due_time is None else due_time):
                await self.changed()

    def _settled(self, batch: Batch) -> None:
        with self.lock:
            self._gather.release(batch)
        self._finished(batch)

    def _given_up(self, batches: Sequence[Batch], error: HeadwaterError) -> None:
        for batch in batches:
            batch.fail(error)
            self._failed.append(batch)
            self._settled(batch)

    def _abandon(self) -> None:
        with self.lock:
            self.ended = True
            left = [*self._conversation.drop_all(anyio.current_time()), *self._gather.take_all()]
        if left:
            self._given_up(
                left, Abandoned("the recorder was left before the answer came; sending again tells")
            )


class Receipt:
    """One event on its way: `await` it for the outcome.

    Raises, when awaited, what kept the event from being recorded: as `IngestClient.record`, or Abandoned.
    """

    __slots__ = ("_batch", "_place")

    def __init__(self, batch: Batch, place: int) -> None:
        self._batch = batch
        self._place = place

    def __await__(self) -> Generator[Any, Any, Outcome]:
        if not self._batch.done:
            if self._batch.waiter is None:
                self._batch.waiter = anyio.Event()
            yield from self._batch.waiter.wait().__await__()
        return self.outcome()

    @property
    def done(self) -> bool:
        """Whether the outcome, or the failure, is known."""
        return self._batch.done

    def outcome(self) -> Outcome:
        """Return the outcome; raises as when awaited, RuntimeError while it is not known."""
        batch = self._batch
        if batch.outcomes is not None:
            return batch.outcomes.at(self._place)
        if batch.failure is None:
            raise RuntimeError("the event is not settled yet: await the receipt")
        batch.seen = True
        raise batch.failure


class Recorder:
    """Records single events in batches; made by `IngestClient.recorder`, used in its loop only.

    Order: events of one task are recorded in the order submitted. Each event is settled exactly once.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def record(self, event: event_pb2.Event) -> Outcome:
        """Record *event* with others and return its outcome; raises as `Receipt`.

        Cancellation: the event may be recorded or not; sending it again tells.
        """
        return await (await self.submit(event))

    async def record_one(self, event: event_pb2.Event) -> Outcome:
        """Record *event* as `record`; raises EventRefused where that returns `Refused`."""
        return accepted_or_raise(await self.record(event))

    async def submit(self, event: event_pb2.Event) -> Receipt:
        """Take *event* and return its receipt; waits while the buffer is full.

        Cancellation: the event was not taken.

        Raises:
            InvalidInput: larger than a message may be.
            ClientClosed: the block was left.
        """
        event_body = single(event)
        publisher = self._publisher
        while True:
            with publisher.lock:
                taken = publisher.offer(event_body, None)
            if taken is not None:
                break
            await publisher.changed()
        batch, place, news = taken
        if news:
            publisher.wake()
        return Receipt(batch, place)

    async def flush(self) -> None:
        """Send at once and wait until everything submitted so far is settled.

        Raises:
            HeadwaterError: some events were not recorded and nobody has looked at their receipts.
        """
        await self._publisher.flush()


def wake_waiter(batch: Batch) -> None:
    """Tell all who await a receipt of *batch*."""
    if batch.waiter is not None:
        batch.waiter.set()


def accepted_or_raise(outcome: Outcome) -> Outcome:
    """Return *outcome* unless it is a refusal.

    Raises:
        EventRefused: it is.
    """
    if isinstance(outcome, Refused):
        raise EventRefused(outcome)
    return outcome
