"""The buffer in which events gather while a batch before them commits. Owns its bound, which is the backpressure.

Sync core, async waits; for one event loop. Must not know what an event means.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import anyio

from headwater.ingest.domain.event import NewEvent, Outcome
from headwater.kernel.errors import Unavailable
from headwater.kernel.telemetry import TraceContext

ROW_BYTES: Final = 512
"""What a waiting event costs in memory beside its payload; measured on CPython 3.11, rounded up."""


class Ticket:
    """Events of one caller on their way to the log, and what became of them.

    Args:
        events: at least one; recorded in one commit.
        call: context of the call that brought them.
    """

    __slots__ = ("_done", "_error", "_outcomes", "abandoned", "call", "events", "weight_bytes")

    def __init__(self, events: Sequence[NewEvent], call: TraceContext | None = None) -> None:
        self.events = events
        self.call = call
        self.weight_bytes = sum(len(event.payload) + ROW_BYTES for event in events)
        self.abandoned = False
        self._done = anyio.Event()
        self._outcomes: Sequence[Outcome] = ()
        self._error: Exception | None = None

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Answer the caller: one outcome per event, after the commit."""
        self._outcomes = outcomes
        self._done.set()

    def fail(self, error: Exception) -> None:
        """Tell the caller that the outcome is not known."""
        self._error = error
        self._done.set()

    async def outcomes(self) -> Sequence[Outcome]:
        """Wait for the answer.

        Raises:
            Exception: whatever `fail` was given.

        Cancellation: the events may be recorded or not.
        """
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._outcomes


class Gather:
    """A bounded queue of tickets, taken from in groups.

    Args:
        rows_max: events that may wait.
        bytes_max: memory that may wait; a single ticket may be larger when nothing else waits.
    """

    def __init__(self, *, rows_max: int, bytes_max: int) -> None:
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._waiting: deque[Ticket] = deque()
        self._rows = 0
        self._bytes = 0
        self._closed = False
        self._filled = anyio.Event()
        self._drained = anyio.Event()

    @property
    def rows(self) -> int:
        """Events that wait now."""
        return self._rows

    def offer(self, ticket: Ticket) -> bool:
        """Queue *ticket*, or return False when there is no room for it.

        Raises:
            Unavailable: the service is ending.
        """
        if self._closed:
            raise Unavailable("the service is shutting down; send again", reason="SHUTTING_DOWN")
        rows = self._rows + len(ticket.events)
        weight_bytes = self._bytes + ticket.weight_bytes
        if self._waiting and (rows > self._rows_max or weight_bytes > self._bytes_max):
            return False
        self._waiting.append(ticket)
        self._rows, self._bytes = rows, weight_bytes
        self._filled.set()
        return True

    async def put(self, ticket: Ticket) -> None:
        """Queue *ticket*, waiting for room as long as it takes.

        Cancellation: the ticket is not queued.
        """
        while not self.offer(ticket):
            if self._drained.is_set():
                self._drained = anyio.Event()
            await self._drained.wait()

    def withdraw(self, ticket: Ticket) -> None:
        """Forget a ticket whose caller has gone: it is dropped if it still waits."""
        ticket.abandoned = True
        try:
            self._waiting.remove(ticket)
        except ValueError:
            return
        self._leave(ticket)

    async def take(self, rows_max: int) -> list[Ticket]:
        """Wait for tickets and take up to *rows_max* events of them, at least one ticket.

        Returns:
            Empty once the gather is closed and nothing waits.
        """
        while not self._waiting:
            if self._closed:
                return []
            if self._filled.is_set():
                self._filled = anyio.Event()
            await self._filled.wait()
        taken = [self._waiting.popleft()]
        rows = len(taken[0].events)
        while self._waiting and rows + len(self._waiting[0].events) <= rows_max:
            taken.append(self._waiting.popleft())
            rows += len(taken[-1].events)
        for ticket in taken:
            self._leave(ticket)
        return taken

    def close(self) -> None:
        """Take no more; what waits can still be taken."""
        self._closed = True
        self._filled.set()
        self._drained.set()

    def _leave(self, ticket: Ticket) -> None:
        self._rows -= len(ticket.events)
        self._bytes -= ticket.weight_bytes
        self._drained.set()
