"""How many turns deliveries cost: none that has nothing to do, and what comes during a call joins that call's turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
from tests.unit.sync.accounts import Crm, MemoryDeliveries, Queue, account_parts, document, memory_books
from tests.unit.sync.tenant import TENANT, key
from tests.unit.sync.virtual_time import run_virtually, virtual_ns

from headwater.sync.delivery.account import DeliveryAccount
from headwater.sync.delivery.pacing import Unpaced

LONG_S: Final = 1.0
"""Virtual seconds in which everything that can happen has happened, and no actor falls asleep yet."""
SHORT_S: Final = 0.004
"""A call that ends before records have gathered."""


@dataclass
class Bench:
    """One awake account that has nothing to do, under virtual time."""

    queue: Queue = field(default_factory=Queue)
    crm: Crm = field(default_factory=Crm)

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Callable[[int], None]]:
        """Run the account; yield, when it has looked and found nothing, what makes a record due and tells of it."""
        parts = account_parts(self.crm, open_pacer=lambda _: Unpaced(), ticks=virtual_ns)
        store = MemoryDeliveries(self.queue)
        account = DeliveryAccount((TENANT, "salesforce"), document(), store, memory_books(), parts)

        def mark(number: int) -> None:
            self.queue.add(number)
            account.bell.ring()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(account.run)
            await anyio.sleep(LONG_S)
            self.queue.turns = 0
            yield mark
            tasks.cancel_scope.cancel()


def test_a_record_that_comes_alone_costs_two_turns() -> None:
    """One claims it, one settles it and sees that nothing else is due."""
    bench = Bench()

    async def main() -> None:
        async with bench.idle() as mark:
            mark(1)
            await anyio.sleep(LONG_S)

    run_virtually(main)
    assert (bench.crm.writes, bench.queue.turns) == ([(str(key(1)),)], 2)


def test_a_record_that_comes_during_a_short_call_is_claimed_by_the_turn_that_settles_it() -> None:
    """No slot begins for it: three turns for both."""
    bench = Bench(crm=Crm(hangs={str(key(1))}))

    async def main() -> None:
        async with bench.idle() as mark:
            mark(1)
            await bench.crm.hanging.wait()
            mark(2)
            await anyio.sleep(SHORT_S)
            assert len(bench.crm.writes) == 1
            bench.crm.release.set()
            await anyio.sleep(LONG_S)

    run_virtually(main)
    assert (bench.crm.writes, bench.queue.turns) == ([(str(key(1)),), (str(key(2)),)], 3)
    assert not bench.queue.due


def test_a_record_that_comes_during_a_long_call_goes_before_it_ends() -> None:
    """It waits no longer than records gather, whatever keeps the call."""
    bench = Bench(crm=Crm(hangs={str(key(1))}))

    async def main() -> None:
        async with bench.idle() as mark:
            mark(1)
            await bench.crm.hanging.wait()
            mark(2)
            await anyio.sleep(document().connectors["salesforce"].adaptive.gather_s * 1.5)
            assert set(bench.queue.due) == {key(1)}

    run_virtually(main)
    assert bench.crm.writes == [(str(key(1)),), (str(key(2)),)]


def test_records_that_come_one_after_the_other_share_a_call() -> None:
    """The first goes at once; what comes while its call lasts goes together."""
    bench = Bench(crm=Crm(hangs={str(key(1))}))

    async def main() -> None:
        async with bench.idle() as mark:
            for number in range(1, 5):
                mark(number)
                await anyio.sleep(SHORT_S / 4)
            bench.crm.release.set()
            await anyio.sleep(LONG_S)

    run_virtually(main)
    assert [len(batch) for batch in bench.crm.writes] == [1, 3]
    assert bench.queue.turns == 3
