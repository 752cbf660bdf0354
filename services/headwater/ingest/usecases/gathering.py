"""The buffer in which events gather while a batch before them commits. Owns its bounds, which are the backpressure.

Fair among tenants: each has a line of its own, the lines are served in turn by rows (deficit round robin), and a
tenant may fill the buffer only while no other waits. Sync core, async waits; for one event loop. Must not know
what an event means.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.ingest.domain.company import Company
from headwater.ingest.usecases.ticket import ROW_BYTES, Ticket
from headwater.kernel.errors import Unavailable

__all__ = ["ROW_BYTES", "Full", "Gather", "Ticket"]

OVERDRAFT: Final = 1.5
"""How far tenants within their share may fill a buffer that another tenant has filled, as a multiple of it."""

QUANTUM_ROWS: Final = 100
"""Rows by which a line's turn is worth more each time it comes round; Shreedhar and Varghese, 1995."""

RATE_WINDOW_S: Final = 0.5
"""How long the rate of draining is counted before it moves the average."""

_RATE_WEIGHT: Final = 0.3
_RETRY_S_MIN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Full:
    """Why a ticket was not taken.

    Args:
        share_of: the tenant whose share is used up; empty when the buffer itself is full.
        retry_after_s: when there will probably be room.
    """

    share_of: str
    rows: int
    retry_after_s: float


class _Line:
    """The tickets of one tenant, in order of arrival."""

    __slots__ = ("credit_rows", "on_turn", "rows", "tickets", "weight_bytes")

    def __init__(self) -> None:
        self.tickets: OrderedDict[Ticket, None] = OrderedDict()
        self.rows = 0
        self.weight_bytes = 0
        self.credit_rows = 0
        self.on_turn = False


class Gather:
    """A bounded queue of tickets, taken from in groups.

    Args:
        rows_max: events of one tenant that may wait; of all, half as many again.
        bytes_max: memory that may wait, likewise; a single ticket may be larger when nothing else waits.
        rows_enough: rows for which a flush begins beside another; fewer gather until that one is done, since two
            small commits cost twice what one does.
        retry_s_max: the longest pause that a caller is told when it is full.
        time_s: a clock that only goes forward; the event loop's when None.
    """

    def __init__(
        self,
        *,
        rows_max: int,
        bytes_max: int,
        rows_enough: int = 1,
        retry_s_max: float = 2.0,
        time_s: Callable[[], float] | None = None,
    ) -> None:
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._rows_enough = rows_enough
        self._flushes = 0
        self._time_s = time_s or anyio.current_time
        self._company = Company()
        self._awaits_company = False
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._wishes: Counter[str] = Counter()
        self._rows = 0
        self._bytes = 0
        self._closed = False
        self._filled: anyio.Event | None = None
        self._drained: anyio.Event | None = None
        self._drain = _Drain(retry_s_max, self._time_s)

    @property
    def rows(self) -> int:
        """Events that wait now."""
        return self._rows

    def offer(self, ticket: Ticket) -> Full | None:
        """Queue *ticket*, or return why there is no room for it.

        Raises:
            Unavailable: the service is ending.
        """
        if self._closed:
            raise Unavailable("the service is shutting down; send again", reason="SHUTTING_DOWN")
        line = self._lines.get(ticket.tenant_id)
        if self._rows:
            full = self._has_no_room(ticket, line)
            if full is not None:
                return full
        if line is None:
            line = self._lines[ticket.tenant_id] = _Line()
        line.tickets[ticket] = None
        line.rows += ticket.rows
        line.weight_bytes += ticket.weight_bytes
        self._rows += ticket.rows
        self._bytes += ticket.weight_bytes
        self._wake_flusher()
        return None

    async def put(self, ticket: Ticket) -> None:
        """Queue *ticket*, waiting for room as long as it takes.

        Cancellation: the ticket is not queued.
        """
        if self.offer(ticket) is None:
            return
        self._wishes[ticket.tenant_id] += 1
        try:
            while True:
                self._drained = self._drained or anyio.Event()
                await self._drained.wait()
                if self.offer(ticket) is None:
                    return
        finally:
            self._wishes[ticket.tenant_id] -= 1
            if not self._wishes[ticket.tenant_id]:
                del self._wishes[ticket.tenant_id]

    def withdraw(self, ticket: Ticket) -> None:
        """Forget a ticket whose caller has gone: it is dropped if it still waits."""
        ticket.abandoned = True
        line = self._lines.get(ticket.tenant_id)
        if line is None or ticket not in line.tickets:
            return
        del line.tickets[ticket]
        self._leave(ticket, line)
        if not line.tickets:
            del self._lines[ticket.tenant_id]

    async def take(self, rows_max: int) -> list[Ticket]:
        """Wait for tickets and take up to *rows_max* events of them, at least one ticket; tell `done` afterwards.

        Returns:
            Empty once the gather is closed and nothing waits.
        """
        while not self._is_worth_a_flush():
            if self._closed and not self._lines:
                return []
            await self._wait_for_more()
        taken = self._cut(rows_max)
        self._flushes += 1
        rows = sum([ticket.rows for ticket in taken])
        self._drain.count(rows)
        self._company.begin(rows, self._time_s())
        return taken

    async def _wait_for_more(self) -> None:
        """Wait for a ticket, or, where some wait already, for as much company as they may expect."""
        self._filled = self._filled or anyio.Event()
        if self._flushes or not self._lines:
            await self._filled.wait()
            return
        self._awaits_company = True
        with anyio.move_on_after(self._company.patience_s) as patience:
            await self._filled.wait()
        self._awaits_company = False
        if patience.cancelled_caught:
            self._company.give_up()

    def done(self) -> None:
        """Note that a flush has ended, whatever came of it."""
        self._flushes -= 1
        self._company.end(self._rows, self._time_s())
        self._wake_flusher()

    def _is_worth_a_flush(self) -> bool:
        if not self._lines:
            return False
        if self._closed or self._rows >= self._rows_enough:
            return True
        return self._flushes == 0 and self._rows >= self._company.rows

    def _wake_flusher(self) -> None:
        begins_to_wait = bool(self._lines) and not self._flushes and not self._awaits_company
        if self._filled is not None and (begins_to_wait or self._is_worth_a_flush()):
            self._filled.set()
            self._filled = None

    def close(self) -> None:
        """Take no more; what waits can still be taken."""
        self._closed = True
        for waited in (self._filled, self._drained):
            if waited is not None:
                waited.set()

    def _has_no_room(self, ticket: Ticket, line: _Line | None) -> Full | None:
        """Return why a ticket finds no room in a buffer in which others wait."""
        rows = self._rows + ticket.rows
        weight_bytes = self._bytes + ticket.weight_bytes
        others = (self._lines.keys() | self._wishes.keys()) - {ticket.tenant_id}
        if not others:
            fits = rows <= self._rows_max and weight_bytes <= self._bytes_max
            return None if fits else Full("", self._rows, self._drain.after_s(self._rows))
        own_rows, own_bytes = (line.rows, line.weight_bytes) if line is not None else (0, 0)
        parts = len(others) + 1
        within_share = own_rows == 0 or (
            (own_rows + ticket.rows) * parts <= self._rows_max
            and (own_bytes + ticket.weight_bytes) * parts <= self._bytes_max
        )
        if not within_share:
            return Full(ticket.tenant_id, own_rows, self._drain.after_s(own_rows * parts))
        if rows > self._rows_max * OVERDRAFT or weight_bytes > self._bytes_max * OVERDRAFT:
            return Full("", self._rows, self._drain.after_s(self._rows))
        return None

    def _cut(self, rows_max: int) -> list[Ticket]:
        taken: list[Ticket] = []
        rows = 0
        while self._lines:
            tenant_id, line = next(iter(self._lines.items()))
            if not line.on_turn:
                line.on_turn = True
                line.credit_rows += QUANTUM_ROWS
            ticket = next(iter(line.tickets))
            if taken and rows + ticket.rows > rows_max:
                break  # the line keeps its turn
            if ticket.rows > line.credit_rows and len(self._lines) > 1:
                line.on_turn = False
                self._lines.move_to_end(tenant_id)
                continue
            line.tickets.popitem(last=False)
            line.credit_rows = max(0, line.credit_rows - ticket.rows)
            taken.append(ticket)
            rows += ticket.rows
            self._leave(ticket, line)
            if not line.tickets:
                del self._lines[tenant_id]
        return taken

    def _leave(self, ticket: Ticket, line: _Line) -> None:
        line.rows -= ticket.rows
        line.weight_bytes -= ticket.weight_bytes
        self._rows -= ticket.rows
        self._bytes -= ticket.weight_bytes
        if self._drained is not None:
            self._drained.set()
            self._drained = None


class _Drain:
    """How fast rows leave, as an average that follows."""

    def __init__(self, retry_s_max: float, time_s: Callable[[], float]) -> None:
        self._retry_s_max = retry_s_max
        self._time_s = time_s
        self._since_s: float | None = None
        self._counted = 0
        self._rows_a_second = 0.0

    def count(self, rows: int) -> None:
        """Note that *rows* were taken now."""
        now_s = self._time_s()
        if self._since_s is None:
            self._since_s = now_s
        self._counted += rows
        passed_s = now_s - self._since_s
        if passed_s < RATE_WINDOW_S:
            return
        rate = self._counted / passed_s
        self._rows_a_second += (rate - self._rows_a_second) * (_RATE_WEIGHT if self._rows_a_second else 1.0)
        self._since_s, self._counted = now_s, 0

    def after_s(self, rows: int) -> float:
        """Return how long *rows* will probably take to leave, within bounds."""
        if not self._rows_a_second:
            return min(0.25, self._retry_s_max)
        return min(max(rows / self._rows_a_second, _RETRY_S_MIN), self._retry_s_max)
