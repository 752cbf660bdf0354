"""The host of periodic jobs: leased, supervised, tied to the account whose lease it is."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, cast

import anyio
import pytest
from tests.unit.sync.accounts import unguarded
from tests.unit.sync.cluster import Cluster, MemoryLeases
from tests.unit.sync.tenant import NOON, TENANT, policy

from headwater.connectors.base import Connector
from headwater.kernel.clock import SteppedClock
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.scheduling import Job, RunOutcome, Standing
from headwater.sync.membership import Membership
from headwater.sync.scheduling.host import ENGINE_LEASE, HostSettings, SchedulingHost
from headwater.sync.scheduling.jobs import Done, Jobs
from headwater.sync.wakeup import Wakeup

pytestmark = pytest.mark.anyio

PATIENCE_S: Final = 10.0
ENGINE: Final = Job("", "maintenance/vacuum", "maintenance", 300.0)
POLL: Final = Job(TENANT, "poll/hubspot/contacts", "poll", 300.0, "hubspot", "contacts")


@dataclass
class Memory:
    """Schedules in memory; all begin as due at once."""

    rows: dict[tuple[str, str], Standing] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    ended: list[tuple[str, str, str]] = field(default_factory=list)
    fenced: bool = False
    bell: anyio.Event = field(default_factory=anyio.Event)

    async def keep(self, jobs: Mapping[Job, dt.datetime]) -> None:
        """Make room."""
        for job in jobs:
            self.rows.setdefault(job.key, Standing(NOON, NOON))

    async def retire(self, tenant_id: str, connector: str, staying: Sequence[str]) -> None:
        """Nothing to forget."""

    async def standings(self, jobs: Sequence[Job]) -> Mapping[tuple[str, str], Standing]:
        """Return them."""
        return {job.key: self.rows[job.key] for job in jobs}

    async def begin(self, job: Job, lease: Lease, now: dt.datetime) -> None:
        """Note it, under the fence."""
        del now
        if self.fenced:
            self.bell.set()
            raise FenceLost([lease.name])
        self.begun.append(job.name)

    async def end(
        self, job: Job, lease: Lease, standing: Standing, now: dt.datetime, outcome: RunOutcome, detail: str
    ) -> None:
        """Note it, and ring."""
        del lease, now
        self.rows[job.key] = standing
        self.ended.append((job.name, outcome, detail))
        self.bell.set()


@dataclass
class Fixed:
    """Jobs of the test's own."""

    runs: Callable[[Job], Awaitable[Done]]

    def of_account(self, account: RunningAccount) -> Sequence[Job]:
        """Return the poller."""
        del account
        return [POLL]

    def of_engine(self) -> Sequence[Job]:
        """Return the engine's."""
        return [ENGINE]

    async def run(self, job: Job, accounts: Mapping[tuple[str, str], RunningAccount]) -> Done:
        """Run it as the test says."""
        del accounts
        return await self.runs(job)


@asynccontextmanager
async def hosting(
    memory: Memory, runs: Callable[[Job], Awaitable[Done]], *, ours: bool = True
) -> AsyncIterator[tuple[RunningAccounts, SteppedClock]]:
    """Run a host for the block."""
    accounts, clock = RunningAccounts(), SteppedClock(NOON)
    jobs = cast("Jobs", Fixed(runs))
    cluster = Cluster(ttl_s=60.0)
    if not ours:
        cluster.beats["other"], cluster.held[ENGINE_LEASE] = math.inf, ("other", 1)
    leases = MemoryLeases(cluster, "this")
    membership = Membership(leases)
    host = SchedulingHost(jobs, memory, leases, membership, accounts, clock, random.Random(1))
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            await membership.wait_until_standing()
            tasks.start_soon(host.run, Wakeup())
            yield accounts, clock
            tasks.cancel_scope.cancel()


async def _heard(memory: Memory) -> None:
    await memory.bell.wait()
    memory.bell = anyio.Event()


def account() -> RunningAccount:
    """Return a running account."""

    async def connect() -> Connector:
        return cast("Connector", None)

    return RunningAccount(TENANT, "hubspot", policy(), Lease("connector/acme/hubspot", 1), connect, unguarded)


async def _well(job: Job) -> Done:
    return Done("ok", f"{job.name} did it")


async def test_a_due_job_runs_once_and_again_when_its_time_has_come() -> None:
    """Its next time is durable; nothing runs in between."""
    memory = Memory()
    async with hosting(memory, _well) as (accounts, clock):
        await _heard(memory)
        accounts.changed.set()
        await anyio.lowlevel.checkpoint()
        assert len(memory.ended) == 1
        clock.advance(400)
        accounts.changed.set()
        await _heard(memory)
    assert [outcome for _, outcome, _ in memory.ended] == ["ok", "ok"]


async def test_a_job_that_raises_anything_is_failed_and_the_host_goes_on() -> None:
    """What was wrong is told; it is tried again before its next planned run."""
    memory = Memory()

    async def runs(job: Job) -> Done:
        if not memory.ended:
            raise ZeroDivisionError("by chance")
        return await _well(job)

    async with hosting(memory, runs) as (accounts, clock):
        await _heard(memory)
        clock.advance(30)
        accounts.changed.set()
        await _heard(memory)
    assert memory.ended[0][1:] == ("failed", "ZeroDivisionError: by chance")
    assert memory.ended[1][1] == "ok"


async def test_the_engines_jobs_run_in_one_process_only() -> None:
    """Without the lease, only the accounts' jobs run."""
    memory = Memory()
    async with hosting(memory, _well, ours=False) as (accounts, _):
        with accounts.running(account()):
            await _heard(memory)
    assert [name for name, _, _ in memory.ended] == [POLL.name]


async def test_an_account_that_ends_here_ends_its_runs_and_leaves_them_due() -> None:
    """The run is cut off before the connector is closed; its row stays due for the successor."""
    memory, began, cut = Memory(), anyio.Event(), anyio.Event()

    async def runs(job: Job) -> Done:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            cut.set()
        return await _well(job)

    async with hosting(memory, runs, ours=False) as (accounts, _):
        with accounts.running(account()):
            await began.wait()
        await cut.wait()
    assert memory.ended == []
    assert memory.rows[POLL.key] == Standing(NOON, NOON)


async def test_a_run_does_not_begin_under_a_lost_lease() -> None:
    """The fence is asked first."""
    memory, ran = Memory(fenced=True), list[Job]()

    async def runs(job: Job) -> Done:
        ran.append(job)
        return await _well(job)

    async with hosting(memory, runs):
        await _heard(memory)
    assert ran == []


async def test_a_paused_job_stays_at_rest_until_it_is_ordered() -> None:
    """An operator's order runs it once, and it is paused as before."""
    memory = Memory()
    memory.rows[ENGINE.key] = Standing(NOON, NOON, paused=True)
    async with hosting(memory, _well) as (accounts, _):
        for _ in range(5):
            accounts.changed.set()
            await anyio.lowlevel.checkpoint()
        assert memory.begun == []
        memory.rows[ENGINE.key] = Standing(NOON, NOON, paused=True, asked=True)
        accounts.changed.set()
        await _heard(memory)
    assert memory.begun == [ENGINE.name]
    assert memory.rows[ENGINE.key].paused


async def test_a_lasting_job_takes_no_place_of_others_and_ends_by_an_operator_s_order() -> None:
    """It runs beside as many others as there are; paused, or asked to begin anew, it is ended and due at once."""
    memory, stream = Memory(), Job(TENANT, "stream/hubspot/contacts", "stream", 60.0, "hubspot", "topic")
    begun = anyio.Event()

    async def listens(job: Job) -> Done:
        if job.kind == "stream":
            begun.set()
            await anyio.sleep_forever()
        return await _well(job)

    cluster, accounts, clock = Cluster(ttl_s=60.0), RunningAccounts(), SteppedClock(NOON)
    leases = MemoryLeases(cluster, "this")
    membership = Membership(leases)
    jobs = Fixed(listens)
    jobs.of_account = lambda account: [stream, POLL]  # type: ignore[method-assign]  # noqa: ARG005 - the port's name
    host = SchedulingHost(
        cast("Jobs", jobs),
        memory,
        leases,
        membership,
        accounts,
        clock,
        random.Random(1),
        HostSettings(runs_max=1),
    )
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            await membership.wait_until_standing()
            tasks.start_soon(host.run, Wakeup())
            with accounts.running(account()):
                await begun.wait()
                while {name for name, *_ in memory.ended} < {POLL.name, ENGINE.name}:
                    await _heard(memory)
                clock.advance(3 * 3600)
                memory.rows[stream.key] = replace(memory.rows[stream.key], paused=True)
                accounts.changed.set()
                while stream.name not in {name for name, *_ in memory.ended}:
                    await _heard(memory)
                tasks.cancel_scope.cancel()
    assert (stream.name, "skipped", "ended by an operator's order") in memory.ended
    standing = memory.rows[stream.key]
    assert (standing.next_time, standing.missed_count) == (clock.now(), 0)
