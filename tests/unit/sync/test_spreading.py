"""Several processes: accounts spread evenly, handed over with work in flight, given up when a heartbeat fails."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
import pytest
from tests.unit.sync.accounts import (
    PATIENCE_S,
    Crm,
    MemoryDeliveries,
    OnePolicy,
    Queue,
    account_parts,
    document,
    memory_books,
)
from tests.unit.sync.cluster import Cluster, MemoryLeases, NoDueTimes
from tests.unit.sync.tenant import TENANT, key

from headwater.policy.document import PolicyDocument
from headwater.sync.delivery.host import DeliveryHost, lease_name
from headwater.sync.delivery.watching import DueWatch
from headwater.sync.domain.leasing import Lease
from headwater.sync.membership import Membership
from headwater.sync.ports import Deliveries, DueAccount

pytestmark = pytest.mark.anyio

IDLE_ACCOUNTS: Final = 2_000
IDLE_SHARE_MAX: Final = 0.01
"""Of a core, for all idle accounts of a process together."""


def fleet(count: int) -> PolicyDocument:
    """Return a policy with *count* accounts."""
    whole = document()
    account = whole.connectors["salesforce"]
    return whole.model_copy(update={"connectors": {f"crm{number}": account for number in range(count)}})


@dataclass
class World:
    """A cluster with its queues and its one CRM."""

    policies: OnePolicy
    cluster: Cluster = field(default_factory=Cluster)
    crm: Crm = field(default_factory=Crm)
    queues: dict[str, Queue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fence each queue as its lease is taken."""
        self.cluster.on_take = self._take

    def _take(self, name: str, fence: int) -> None:
        self.queue(name).fence = fence

    def queue(self, name: str) -> Queue:
        """Return the queue of a lease."""
        return self.queues.setdefault(name, Queue())

    def open_store(self, tenant_id: str, connector: str, lease: Lease) -> Deliveries:
        """Open a queue under a lease."""
        return MemoryDeliveries(self.queue(lease_name((tenant_id, connector))), lease.fence)

    @asynccontextmanager
    async def process(self, holder: str, *, idle_s: float = 30.0) -> AsyncIterator[Process]:
        """Run one process while the block runs."""
        leases = MemoryLeases(self.cluster, holder)
        membership = Membership(leases)
        parts = account_parts(self.crm, may_work=membership.may_work, idle_s=idle_s)
        host = DeliveryHost(
            self.open_store, lambda *_: memory_books(), leases, membership, self.policies, parts
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            yield Process(host, leases, membership)
            tasks.cancel_scope.cancel()

    async def until(self, reached: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Return when *reached* says so."""
        with anyio.fail_after(patience_s):
            while not reached():  # noqa: ASYNC110 - several processes share no bell
                await anyio.sleep(0.01)


@dataclass
class Process:
    """One process."""

    host: DeliveryHost
    leases: MemoryLeases
    membership: Membership


def one_account() -> World:
    """Return a world with one account."""
    return World(OnePolicy((TENANT, document())))


NAME: Final = lease_name((TENANT, "salesforce"))


async def test_accounts_spread_evenly_as_processes_come_and_go() -> None:
    """Ten accounts: all by the first process, halves with the second, all by the one that stays."""
    world = World(OnePolicy((TENANT, fleet(10))))
    async with world.process("one"):
        await world.until(lambda: len(world.cluster.of("one")) == 10)
        async with world.process("two"):
            await world.until(lambda: len(world.cluster.of("one")) == len(world.cluster.of("two")) == 5)
        await world.until(lambda: len(world.cluster.of("one")) == 10)


async def test_work_in_flight_is_settled_before_an_account_is_handed_over() -> None:
    """The leaving process finishes its call and settles; only then may the other begin."""
    world = one_account()
    queue = world.queue(NAME)
    world.crm.hangs = {str(key(1))}
    queue.add(1)
    async with world.process("one") as first:
        with anyio.fail_after(PATIENCE_S):
            await world.crm.hanging.wait()
        async with anyio.create_task_group() as tasks, world.process("two") as second:
            tasks.start_soon(first.host.drain)
            queue.add(2)
            await world.until(lambda: second.membership.processes == 2)
            assert world.cluster.of("two") == set()
            world.crm.release.set()
            await world.until(lambda: world.cluster.of("two") == {NAME})
            await queue.until_empty()
    assert (world.crm.looked_up, world.crm.overlaps) == ([], 0)
    assert sorted(world.crm.writes) == [(str(key(1)),), (str(key(2)),)]


async def test_a_surplus_account_finishes_its_call_before_another_process_gets_it() -> None:
    """A process that joins waits for its share until what is in flight there is settled."""
    world = World(OnePolicy((TENANT, fleet(2))))
    names = [lease_name((TENANT, f"crm{number}")) for number in range(2)]
    world.crm.hangs = {str(key(1)), str(key(2))}
    for number, name in enumerate(names, 1):
        world.queue(name).add(number)
    async with world.process("one") as first:
        await world.until(lambda: len(world.crm.writes) == 2)
        async with world.process("two") as second:
            await world.until(lambda: any(item.ending for item in first.host.accounts().values()))
            assert not second.host.accounts()
            assert len(world.cluster.of("one")) == 2
            world.crm.release.set()
            await world.until(lambda: len(world.cluster.of("two")) == 1)
            for name in names:
                await world.queue(name).until_empty()
    assert (world.crm.looked_up, world.crm.overlaps, len(world.crm.writes)) == ([], 0, 2)


async def test_work_in_flight_of_a_dead_process_is_looked_up_first() -> None:
    """The successor finds the journal, asks the CRM, and does not write what is there."""
    world = one_account()
    queue = world.queue(NAME)
    world.crm.hangs = {str(key(1))}
    queue.add(1)
    async with world.process("one"):
        with anyio.fail_after(PATIENCE_S):
            await world.crm.hanging.wait()
    world.crm.hangs.clear()
    async with world.process("two"):
        await queue.until_empty()
    assert world.crm.looked_up == [str(key(1))]


async def test_a_process_without_a_heartbeat_gives_everything_up_by_its_own_clock() -> None:
    """Cut off from the leases, it ends its calls before another may begin, and holds nothing."""
    world = one_account()
    queue = world.queue(NAME)
    world.crm.hangs = {str(key(1))}
    queue.add(1)
    async with world.process("one") as first:
        with anyio.fail_after(PATIENCE_S):
            await world.crm.hanging.wait()
        first.leases.cut_off = True
        await world.until(lambda: not first.host.accounts())
        assert not first.membership.may_work()
        await world.until(lambda: world.crm.under_way.total() == 0)
        first.leases.cut_off = False
        world.crm.hangs.clear()
        await queue.until_empty()
    assert world.cluster.held[NAME][1] == 2


async def test_a_change_of_policy_begins_an_account_anew_without_losing_a_call() -> None:
    """What is in flight is finished under the old policy; the lease stays, with its fence."""
    world = one_account()
    queue = world.queue(NAME)
    world.crm.hangs = {str(key(1))}
    queue.add(1)
    async with world.process("one") as process:
        with anyio.fail_after(PATIENCE_S):
            await world.crm.hanging.wait()
        world.policies.documents[TENANT] = document(version="8")
        await world.until(lambda: all(item.ending for item in process.host.accounts().values()))
        queue.add(2)
        world.crm.release.set()
        await queue.until_empty()
    assert world.crm.looked_up == []
    assert {item.policy_version for item in queue.settled} == {"7", "8"}
    assert world.cluster.held[NAME][1] == 1


async def test_a_disabled_account_is_let_go() -> None:
    """Its actor ends and its lease is free."""
    world = World(OnePolicy((TENANT, fleet(2))))
    async with world.process("one") as process:
        await world.until(lambda: len(world.cluster.of("one")) == 2)
        world.policies.documents[TENANT] = fleet(1)
        await world.until(lambda: len(world.cluster.of("one")) == 1)
        assert set(process.host.accounts()) == {(TENANT, "crm0")}


async def test_the_watcher_wakes_sleepers_with_work_by_one_question_for_all() -> None:
    """Neither a turn nor a query for the others."""
    world = World(OnePolicy((TENANT, fleet(20))))
    async with world.process("one", idle_s=0.01) as process:
        await world.until(lambda: world.crm.closed == 20)  # each has been awake once
        turns = {name: queue.turns for name, queue in world.queues.items()}
        due_times = NoDueTimes([DueAccount(TENANT, "crm7", 0.0)])
        watch = DueWatch(due_times, process.host.accounts, watch_s=0.05)
        busy = world.queue(lease_name((TENANT, "crm7")))
        busy.add(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.watch)
            await busy.until_empty()
            tasks.cancel_scope.cancel()
        assert due_times.asked[0] == 20
        changed = {name for name, queue in world.queues.items() if queue.turns != turns[name]}
        assert changed == {lease_name((TENANT, "crm7"))}


async def test_a_notification_wakes_the_account_that_it_names_without_a_query() -> None:
    """Live work needs no question."""
    world = World(OnePolicy((TENANT, fleet(3))))
    async with world.process("one", idle_s=0.01) as process:
        await world.until(lambda: world.crm.closed == 3)  # each has been awake once
        due_times = NoDueTimes()
        watch = DueWatch(due_times, process.host.accounts)
        queue = world.queue(lease_name((TENANT, "crm1")))
        queue.add(1)
        watch.notify('[["acme", "crm1"]]')
        await queue.until_empty()
        assert due_times.asked == []


@pytest.mark.timeout(60)
async def test_thousands_of_idle_accounts_cost_next_to_nothing() -> None:
    """Asleep they take no turns, and the process less than a hundredth of a core for all of them."""
    world = World(OnePolicy((TENANT, fleet(IDLE_ACCOUNTS))), Cluster(ttl_s=5.0))
    async with world.process("one", idle_s=0.01) as process:
        accounts = process.host.accounts
        await world.until(lambda: world.crm.closed == IDLE_ACCOUNTS, 40.0)
        due_times = NoDueTimes()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(DueWatch(due_times, accounts).watch)
            turns = sum(queue.turns for queue in world.queues.values())
            began_s, cpu_s = anyio.current_time(), time.process_time()
            await anyio.sleep(4.0)  # measured time is what this test is about
            spent = (time.process_time() - cpu_s) / (anyio.current_time() - began_s)
            tasks.cancel_scope.cancel()
        assert sum(queue.turns for queue in world.queues.values()) == turns
        assert len(due_times.asked) <= 4
        assert spent < IDLE_SHARE_MAX, f"{spent:.2%} of a core"
