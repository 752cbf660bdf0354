"""Runs the periodic jobs of one process: those of its accounts, and the engine's own under a lease.

An account's jobs run where its delivery actor runs, under the same lease: what ends the actor ends them. A run that is
cut off leaves its row due, so the successor runs it again; every kind of job is safe to repeat. The supervisor never
dies of a job.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

import anyio

from headwater.connectors.base import CallFailed
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain import scheduling
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.scheduling import Job, Standing
from headwater.sync.membership import Membership
from headwater.sync.ports import Leases, StoreRaced, StoreRefused
from headwater.sync.scheduling.jobs import Done, Jobs
from headwater.sync.scheduling.ports import Schedules
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

ENGINE_LEASE: Final = "schedule/engine"
"""Lease of the engine's own jobs."""
ORDERED: Final = Done("skipped", "ended by an operator's order")
"""How a lasting run ends that an operator has paused, or wants to begin anew."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How the host works.

    Args:
        runs_max: jobs that run at once in a process.
        look_s: longest pause between two looks at what is due.
        run_s_max: bound of one run; what it has done by then stands.
    """

    runs_max: int = 16
    look_s: float = 5.0
    run_s_max: float = 3_600.0


class SchedulingHost:
    """The periodic jobs of one process."""

    def __init__(
        self,
        jobs: Jobs,
        store: Schedules,
        leases: Leases,
        membership: Membership,
        accounts: RunningAccounts,
        clock: Clock,
        chance: random.Random,
        settings: HostSettings | None = None,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._leases = leases
        self._membership = membership
        self._engine: Lease | None = None
        self._accounts = accounts
        self._clock = clock
        self._chance = chance
        self._settings = settings or HostSettings()
        self._slots = anyio.CapacityLimiter(self._settings.runs_max)
        self._running: set[tuple[str, str]] = set()
        self._kept: set[Job] = set()
        self._lasting: dict[Job, anyio.CancelScope] = {}
        membership.on_lapse(self._lose_engine)

    async def run(self, bell: Wakeup) -> None:
        """Run what is due, for ever; ends by cancellation.

        Args:
            bell: rung when an operator has ordered something.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pass_on, bell)
            while True:
                pause_s = self._settings.look_s
                try:
                    pause_s = await self._look(tasks)
                except (Unavailable, StoreRaced, StoreRefused) as error:
                    _log.warning("schedules: %s", error)
                await self._accounts.changed.wait(
                    max(0.05, min(pause_s, self._settings.look_s, self._leases.ttl_s / 3))
                )

    async def _pass_on(self, bell: Wakeup) -> None:
        while True:
            await bell.wait(60.0)
            self._accounts.changed.set()

    async def _look(self, tasks: anyio.abc.TaskGroup) -> float:
        """Start what is due; return the seconds until something else is."""
        leased = await self._leased_jobs()
        await self._keep(list(leased))
        waiting = {job: lease for job, lease in leased.items() if job.key not in self._running}
        standings = await self._store.standings([*waiting, *self._lasting])
        self._steer(standings)
        now, pause_s = self._clock.now(), self._settings.look_s
        for job, lease in waiting.items():
            standing = standings.get(job.key)
            wait_s = None if standing is None else scheduling.wait_s(standing, job, now)
            if standing is None or wait_s is None:
                continue
            if wait_s > 0:
                pause_s = min(pause_s, wait_s)
                continue
            self._running.add(job.key)
            tasks.start_soon(self._run, job, lease, standing)
        return pause_s

    def _steer(self, standings: Mapping[tuple[str, str], Standing]) -> None:
        """End lasting runs that an operator has paused, or wants to begin anew."""
        for job, scope in self._lasting.items():
            standing = standings.get(job.key)
            if standing is not None and (standing.paused or standing.asked):
                scope.cancel()

    async def _leased_jobs(self) -> dict[Job, Lease]:
        """Return every job that this process may run, with the lease it runs under."""
        jobs = {
            job: account.lease
            for account in self._accounts.current().values()
            for job in self._jobs.of_account(account)
        }
        if self._engine is None and self._membership.may_work():
            fences = await self._leases.acquire([ENGINE_LEASE], 1)
            self._engine = Lease(ENGINE_LEASE, fences[ENGINE_LEASE]) if fences else None
        if self._engine is not None:
            jobs.update(dict.fromkeys(self._jobs.of_engine(), self._engine))
        return jobs

    def _lose_engine(self) -> None:
        self._engine = None

    async def _keep(self, jobs: Sequence[Job]) -> None:
        now = self._clock.now()
        fresh = [job for job in jobs if job not in self._kept]
        if fresh:
            first = {job: scheduling.first_standing(job, now, self._chance).next_time for job in fresh}
            await self._store.keep(first)
            for tenant_id, connector in {(job.tenant_id, job.connector) for job in fresh if job.connector}:
                names = [job.name for job in jobs if (job.tenant_id, job.connector) == (tenant_id, connector)]
                await self._store.retire(tenant_id, connector, names)
        self._kept = set(jobs)

    async def _run(self, job: Job, lease: Lease, standing: Standing) -> None:
        """Run *job* once, whatever it raises, and settle how it stands."""
        try:
            async with nullcontext() if job.lasts else self._slots:
                with self._bound(job) as alive:
                    if alive:
                        await self._store.begin(job, lease, self._clock.now())
                        done = await (self._try_lasting(job) if job.lasts else self._try(job))
                        after = scheduling.after_run(
                            standing, job, self._clock.now(), self._chance, failed=done.outcome == "failed"
                        )
                        if done is ORDERED:
                            after = replace(after, next_time=self._clock.now())
                        await self._store.end(job, lease, after, self._clock.now(), done.outcome, done.detail)
        except FenceLost as lost:
            _log.warning("job %s of %r was taken over: %s", job.name, job.tenant_id, lost)
            if ENGINE_LEASE in lost.names:
                self._lose_engine()
        except (Unavailable, StoreRaced, StoreRefused) as error:  # how it ended is not kept: it runs again
            _log.warning("job %s of %r: %s", job.name, job.tenant_id, error)
        finally:
            self._running.discard(job.key)
            self._accounts.changed.set()

    async def _try_lasting(self, job: Job) -> Done:
        """Run *job* until it ends, or until an operator says something else."""
        with anyio.CancelScope() as scope:
            self._lasting[job] = scope
            try:
                return await self._try(job)
            finally:
                del self._lasting[job]
        return ORDERED

    @contextmanager
    def _bound(self, job: Job) -> Iterator[bool]:
        """Tie a run to its account: cancelled when that ends here. Yields False when it has ended already."""
        account = self._accounts.current().get((job.tenant_id, job.connector))
        if not job.connector:
            yield True
        elif account is None:
            yield False
        else:
            with account.working():
                yield True

    async def _try(self, job: Job) -> Done:
        accounts: Mapping[tuple[str, str], RunningAccount] = self._accounts.current()
        try:
            with anyio.fail_after(None if job.lasts else self._settings.run_s_max):
                return await self._jobs.run(job, accounts)
        except TimeoutError:
            return Done("failed", f"not done within {self._settings.run_s_max:g} s; what it has done stands")
        except FenceLost:
            raise
        except CallFailed as error:
            return Done("failed", str(error)[:1024])
        except HeadwaterError as error:
            return Done("failed", f"{error.reason}: {error.message}"[:1024])
        except Exception as error:  # noqa: BLE001 - the edge of a job: log, count, try again later
            _log.exception("job %s of %r failed", job.name, job.tenant_id)
            return Done("failed", f"{type(error).__name__}: {error}"[:1024])
