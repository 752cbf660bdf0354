"""Where single events wait for company: batches closed by rows, bytes or linger; a bound on all that is not settled.

Pure: told the time, tells what is due. Order is kept: batches leave in the order they were begun, events in the
order they came.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from headwater.client.batch import Batch
from headwater.client.settings import RecorderSettings


class Gather:
    """Events of one recorder from `add` to `release`."""

    def __init__(self, settings: RecorderSettings) -> None:
        self._settings = settings
        self._closed: deque[Batch] = deque()
        self._open: Batch | None = None
        self.waiting_events = 0
        """Added and not released."""
        self.waiting_bytes = 0
        self.added = 0
        """Events ever added."""
        self.released = 0
        """Events ever released."""

    def add(self, body: bytes, token: Any) -> tuple[Batch, int, bool] | None:
        """Take one event: its batch, its place in it, whether the sender must look again; None while full.

        An event larger than the whole buffer is taken when the buffer is empty.
        """
        settings, size_bytes = self._settings, len(body)
        if self.waiting_events and (
            self.waiting_events >= settings.buffer_events_max
            or self.waiting_bytes + size_bytes > settings.buffer_bytes_max
        ):
            return None
        batch = self._open
        news = batch is None
        if batch is not None and batch.size_bytes + size_bytes > settings.batch_bytes_max:
            self._close()
            batch, news = None, True
        if batch is None:
            batch = self._open = Batch()
        place = batch.count
        batch.bodies.append(body)  # type: ignore[attr-defined]  # a list until it is settled
        if token is not None:
            batch.tokens.append(token)
        batch.count += 1
        batch.size_bytes += size_bytes
        self.waiting_events += 1
        self.waiting_bytes += size_bytes
        self.added += 1
        if batch.count >= settings.batch_events_max or batch.size_bytes >= settings.batch_bytes_max:
            self._close()
            news = True
        return batch, place, news

    def close_open(self) -> None:
        """Let what gathers leave at once."""
        if self._open is not None:
            self._close()

    def take(self, now: float) -> Batch | None:
        """Return the next batch that is due, once; a batch lingers from the first time it is seen here."""
        if self._closed:
            return self._closed.popleft()
        batch = self._open
        if batch is None:
            return None
        if batch.due_time is None:
            batch.due_time = now + self._settings.linger_s
        if batch.due_time > now:
            return None
        self._open = None
        return batch

    @property
    def due_time(self) -> float | None:
        """When `take` has something to give; None while nothing gathers, or `take` has not seen it yet."""
        if self._closed:
            return float("-inf")
        return None if self._open is None else self._open.due_time

    def release(self, batch: Batch) -> None:
        """Make room again: *batch* is settled or failed."""
        self.waiting_events -= batch.count
        self.waiting_bytes -= batch.size_bytes
        self.released += batch.count

    def take_all(self) -> list[Batch]:
        """Return everything that gathers, due or not."""
        self.close_open()
        taken = list(self._closed)
        self._closed.clear()
        return taken

    def _close(self) -> None:
        if self._open is not None:
            self._closed.append(self._open)
            self._open = None
