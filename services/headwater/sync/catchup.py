"""Who goes first in a process whose log is far behind: the projector, for a while; then the deliveries.

A CRM record is written once for all the events that stand in the log about it, if they are projected first: fewer
calls of the vendor's allowance, and the same end sooner. Owns how long deliveries give way. Must not know either side.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Final

import anyio

from headwater.kernel.clock import Clock

BEHIND_S: Final = 2.0
"""Age of the oldest event of a batch from which the log counts as far behind: no live load looks like that."""
STALLED_S: Final = 1.0
"""Deliveries go on when no batch has been written for so long: a projector that stands still holds up nobody."""


class CatchUp:
    """Whether deliveries give way now.

    Args:
        hold_s_max: longest time that they do so without a break; the break is as long. 0: never.
        ticks: seconds of a clock that never goes back.
    """

    def __init__(
        self, clock: Clock, hold_s_max: float, ticks: Callable[[], float] = anyio.current_time
    ) -> None:
        self._clock = clock
        self._hold_s_max = hold_s_max
        self._ticks = ticks
        self._began_s = math.inf
        self._until_s = -math.inf
        self._break_ends_s = -math.inf

    def left_s(self) -> float:
        """Return for how long deliveries still give way at most, unless more is projected; 0 when they go on."""
        return max(0.0, self._until_s - self._ticks()) if self._until_s > -math.inf else 0.0

    def note(self, oldest: dt.datetime, *, more: bool) -> None:
        """Note that a batch was projected, when its *oldest* event was recorded, and whether more stands behind it."""
        now_s = self._ticks()
        if not more or (self._clock.now() - oldest).total_seconds() < BEHIND_S:
            self._let_go()
        elif now_s >= self._break_ends_s:
            self._began_s = min(self._began_s, now_s)
            if now_s - self._began_s >= self._hold_s_max:
                self._let_go()
                self._break_ends_s = now_s + self._hold_s_max
            else:
                self._until_s = now_s + STALLED_S

    def _let_go(self) -> None:
        self._began_s, self._until_s = math.inf, -math.inf


def never() -> float:
    """Return that deliveries give way to nothing."""
    return 0.0
