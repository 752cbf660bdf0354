"""Where in its queue an account's next look begins. Owns the low-water mark of each lane; knows no database.

Rows that were settled leave dead entries at the head of the queue's index until a vacuum, and for as long as
anybody holds a snapshot. A look begins behind what was claimed, so that it never walks them again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import Final

from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.turns import Turn

SWEEP_S: Final = 1.0
"""Time between two looks from the beginning: for rows that came in behind the mark, committed late."""
SWEEP_SHARE_MAX: Final = 0.05
"""Most of the time that sweeps may take: the longer one takes, the longer the pause before the next."""
OVERLAP: Final = dt.timedelta(seconds=0.5)
"""A row takes its due time before it commits: the mark stays so far behind the present."""
Place = tuple[dt.datetime, uuid.UUID]

_LAST_ENTITY: Final = uuid.UUID(int=2**128 - 1)
_BEGINNING: Final[Place] = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), _LAST_ENTITY)


class Line:
    """The marks of one account. Turns follow one another; `begin` and `end` enclose each."""

    def __init__(self) -> None:
        self._marks: dict[Lane, Place] = dict.fromkeys(Lane, _BEGINNING)
        self._sweep_time_s = float("-inf")
        self._begin_s = 0.0
        self._is_sweep = False

    def begin(self, now_s: float) -> list[Place]:
        """Return behind which place to look, lane by lane; *now_s* is any monotonic time."""
        self._begin_s = now_s
        self._is_sweep = now_s >= self._sweep_time_s
        return [_BEGINNING] * len(Lane) if self._is_sweep else list(self._marks.values())

    def end(self, turn: Turn, look_time: dt.datetime, now_s: float) -> Turn:
        """Move the marks to where *turn* has looked.

        Args:
            look_time: when it looked, by the clock that gives due times.

        Returns:
            The turn; unless it has swept, its next due is the next sweep's time at the latest, so that nobody
            falls asleep over a row behind the mark.
        """
        if self._is_sweep:
            pause_s = (now_s - self._begin_s) / SWEEP_SHARE_MAX
            self._sweep_time_s = now_s + max(SWEEP_S, pause_s)
        newest: Place = (look_time - OVERLAP, _LAST_ENTITY)
        reached = {item.lane: (item.due_time, item.entity_id) for item in turn.claimed}
        for lane in Lane:
            if not turn.waiting[lane]:
                self._marks[lane] = newest
            elif lane in reached:
                self._marks[lane] = min(reached[lane], newest)
            elif self._is_sweep:  # something waits that nobody asked for now: it may stand before the mark
                self._marks[lane] = _BEGINNING
        if self._is_sweep:
            return turn
        sweep_s = max(0.0, self._sweep_time_s - now_s)
        due_s = sweep_s if turn.next_due_s is None else min(turn.next_due_s, sweep_s)
        return replace(turn, next_due_s=due_s)
