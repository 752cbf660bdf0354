"""The gather: bounds, groups, leaving, closing."""

from __future__ import annotations

from collections import Counter

import anyio
import msgspec
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


def _of(tenant_id: str, rows: int = 1) -> Ticket:
    events = [
        msgspec.structs.replace(new_event(external_id=str(number)), tenant_id=tenant_id)
        for number in range(rows)
    ]
    return Ticket(events)


async def test_a_flood_of_one_tenant_leaves_the_others_their_part() -> None:
    """One tenant fills the buffer; another's events are in the next commits, a fair part of each."""
    gather = Gather(rows_max=1_000, bytes_max=10**9)
    while gather.offer(_of("flood", 50)) is None:
        pass
    for _ in range(10):
        assert gather.offer(_of("small", 20)) is None
    parts = Counter[str]()
    for _ in range(2):
        for ticket in await gather.take(200):
            parts[ticket.tenant_id] += ticket.rows
    assert parts["small"] >= 180
    assert parts["flood"] >= 180


async def test_turns_are_fair_by_rows_not_by_tickets() -> None:
    """Tickets of a thousand rows take no more than tickets of ten, to within one ticket."""
    gather = Gather(rows_max=100_000, bytes_max=10**9)
    for _ in range(400):
        assert gather.offer(_of("large", 100)) is None
        assert gather.offer(_of("small", 10)) is None
        if gather.rows > 40_000:
            break
    parts = Counter[str]()
    while parts["small"] < 3_000:
        for ticket in await gather.take(500):
            parts[ticket.tenant_id] += ticket.rows
    assert parts["large"] <= parts["small"] + 500


async def test_a_tenant_has_the_whole_buffer_only_while_no_other_waits() -> None:
    """Then its share, and the refusal names it."""
    gather = Gather(rows_max=100, bytes_max=10**9)
    assert gather.offer(_of("one", 60)) is None
    assert gather.offer(_of("two", 10)) is None
    full = gather.offer(_of("one", 10))
    assert full is not None
    assert full.share_of == "one"
    assert gather.offer(_of("two", 40)) is None
    assert gather.rows == 110


async def test_the_buffer_is_bounded_whatever_the_number_of_tenants() -> None:
    """Half as many rows again as one tenant may have."""
    gather = Gather(rows_max=100, bytes_max=10**9)
    for number in range(1_000):
        gather.offer(_of(f"t{number}", 5))
    assert gather.rows <= 150


async def test_the_pause_follows_the_rate_of_draining() -> None:
    """A thousand rows a second leave: for 500 that wait it is half a second, never beyond the bound."""
    now_s = 0.0
    gather = Gather(rows_max=500, bytes_max=10**9, retry_s_max=2.0, time_s=lambda: now_s)
    for _ in range(12):
        while gather.offer(_of("one", 100)) is None:
            pass
        await gather.take(100)
        now_s += 0.1
    while gather.offer(_of("one", 100)) is None:
        pass
    full = gather.offer(_of("one", 100))
    assert full is not None
    assert 0.3 < full.retry_after_s < 0.7


async def test_a_ticket_that_is_answered_holds_no_events() -> None:
    """Who reads acknowledgements slowly holds no payloads."""
    ticket = _of("one", 3)
    ticket.settle([])
    assert ticket.events == ()
    assert ticket.rows == 3


async def test_a_small_group_gathers_while_another_is_flushed() -> None:
    """A second flush begins only when enough waits, or when the first is done and took no time to speak of."""
    gather = Gather(rows_max=1000, bytes_max=10**9, rows_enough=10, time_s=lambda: 0.0)
    taken: list[int] = []

    async def take() -> None:
        taken.append(sum(ticket.rows for ticket in await gather.take(100)))

    async with anyio.create_task_group() as tasks:
        gather.offer(_ticket(1))
        await take()
        tasks.start_soon(take)
        gather.offer(_ticket(4))
        await anyio.wait_all_tasks_blocked()
        assert taken == [1]
        gather.offer(_ticket(6))
        await anyio.wait_all_tasks_blocked()
        assert taken == [1, 10]
        tasks.start_soon(take)
        gather.offer(_ticket(2))
        await anyio.wait_all_tasks_blocked()
        assert taken == [1, 10]
        gather.done()
        gather.done()
    assert taken == [1, 10, 2]


async def test_what_waits_is_taken_at_the_end_however_little() -> None:
    """A closed gather holds nothing back."""
    gather = Gather(rows_max=1000, bytes_max=10**9, rows_enough=10)
    gather.offer(_ticket(1))
    await gather.take(100)
    gather.offer(_ticket(1))
    gather.close()
    assert len(await gather.take(100)) == 1
    assert await gather.take(100) == []


async def test_a_single_caller_never_waits_for_company() -> None:
    """Who sends one event after another finds each taken at once."""
    gather = Gather(rows_max=100, bytes_max=10**9, time_s=_Steps(1.0))
    for _ in range(3):
        gather.offer(_ticket())
        with anyio.fail_after(0):
            assert len(await gather.take(100)) == 1
        gather.done()


async def test_a_small_commit_waits_for_those_that_came_with_the_last() -> None:
    """Five around the last commit: the next one begins with the fourth row, not with the first."""
    gather = Gather(rows_max=100, bytes_max=10**9, rows_enough=50, time_s=_Steps(1.0))
    await _commit(gather, before=3, meanwhile=2)
    taken: list[int] = []

    async def flush() -> None:
        taken.append(len(await gather.take(100)))

    async with anyio.create_task_group() as tasks:
        gather.offer(_ticket())
        tasks.start_soon(flush)
        await anyio.wait_all_tasks_blocked()
        assert not taken
        gather.offer(_ticket())
    assert taken == [4]


async def test_company_that_does_not_come_is_not_waited_for_twice() -> None:
    """After the pause the row goes alone, and so does the next one, at once."""
    gather = Gather(rows_max=100, bytes_max=10**9, rows_enough=50, time_s=_Steps(0.001))
    await _commit(gather, before=3, meanwhile=0)
    gather.offer(_ticket())
    assert len(await gather.take(100)) == 1
    gather.done()
    gather.offer(_ticket())
    with anyio.fail_after(0):
        assert len(await gather.take(100)) == 1


async def test_two_flushers_do_not_share_a_wait() -> None:
    """Of two that wait for company one takes it; the other waits on."""
    gather = Gather(rows_max=100, bytes_max=10**9, rows_enough=50, time_s=_Steps(1.0))
    await _commit(gather, before=4, meanwhile=0)
    taken: list[int] = []

    async def flush() -> None:
        if tickets := await gather.take(100):
            taken.append(len(tickets))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flush)
        tasks.start_soon(flush)
        for _ in range(4):
            await anyio.wait_all_tasks_blocked()
            gather.offer(_ticket())
        await anyio.wait_all_tasks_blocked()
        assert taken == [4]
        gather.close()


async def _commit(gather: Gather, *, before: int, meanwhile: int) -> None:
    """Take *before* tickets as one commit, while which *meanwhile* others come."""
    for _ in range(before):
        gather.offer(_ticket())
    assert len(await gather.take(100)) == before
    for _ in range(meanwhile):
        gather.offer(_ticket())
    gather.done()


class _Steps:
    """A clock that goes forward by *step_s* whenever it is read."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += self._step_s
        return self._now_s
