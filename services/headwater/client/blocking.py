"""The client for programs without an event loop: the asynchronous one, run in a thread of its own.

Every object here may be used from many threads at once, and refuses clearly in a forked child (`UsedAfterFork`).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from headwater.client.batch import Batch
from headwater.client.errors import ClientClosed
from headwater.client.ingest import IngestClient
from headwater.client.outcomes import Outcome
from headwater.client.recorder import Publisher, accepted_or_raise
from headwater.client.settings import ClientSettings, RecorderSettings
from headwater.client.stream import Acknowledged, EventStream
from headwater.client.waking import Home
from headwater.client.wire import single
from headwater.event.v1 import event_pb2

_LEFT_BEHIND: Final[list[ExitStack]] = []
"""What a forked child must not close: it is the parent's, and even its finalisers would wait for a thread."""
_Entered = TypeVar("_Entered")


class BlockingIngestClient:
    """`IngestClient` with plain calls; use as `with`, from any thread."""

    def __init__(
        self,
        address: str,
        tenant_id: str,
        *,
        settings: ClientSettings | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._client = IngestClient(address, tenant_id, settings=settings, chance=chance)
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()
        self._home = Home()

    def __enter__(self) -> Self:
        self._home = Home()
        self._portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self._stack.enter_context(self._portal.wrap_async_context_manager(self._client))
        return self

    def __exit__(self, *_: object) -> None:
        self._portal = None
        stack, self._stack = self._stack, ExitStack()
        _leave(stack, self._home)

    def record(self, events: Sequence[event_pb2.Event]) -> Sequence[Outcome]:
        """Record 1..1000 events in one commit and return their outcomes; raises as `IngestClient.record`."""
        return self._ready().call(self._client.record, events)

    def record_one(self, event: event_pb2.Event) -> Outcome:
        """Record one event and return its outcome; raises as `IngestClient.record_one`."""
        return accepted_or_raise(self.record((event,))[0])

    @contextmanager
    def stream(self, acknowledged: Callable[[Acknowledged], None]) -> Iterator[BlockingEventStream]:
        """Open the main road; leaving the block waits until everything sent is acknowledged.

        Args:
            acknowledged: told of each batch once, in the order sent, in the client's own thread; must not block
                and must not call the client.
        """
        portal = self._ready()
        manager = portal.wrap_async_context_manager(self._client.stream(acknowledged))
        with _entered(manager, self._home) as stream:
            yield BlockingEventStream(portal, stream, self._home)

    @contextmanager
    def recorder(self, settings: RecorderSettings | None = None) -> Iterator[BlockingRecorder]:
        """Open a recorder, which batches by itself; leaving the block flushes. Raises as `IngestClient.recorder`."""
        portal = self._ready()
        recorder = portal.call(_open_recorder, self._client, settings, portal, self._home)
        with _entered(portal.wrap_async_context_manager(recorder.publisher.running()), self._home):
            yield recorder

    def _ready(self) -> BlockingPortal:
        self._home.check()
        if self._portal is None:
            raise ClientClosed("BlockingIngestClient is used outside its `with` block")
        return self._portal


class BlockingEventStream:
    """`EventStream` with plain calls; made by `BlockingIngestClient.stream`."""

    def __init__(self, portal: BlockingPortal, stream: EventStream, home: Home) -> None:
        self._portal = portal
        self._stream = stream
        self._home = home

    def send(self, events: Sequence[event_pb2.Event]) -> int:
        """Queue 1..1000 events and return the number of the batch; blocks while the window is full."""
        self._home.check()
        return self._portal.call(self._stream.send, events)

    def drain(self) -> None:
        """Block until every batch sent is acknowledged."""
        self._home.check()
        self._portal.call(self._stream.drain)


class BlockingRecorder:
    """Records single events in batches, from any thread; made by `BlockingIngestClient.recorder`.

    Order: events of one thread are recorded in the order submitted.
    """

    def __init__(
        self,
        publisher: Callable[[Callable[[Batch], None]], Publisher],
        portal: BlockingPortal,
        loop: asyncio.AbstractEventLoop,
        home: Home,
    ) -> None:
        self.publisher = publisher(self._finished)
        self._room = threading.Condition(self.publisher.lock)
        self._portal = portal
        self._loop = loop
        self._home = home

    def record(self, event: event_pb2.Event) -> Outcome:
        """Record *event* with others and return its outcome; raises as `Receipt`."""
        return self.submit(event).result()

    def record_one(self, event: event_pb2.Event) -> Outcome:
        """Record *event* as `record`; raises EventRefused where that returns `Refused`."""
        return accepted_or_raise(self.record(event))

    def submit(self, event: event_pb2.Event, *, timeout_s: float | None = None) -> Future[Outcome]:
        """Take *event* and return the future of its outcome; blocks while the buffer is full.

        A future that is cancelled does not call its event back.

        Raises:
            TimeoutError: full for *timeout_s*; the event was not taken.
            InvalidInput, ClientClosed, UsedAfterFork: it was not taken either.
        """
        self._home.check()
        event_body = single(event)
        future: Future[Outcome] = Future()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._room:
            while (taken := self.publisher.offer(event_body, future)) is None:
                left_s = None if deadline is None else deadline - time.monotonic()
                if (left_s is not None and left_s <= 0) or not self._room.wait(left_s):
                    raise TimeoutError(f"the buffer is full for {timeout_s} s; the event was not taken")
        if taken[2]:
            self._loop.call_soon_threadsafe(self.publisher.wake)
        return future

    def flush(self) -> None:
        """Send at once and block until everything submitted so far is settled.

        Raises:
            HeadwaterError: some events were not recorded since the last flush; who has looked at a future does
                not count.
        """
        self._home.check()
        self._portal.call(self.publisher.flush)

    def _finished(self, batch: Batch) -> None:
        """Settle the futures of a batch, in the client's thread."""
        futures: list[Future[Outcome]] = batch.tokens
        if batch.outcomes is not None:
            for future, outcome in zip(futures, batch.outcomes, strict=True):
                if future.set_running_or_notify_cancel():
                    future.set_result(outcome)
        elif batch.failure is not None:
            for future in futures:
                if future.set_running_or_notify_cancel():
                    future.set_exception(batch.failure)
        batch.tokens = []
        with self._room:
            self._room.notify_all()


async def _open_recorder(
    client: IngestClient, settings: RecorderSettings | None, portal: BlockingPortal, home: Home
) -> BlockingRecorder:
    def publisher(finished: Callable[[Batch], None]) -> Publisher:
        return client.publisher(settings, finished)

    return BlockingRecorder(publisher, portal, asyncio.get_running_loop(), home)


@contextmanager
def _entered(manager: AbstractContextManager[_Entered], home: Home) -> Iterator[_Entered]:
    """Enter *manager* for the block; a child forked inside the block leaves it as it is."""
    stack = ExitStack()
    try:
        yield stack.enter_context(manager)
    except BaseException as error:
        if home.left or not stack.__exit__(type(error), error, error.__traceback__):
            _leave(stack, home)
            raise
    else:
        _leave(stack, home)


def _leave(stack: ExitStack, home: Home) -> None:
    if home.left:
        _LEFT_BEHIND.append(stack.pop_all())
    else:
        stack.close()
