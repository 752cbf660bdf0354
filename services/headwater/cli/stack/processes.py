"""Processes told apart by id and start time, so that nothing is ever ended that is not ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import psutil

START_TIME_TOLERANCE_S: Final = 1.0
"""The kernel keeps start times in ticks since boot; the boot time that is added may move by this much."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process that was started at one moment."""

    pid: int
    start_time_s: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Return the identity of a process just started; one that is gone already has start time 0."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(pid, 0.0)

    def find(self) -> psutil.Process | None:
        """Return the live process, None when it ended or its number went to another."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.start_time_s) <= START_TIME_TOLERANCE_S
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same and alive else None


def end_processes(identities: Iterable[ProcessId], *, grace_s: float) -> tuple[int, ...]:
    """Ask the live ones among *identities* to end, kill those that do not in time; return their ids."""
    found = [process for identity in identities if (process := identity.find()) is not None]
    for process in found:
        _ignore_gone(process.terminate)
    _, alive = psutil.wait_procs(found, timeout=grace_s)
    for process in alive:
        _ignore_gone(process.kill)
    psutil.wait_procs(alive, timeout=grace_s)
    return tuple(process.pid for process in found)


def _ignore_gone(act: object) -> None:
    try:
        act()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return
