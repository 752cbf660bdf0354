"""Where in its queue an account's next look begins. Owns the low-water mark of each lane; knows no database.

Rows that were settled leave dead entries at the head of the queue's index until a vacuum, and for as long as
anybody holds a snapshot. A look begins behind what was claimed, so that it never walks them again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from typing import Final

from headwater.sync.domain.lanes import Lane

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

    @property
    def marks(self) -> list[Place]:
        """Behind which place to look, lane by lane, for a turn whose look counts for nothing."""
        return list(self._marks.values())

    def begin(self, now_s: float) -> list[Place]:
        """Return behind which place to look, lane by lane; *now_s* is any monotonic time."""
        self._begin_s = now_s
        self._is_sweep = now_s >= self._sweep_time_s
        return [_BEGINNING] * len(Lane) if self._is_sweep else self.marks

    def end(
        self,
        reached: Mapping[Lane, Place],
        waiting: Collection[Lane],
        look_time: dt.datetime,
        now_s: float,
    ) -> float | None:
        """Move the marks to where a turn has looked.

        Args:
            reached: the last place of the queue, lane by lane, from which something was claimed.
            waiting: lanes with more to claim.
            look_time: when it looked, by the clock that gives due times.

        Returns:
            Seconds to the next sweep, so that nobody falls asleep over a row behind the mark; None when it has swept.
        """
        if self._is_sweep:
            pause_s = (now_s - self._begin_s) / SWEEP_SHARE_MAX
            self._sweep_time_s = now_s + max(SWEEP_S, pause_s)
        newest: Place = (look_time - OVERLAP, _LAST_ENTITY)
        for lane in Lane:
            if lane not in waiting:
                self._marks[lane] = newest
            elif lane in reached:
                self._marks[lane] = min(reached[lane], newest)
            elif self._is_sweep:  # something waits that nobody asked for now: it may stand before the mark
                self._marks[lane] = _BEGINNING
        return None if self._is_sweep else max(0.0, self._sweep_time_s - now_s)
