"""The supervisor of a service's processes: one readiness line, one end, and a process that died comes back.

SIGTERM and SIGINT end it; SIGHUP rolls: each process is ended and started again, one after the other.
"""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from headwater.kernel.errors import CrashLoop, EndIncomplete, StartRefused
from headwater.kernel.lifecycle import Shutdown, announce_ready
from headwater.kernel.replicas.addresses import reserve
from headwater.kernel.replicas.replica import Ended, Replica
from headwater.kernel.replicas.restarting import Deaths, RestartSettings, pause_s

REPLICA_VARIABLE: Final = "HEADWATER_REPLICA"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """What is run, how often, where.

    Args:
        command: starts one process; it must say when it is ready (`announce_ready`).
        count: how many.
        addresses: host:port to share, by the variable that tells a process of it; port 0 lets the system choose.
        ready_s: how long a process may take until it serves.
        grace_s: how long a process may take to end before it is killed.
    """

    command: Sequence[str]
    count: int
    addresses: Mapping[str, str]
    ready_s: float = 60.0
    grace_s: float = 24.0
    restarts: RestartSettings = field(default_factory=RestartSettings)


class ReplicaSupervisor:
    """One life of a service of several processes."""

    def __init__(
        self, settings: ReplicaSettings, environment: Mapping[str, str], chance: random.Random
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._chance = chance
        self._deaths = Deaths()
        self._keepers: list[_Keeper] = []

    async def run(self, shutdown: Shutdown) -> None:
        """Keep the processes running until the end is asked for; return when all are gone.

        Raises:
            StartRefused: a process refuses to start as things stand, or a port is taken.
            CrashLoop: processes die as fast as they are started.
            EndIncomplete: a process did not end in order.
        """
        with reserve(self._settings.addresses) as addresses:
            async with anyio.create_task_group() as tasks:
                for index in range(1, self._settings.count + 1):
                    keeper = _Keeper(self._replica(index, addresses), self)
                    self._keepers.append(keeper)
                    tasks.start_soon(keeper.keep)
                tasks.start_soon(self._announce)
                tasks.start_soon(self._roll_when_told)
                await shutdown.wait()
                await self._end_all()
                tasks.cancel_scope.cancel()
        unfinished = [keeper.replica.index for keeper in self._keepers if not keeper.ended_in_order]
        if unfinished:
            raise EndIncomplete(f"processes {unfinished} did not end in order")

    def died(self, index: int, ended: Ended, failures: int) -> float:
        """Note a death; return how long to wait before the next start.

        Raises:
            StartRefused: it says that it must not start as things stand.
            CrashLoop: it is no use.
        """
        if ended.exit_code == StartRefused.exit_code and not self._all_served:
            raise StartRefused(f"process {index} refused to start; its log says why")
        self._deaths = self._deaths.noted(self._settings.restarts, anyio.current_time())
        if self._deaths.is_loop(self._settings.restarts):
            count, window_s = len(self._deaths.times_s), self._settings.restarts.window_s
            raise CrashLoop(f"{count} processes died within {window_s:g} s, the last with {ended.exit_code}")
        wait_s = pause_s(self._settings.restarts, failures, self._chance)
        _log.error("process %d died (%d); starting it again in %.2f s", index, ended.exit_code, wait_s)
        return wait_s

    @property
    def ready_s(self) -> float:
        """How long a process may take until it serves."""
        return self._settings.ready_s

    @property
    def _all_served(self) -> bool:
        return all(keeper.facts for keeper in self._keepers)

    def _replica(self, index: int, addresses: Mapping[str, str]) -> Replica:
        environment = {**self._environment, **addresses, REPLICA_VARIABLE: str(index)}
        return Replica(index, self._settings.command, environment, grace_s=self._settings.grace_s)

    async def _announce(self) -> None:
        for keeper in self._keepers:
            await keeper.ready.wait()
        pids = [keeper.replica.pid for keeper in self._keepers]
        announce_ready(**{**self._keepers[0].facts, "processes": len(pids), "pids": pids, "pid": os.getpid()})

    async def _roll_when_told(self) -> None:
        with anyio.open_signal_receiver(signal.SIGHUP) as hangups:
            async for _ in hangups:
                for keeper in self._keepers:
                    _log.info("rolling: process %d is started anew", keeper.replica.index)
                    await keeper.renew()

    async def _end_all(self) -> None:
        async with anyio.create_task_group() as tasks:
            for keeper in self._keepers:
                tasks.start_soon(keeper.stop)


class _Keeper:
    """Keeps one process running; run `keep` in a task group."""

    def __init__(self, replica: Replica, supervisor: ReplicaSupervisor) -> None:
        self.replica = replica
        self.facts: dict[str, Any] = {}
        self.ready = anyio.Event()
        self.ended_in_order = True
        self._supervisor = supervisor
        self._stopping = False
        self._renewing = False
        self._gone = anyio.Event()
        self._renewed = anyio.Event()
        self._wake = anyio.Event()

    async def keep(self) -> None:
        """Run the process again and again until `stop`."""
        failures = 0
        try:
            while not self._is_stopping():
                ended = await self.replica.live(self._became_ready, ready_s=self._supervisor.ready_s)
                if self.ready.is_set():
                    self.ready = anyio.Event()
                if self._is_stopping():
                    self.ended_in_order = ended.exit_code == 0 and not self.replica.killed
                elif self._renewing:
                    self._renewing = False
                    self._renewed.set()
                else:
                    failures = 1 if ended.was_ready else failures + 1
                    with anyio.move_on_after(self._supervisor.died(self.replica.index, ended, failures)):
                        await self._wake.wait()
        finally:
            self._gone.set()

    async def renew(self) -> None:
        """End the process in order and return when its successor serves."""
        if self.replica.pid is not None:
            self._renewing = True
            await self.replica.end()
            await self._renewed.wait()
            self._renewed = anyio.Event()
        await self.ready.wait()

    async def stop(self) -> None:
        """End the process for good and return when it is gone."""
        self._stopping = True
        self._wake.set()
        await self.replica.end()
        await self._gone.wait()

    def _is_stopping(self) -> bool:
        return self._stopping

    def _became_ready(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.ready.set()
