"""Events of one caller on their way to the log, and what became of them. For one event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from headwater.ingest.domain.event import NewEvent, Outcome
from headwater.kernel.telemetry import TraceContext

ROW_BYTES: Final = 512
"""What a waiting event costs in memory beside its payload; measured on CPython 3.11, rounded up."""


class Ticket:
    """Events of one caller, recorded in one commit.

    Args:
        events: at least one, of one tenant.
        call: context of the call that brought them.
        ticks: seconds of a clock that never goes back: for how long they wait.
    """

    __slots__ = (
        "_done", "_error", "_outcomes", "abandoned", "begun_s", "call", "events", "is_done", "on_done", "rows",
        "tenant_id", "weight_bytes",
    )  # fmt: skip

    def __init__(
        self,
        events: Sequence[NewEvent],
        call: TraceContext | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.begun_s = ticks()
        self.events = events
        self.call = call
        self.tenant_id = events[0].tenant_id
        self.rows = len(events)
        self.weight_bytes = sum([len(event.payload) for event in events]) + ROW_BYTES * self.rows
        self.abandoned = False
        self.is_done = False
        self.on_done: Callable[[], None] | None = None
        self._done: anyio.Event | None = None
        self._outcomes: Sequence[Outcome] = ()
        self._error: Exception | None = None

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Answer the caller: one outcome per event, after the commit."""
        self._outcomes = outcomes
        self._finish()

    def fail(self, error: Exception) -> None:
        """Tell the caller that the outcome is not known."""
        self._error = error
        self._finish()

    def result(self) -> Sequence[Outcome]:
        """Return the answer of a ticket that is done.

        Raises:
            Exception: whatever `fail` was given.
        """
        if self._error is not None:
            raise self._error
        return self._outcomes

    async def outcomes(self) -> Sequence[Outcome]:
        """Wait for the answer; raises as `result`.

        Cancellation: the events may be recorded or not.
        """
        if not self.is_done:
            self._done = self._done or anyio.Event()
            await self._done.wait()
        return self.result()

    def _finish(self) -> None:
        self.is_done = True
        self.events = ()  # who reads acknowledgements slowly holds no payloads
        if self._done is not None:
            self._done.set()
        if self.on_done is not None:
            self.on_done()
