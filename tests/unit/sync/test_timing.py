"""What a vendor's health is judged by: the time its calls took there, not the time they waited here."""

from __future__ import annotations

import anyio
from tests.unit.sync.accounts import (
    WIDE,
    Crm,
    MemoryDeliveries,
    Queue,
    account_parts,
    document,
)
from tests.unit.sync.limit_books import MemoryBooks, Shelf
from tests.unit.sync.tenant import TENANT, key
from tests.unit.sync.virtual_time import run_virtually, virtual_ns

from headwater.policy.account import Window
from headwater.sync.delivery.account import DeliveryAccount
from headwater.sync.delivery.pacing import Unpaced
from headwater.sync.delivery.timing import at_vendor, vendor_time
from headwater.sync.domain.adaptive import Pace

NARROW = WIDE.model_copy(update={"window": Window(calls=2, window_s=5)})
"""Room for two calls in five seconds: nearly every batch waits for seconds at our own gate."""


def delivered(queue: Queue, crm: Crm, hung_s: float = 0.0) -> Pace:
    """Deliver everything through a narrow window under virtual time; return the pace afterwards.

    Args:
        hung_s: how long a call that hangs does.
    """

    async def release() -> None:
        await crm.hanging.wait()
        await anyio.sleep(hung_s)
        crm.release.set()

    async def deliver() -> Pace:
        books = MemoryBooks(Shelf(virtual_ns), 1)
        parts = account_parts(crm, ticks=virtual_ns, open_pacer=lambda _: Unpaced())
        store = MemoryDeliveries(queue)
        subject = DeliveryAccount((TENANT, "salesforce"), document(NARROW), store, books, parts)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.run)
            tasks.start_soon(release)
            while queue.due:
                await queue.changed.wait()
            tasks.cancel_scope.cancel()
        return subject.pace

    pace: Pace = run_virtually(deliver)
    return pace


def test_waiting_for_room_in_our_own_window_does_not_slow_an_account_down() -> None:
    """Smaller batches would need more of the calls that there is no room for."""
    queue, crm = Queue(), Crm()
    queue.add(*range(1, 121))
    pace = delivered(queue, crm)
    assert (pace.slots, pace.records) == (WIDE.concurrency, WIDE.batch_records)
    assert len(crm.writes) == 12


def test_a_vendor_that_takes_long_slows_an_account_down() -> None:
    """The same window, but the seconds pass at the vendor."""
    queue, crm = Queue(), Crm(hangs={str(key(110))})
    queue.add(*range(1, 121))
    assert delivered(queue, crm, hung_s=20.0).slots < WIDE.concurrency


def test_calls_side_by_side_count_once() -> None:
    """Two calls of a second that overlap by half take one and a half, a third later adds its own."""

    async def call(after_s: float) -> None:
        await anyio.sleep(after_s)
        with at_vendor(virtual_ns):
            await anyio.sleep(1.0)

    async def scene() -> float:
        with vendor_time() as counted:
            async with anyio.create_task_group() as tasks:
                for after_s in (0.0, 0.5, 3.0):
                    tasks.start_soon(call, after_s)
        await call(0.0)  # nobody's
        return counted.total_s

    assert run_virtually(scene) == 2.5
