"""How far the shards of a process are projected, at the front and behind it. Bookkeeping alone.

At the front live events are projected and bulk events set aside. Behind it, at the bulk side, these are taken up, up to the
front. Of a shard this holds: every live event up to the front is projected, and every bulk event up to the bulk side. While
no bulk event is set aside both stand at one place.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headwater.sync.domain.log import NOWHERE, START, LogEvent, Position, bulk_side


@dataclass(slots=True)
class Sides:
    """Positions by shard.

    Args:
        front: up to where live events are projected.
        back: up to where bulk events are.
        aside: the last bulk event before the front that may not be projected yet.
        written: the front as the store has it at least.
    """

    front: dict[int, Position] = field(default_factory=dict)
    back: dict[int, Position] = field(default_factory=dict)
    aside: dict[int, Position] = field(default_factory=dict)
    written: dict[int, Position] = field(default_factory=dict)

    def take(self, shards: Iterable[int], stored: Mapping[int, Position]) -> None:
        """Take over *shards* as the store has them."""
        for shard in shards:
            self.back[shard] = stored[bulk_side(shard)]
            self.aside[shard] = START
            self.restore_front((shard,), stored)

    def restore_front(self, shards: Iterable[int], stored: Mapping[int, Position]) -> None:
        """Go back to the fronts that the store has: whether the last transaction committed, and set some aside, is not known."""
        for shard in shards:
            self.front[shard] = self.written[shard] = stored[shard]
            self.aside[shard] = max(self.aside[shard], stored[shard])

    def restore_back(self, shards: Iterable[int], stored: Mapping[int, Position]) -> None:
        """Go back to the bulk sides that the store has."""
        for shard in shards:
            self.back[shard] = stored[bulk_side(shard)]

    def along(self, reached: Mapping[int, Position], aside: Mapping[int, Position]) -> dict[int, Position]:
        """Return the bulk sides that go along with fronts that get to *reached*, since nothing is set aside.

        Args:
            aside: the last bulk events on the way there.
        """
        return {
            bulk_side(shard): place
            for shard, place in reached.items()
            if max(self.aside[shard], aside.get(shard, START)) <= self.back[shard]
        }

    def advance(
        self,
        reached: Mapping[int, Position],
        aside: Mapping[int, Position],
        along: Mapping[int, Position],
        *,
        written: bool,
    ) -> None:
        """Note that the fronts are at *reached*.

        Args:
            along: bulk sides that went along.
            written: whether the store knows.
        """
        for shard, place in reached.items():
            self.front[shard] = place
            self.aside[shard] = max(self.aside[shard], aside.get(shard, START))
            if written:
                self.written[shard] = place
            if bulk_side(shard) in along:
                self.back[shard] = max(self.back[shard], place)

    def behind(self, shards: Collection[int], reached: Mapping[int, Position] = NOWHERE) -> list[int]:
        """Return those of *shards* where bulk events wait.

        Args:
            reached: up to where those of some are as good as projected.
        """
        return [
            shard
            for shard in shards
            if reached.get(shard, self.back[shard]) < min(self.aside[shard], self.front[shard])
        ]

    def whole(self, shard: int) -> Position:
        """Return up to where a shard is projected whole."""
        return self.front[shard] if self.aside[shard] <= self.back[shard] else self.back[shard]

    def moves(self, reached: Mapping[int, Position]) -> dict[int, Position]:
        """Return the cursors to write once bulk events up to *reached* are projected.

        Where none is left the bulk side goes to the front; a front that only set aside is written now.
        """
        found: dict[int, Position] = {}
        for shard, place in reached.items():
            done = place >= self.aside[shard]
            found[bulk_side(shard)] = max(place, self.front[shard]) if done else place
            if self.written[shard] < self.front[shard]:
                found[shard] = self.front[shard]
        return found

    def took(self, moves: Mapping[int, Position]) -> None:
        """Note that *moves* are written."""
        for number, place in moves.items():
            if number < 0:
                self.back[bulk_side(number)] = max(self.back[bulk_side(number)], place)
            else:
                self.written[number] = max(self.written[number], place)


def set_aside(events: Iterable[LogEvent]) -> dict[int, Position]:
    """Return the last bulk event of each shard in *events*, in log order."""
    return {event.shard: event.position for event in events if event.is_bulk}


def oldest_of(events: Sequence[LogEvent]) -> dict[str, dt.datetime]:
    """Return when the first event of each tenant in *events*, in log order, was recorded."""
    return {event.tenant_id: event.record_time for event in reversed(events)}


def last_of(events: Iterable[LogEvent]) -> dict[int, Position]:
    """Return the last position of each shard in *events*, in log order."""
    return {event.shard: event.position for event in events}
