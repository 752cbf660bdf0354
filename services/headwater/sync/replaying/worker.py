"""Works off replays in this process: portion by portion, at each replay's own rate.

Holds nothing between two portions: what was done stands in the replay's row, so a restart or a second
process goes on where the last one stopped, and two never work off one replay at once.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from headwater.kernel.errors import Unavailable
from headwater.sync.ports import ReplayQueue, StoreRaced
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

TICK_S: Final = 0.1
"""Shortest pause between two looks: what became due meanwhile goes in one portion."""
POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
BACKOFF_S: Final = 2.0
"""Pause after the database could not be reached."""


class ReplayWorker:
    """Works off the replays of every tenant.

    Args:
        now: the time; the store's unless told otherwise, as processes' clocks differ and the rate is one for all.
    """

    def __init__(self, replays: ReplayQueue, now: Callable[[], Awaitable[dt.datetime]] | None = None) -> None:
        self._replays = replays
        self._now = now or replays.now

    async def run(self, bell: Wakeup) -> None:
        """Work off replays for ever; ends by cancellation, which undoes a portion under way whole.

        Args:
            bell: rung when a replay was begun or resumed.
        """
        while True:
            try:
                await bell.wait(await self.step())
            except (Unavailable, StoreRaced) as error:
                _log.warning("replays: %s", error)
                await anyio.sleep(BACKOFF_S)

    async def step(self) -> float:
        """Make due what may be made due by now; return how long to wait for the next portion."""
        while await self._replays.work_off(await self._now()):
            pass
        due = await self._replays.next_time()
        if due is None:
            return POLL_S
        return min(POLL_S, max(TICK_S, (due - await self._now()).total_seconds()))
