"""This process among the others that share the leases: its heartbeat, their number, and until when it may work.

All leases of a process stand and fall with its one heartbeat row, so holding thousands costs one
write a beat. Owns the process's own clock on that: when no beat has been confirmed in time, everything
held is given up at once, whatever the database will say.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import anyio

from headwater.kernel.errors import Unavailable
from headwater.sync.ports import Leases, StoreRaced

_log = logging.getLogger(__name__)

BEATS: Final = 4
"""Beats within the time that a lease lasts."""


class Membership:
    """This process's standing.

    Args:
        ticks: seconds of a clock that never goes back; not the loop's, which stands still in a busy turn.
    """

    def __init__(self, leases: Leases, ticks: Callable[[], float] = time.monotonic) -> None:
        self._leases = leases
        self._ticks = ticks
        self._until_s = float("-inf")
        self._beaten_s: float | None = None
        self._standing = False
        self._gave_up = False
        self._told: list[Callable[[], None]] = []
        self._beaten = anyio.Event()
        self.processes = 1

    @property
    def beat_s(self) -> float:
        """The pause between two beats."""
        return self._leases.ttl_s / BEATS

    @property
    def silent_s(self) -> float | None:
        """How long ago the last confirmed beat was sent; None before the first."""
        return None if self._beaten_s is None else self._ticks() - self._beaten_s

    def may_work(self) -> bool:
        """Say whether what this process holds certainly is its own still."""
        return self._standing and self._ticks() < self._until_s

    def on_lapse(self, tell: Callable[[], None]) -> None:
        """Have *tell* called whenever everything held is lost."""
        self._told.append(tell)

    async def wait_until_standing(self) -> None:
        """Return when the process may take leases."""
        while not self.may_work():
            await self._beaten.wait()

    async def keep(self) -> None:
        """Beat until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            while True:
                await self._beat()
                await anyio.sleep(self.beat_s)

    async def _beat(self) -> None:
        began_s = self._ticks()
        try:
            with anyio.fail_after(self._leases.ttl_s):
                if (
                    self._gave_up
                ):  # the store may count what was given up here as held, for as long as we beat
                    await self._leases.leave()
                    self._gave_up = False
                beat = await self._leases.beat()
        except (Unavailable, StoreRaced, TimeoutError) as error:
            _log.warning("no heartbeat: %s", error)
            return
        if not beat.unbroken:
            if self._standing:
                _log.error("the heartbeat came too late: every lease is given up")
                self._lose()
            self._gave_up = False  # a new heartbeat has let go of everything before it
        self.processes = beat.processes
        self._beaten_s = began_s
        self._until_s = began_s + self._leases.ttl_s
        self._standing = True
        self._beaten.set()
        self._beaten = anyio.Event()

    async def _watch(self) -> None:
        """Give everything up when the last confirmed beat is too long ago."""
        while True:
            await anyio.sleep(min(self.beat_s, max(0.0, self._until_s - self._ticks())) or self.beat_s)
            if self._standing and self._ticks() >= self._until_s:
                _log.error("no heartbeat for %g s: every lease is given up", self._leases.ttl_s)
                self._lose()

    def _lose(self) -> None:
        if self._standing:
            self._standing = False
            self._gave_up = True
            for tell in self._told:
                tell()
