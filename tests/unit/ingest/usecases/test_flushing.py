"""The flusher: answers after the commit, patience with the database, one bad row among good ones."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from tests.unit.ingest.arrivals import known, new_event

from headwater.ingest.domain.event import Disposition, LedgerKey, NewEvent, Outcome
from headwater.ingest.domain.flush import Known, decide
from headwater.ingest.ports import LogUnavailable, PolicyPosition, PolicyWatch, RowsRejected
from headwater.ingest.usecases.flushing import Flusher, FlushSettings
from headwater.ingest.usecases.gathering import Gather, Ticket
from headwater.ingest.usecases.policies import PolicyBook, PolicyBookSettings
from headwater.kernel.telemetry import Spans

pytestmark = pytest.mark.anyio


class MemoryLog:
    """A log in memory that fails as told."""

    def __init__(self, *, losses: int = 0, poison: str = "", lost_answer: bool = False) -> None:
        self.ledger: dict[LedgerKey, Known] = {}
        self.tries = 0
        self._losses = losses
        self._poison = poison
        self._lost_answer = lost_answer

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Record, or fail before or after recording."""
        self.tries += 1
        if any(event.external_id == self._poison for event in events):
            raise RowsRejected("no")
        if self.tries <= self._losses and not self._lost_answer:
            raise LogUnavailable("away")
        decision = decide(events, self.ledger)
        self.ledger.update((event.ledger_key, known(event)) for event in decision.fresh)
        if self.tries <= self._losses:
            raise LogUnavailable("the answer to COMMIT was lost")
        return decision.outcomes


class Silence:
    """A watch that tells nothing."""

    async def changed(self) -> None:
        """Wait for ever."""
        await anyio.sleep_forever()


class NoPolicies:
    """A source without policies."""

    async def read_policy_positions(self) -> list[PolicyPosition]:
        """Return none."""
        return []

    async def read_policies(self, tenant_ids: Sequence[str]) -> list[tuple[PolicyPosition, bytes]]:
        """Return none."""
        del tenant_ids
        return []

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[PolicyWatch]:
        """Tell nothing, ever."""
        yield Silence()


async def _flush(log: MemoryLog, *tickets: Ticket, retry_s: float = 5.0) -> None:
    gather = Gather(rows_max=1000, bytes_max=10**9)
    policies = PolicyBook(NoPolicies(), PolicyBookSettings(), random.Random(1))
    settings = FlushSettings(retry_s=retry_s, backoff_s_max=0.01)
    flusher = Flusher(gather, log, policies, Spans.off(), settings, random.Random(1))
    for ticket in tickets:
        gather.offer(ticket)
    gather.close()
    await flusher.run()


def _ticket(*names: str) -> Ticket:
    return Ticket([new_event(external_id=name) for name in names])


async def _fates(ticket: Ticket) -> list[Disposition]:
    return [item.disposition for item in await ticket.outcomes()]


async def test_every_ticket_gets_its_own_outcomes() -> None:
    """Of one commit for all of them."""
    log, one, two = MemoryLog(), _ticket("a", "b"), _ticket("b", "c", "d")
    await _flush(log, one, two)
    assert await _fates(one) == [Disposition.ACCEPTED] * 2
    assert await _fates(two) == [Disposition.DUPLICATE, Disposition.ACCEPTED, Disposition.ACCEPTED]
    assert log.tries == 1


async def test_a_database_that_is_away_is_tried_again() -> None:
    """Until it is back; the caller notices nothing but the wait."""
    log, ticket = MemoryLog(losses=3), _ticket("a")
    await _flush(log, ticket)
    assert await _fates(ticket) == [Disposition.ACCEPTED]
    assert log.tries == 4


async def test_a_lost_answer_to_commit_records_once() -> None:
    """The flush is done again, and the ledger says that it had been recorded."""
    log, ticket = MemoryLog(losses=1, lost_answer=True), _ticket("a", "b")
    await _flush(log, ticket)
    assert await _fates(ticket) == [Disposition.DUPLICATE] * 2
    assert len(log.ledger) == 2


async def test_patience_is_bounded() -> None:
    """Then every caller of the batch is told, and the flusher goes on."""
    log, ticket = MemoryLog(losses=10**6), _ticket("a")
    with anyio.fail_after(5):
        await _flush(log, ticket, retry_s=0.05)
    with pytest.raises(LogUnavailable):
        await ticket.outcomes()


async def test_nobody_waits_nobody_tries() -> None:
    """A batch whose callers have all gone is given up at the first failure."""
    log, ticket = MemoryLog(losses=10**6), _ticket("a")
    ticket.abandoned = True
    await _flush(log, ticket, retry_s=1000)
    assert log.tries == 1


async def test_one_row_that_the_database_refuses_does_not_take_its_neighbours_along() -> None:
    """It alone is refused, with a reason; everyone else's are recorded."""
    log, bad, good = MemoryLog(poison="x"), _ticket("a", "x", "b"), _ticket("c", "d")
    await _flush(log, bad, good)
    assert await _fates(bad) == [Disposition.ACCEPTED, Disposition.REFUSED, Disposition.ACCEPTED]
    assert (await bad.outcomes())[1].reason == "ROWS_REJECTED"
    assert await _fates(good) == [Disposition.ACCEPTED] * 2
