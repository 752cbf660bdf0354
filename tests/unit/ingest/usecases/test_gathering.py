"""The gather: bounds, groups, leaving, closing."""

from __future__ import annotations

import anyio
import pytest
from tests.unit.ingest.arrivals import new_event

from headwater.ingest.usecases.gathering import ROW_BYTES, Gather, Ticket
from headwater.kernel.errors import Unavailable

pytestmark = pytest.mark.anyio


def _ticket(rows: int = 1, payload: object = None) -> Ticket:
    return Ticket([new_event(payload, external_id=str(number)) for number in range(rows)])


def test_rows_are_bounded() -> None:
    """The ticket that would exceed the bound is not queued."""
    gather = Gather(rows_max=10, bytes_max=10**9)
    assert not gather.offer(_ticket(6))
    assert gather.offer(_ticket(5))
    assert not gather.offer(_ticket(4))
    assert gather.rows == 10


def test_bytes_are_bounded() -> None:
    """Large payloads fill it as well as many."""
    gather = Gather(rows_max=1000, bytes_max=10_000 + 2 * ROW_BYTES)
    assert not gather.offer(_ticket(payload={"text": "x" * 6000}))
    assert gather.offer(_ticket(payload={"text": "x" * 6000}))


def test_a_ticket_larger_than_the_bound_passes_alone() -> None:
    """Otherwise it could never pass."""
    gather = Gather(rows_max=10, bytes_max=10**9)
    assert not gather.offer(_ticket(11))
    assert gather.offer(_ticket(1))


async def test_a_group_is_cut_at_its_size_in_order() -> None:
    """Tickets are whole, in order, and the first goes even when it is larger."""
    gather = Gather(rows_max=1000, bytes_max=10**9)
    tickets = [_ticket(rows) for rows in (30, 4, 5, 2)]
    for ticket in tickets:
        gather.offer(ticket)
    assert await gather.take(10) == tickets[:1]
    assert await gather.take(10) == tickets[1:3]
    assert await gather.take(10) == tickets[3:]
    assert gather.rows == 0


async def test_who_waits_for_room_gets_it() -> None:
    """A stream's ticket enters once a group was taken."""
    gather = Gather(rows_max=10, bytes_max=10**9)
    gather.offer(_ticket(10))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gather.put, _ticket(3))
        await anyio.wait_all_tasks_blocked()
        assert gather.rows == 10
        await gather.take(100)
    assert gather.rows == 3


async def test_a_withdrawn_ticket_is_not_taken() -> None:
    """Its caller has gone: its room is free again."""
    gather = Gather(rows_max=10, bytes_max=10**9)
    gone, stays = _ticket(10), _ticket(2)
    gather.offer(gone)
    gather.withdraw(gone)
    assert not gather.offer(stays)
    assert await gather.take(100) == [stays]


async def test_a_closed_gather_is_emptied_and_takes_no_more() -> None:
    """What waits is still flushed, every waiting flusher ends, new tickets are refused."""
    gather = Gather(rows_max=10, bytes_max=10**9)
    ticket = _ticket(2)
    gather.offer(ticket)
    gather.close()
    assert await gather.take(100) == [ticket]
    assert await gather.take(100) == []
    with pytest.raises(Unavailable):
        gather.offer(_ticket())


async def test_closing_wakes_idle_flushers() -> None:
    """None is left waiting for tickets that never come."""
    gather = Gather(rows_max=10, bytes_max=10**9)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gather.take, 10)
        tasks.start_soon(gather.take, 10)
        await anyio.wait_all_tasks_blocked()
        gather.close()
