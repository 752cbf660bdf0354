"""The numbers that stand in ingest's tables, read when /metrics is asked for: one statement, seldom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import anyio

from headwater.kernel.clock import Clock
from headwater.kernel.metrics import Metrics, names

KEPT_S: Final = 5.0
"""Shortest time between two readings."""
SHARE: Final = 20.0
"""A reading that took t is kept for so many times t."""
TENANTS_MAX: Final = 200
"""Tenants that are told of, those with most entries first."""
CHECK_S: Final = 4.0
"""Longest wait for a reading; less than the door's patience."""


class OpenEntries(Protocol):
    """Counts what waits in quarantine."""

    async def count_all_open(self, tenants_max: int) -> Mapping[str, float]:
        """Return tenant to open entries. Raises: LogUnavailable."""
        ...


class QuarantineReader:
    """Reads the quarantine's length into its gauge.

    Args:
        ticks: seconds of a clock that never goes back.
    """

    def __init__(
        self, store: OpenEntries, metrics: Metrics, clock: Clock, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._open = metrics.gauge(names.QUARANTINE_OPEN)
        self._read_time = metrics.gauge(names.STATE_READ).of()
        self._clock = clock
        self._ticks = ticks
        self._reading = anyio.Lock()
        self._fresh_until_s = float("-inf")

    async def read(self) -> None:
        """Bring the gauge up to date, unless it is fresh enough.

        Raises:
            LogUnavailable, TimeoutError: the gauge stays as it was, and its age tells it.
        """
        async with self._reading:
            began_s = self._ticks()
            if began_s < self._fresh_until_s:
                return
            with anyio.fail_after(CHECK_S):
                found = await self._store.count_all_open(TENANTS_MAX)
            ended_s = self._ticks()
            self._fresh_until_s = ended_s + max(KEPT_S, SHARE * (ended_s - began_s))
            self._open.replace({(tenant,): count for tenant, count in found.items()})
            self._read_time.set(self._clock.now().timestamp())
