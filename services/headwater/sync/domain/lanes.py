"""The lanes of a connector account, and how they share its turns. Pure.

What is more urgent has the lower number. Every waiting lane gets its minimum share and, of what is
left over, a part by its weight; what a lane does not use goes to the others. A turn's rows are
whole numbers and may be few, so what a lane was short of is carried over to the next turn.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from headwater.kernel.telemetry.old_news import is_old_news
from headwater.policy.account import Lanes as LanePolicy
from headwater.policy.account import LaneShare

GROWTH: Final = 2
"""By how much more is asked of a lane that had more than was asked."""
REACH_ROWS_MIN: Final = 4
"""Rows asked of a lane that begins to wait while others do."""
REACH_ROWS_MAX: Final = 1_000_000
"""Rows beyond which a lane is not believed to have more: more than any turn asks for."""

GUESS_PARTS: Final = 8
"""What may have come into a drained lane is wanted with at most this part of a turn while other lanes wait."""
SLACK_ROWS: Final = 1e-6
"""Parts of a row that come of rounding."""


class Lane(IntEnum):
    """In which line a due delivery stands; `sync.due.lane`."""

    LIVE = 1
    RETRY = 2
    BACKFILL = 3
    RECONCILE = 4


def told_lane(usual: Lane, tracestate: str) -> Lane:
    """Return the lane of an event whose source's lane is *usual*."""
    if is_old_news(tracestate):
        return max(usual, Lane.BACKFILL)
    return usual


Rows = Mapping[Lane, int]
"""Lane to a number of rows."""
Shares = Mapping[Lane, LaneShare]


@dataclass(frozen=True, slots=True)
class Line:
    """What an actor believes of its lanes between two turns.

    Args:
        reach: rows that a lane is believed to have at most; None: any number. At first only live work is asked
            for: the answer tells which other lanes wait.
        waiting: lanes that are known to wait; of the others' reach nothing is known but how it was.
        credit: rows that a lane was short of its share, below 0 where it had more.
    """

    reach: Mapping[Lane, int | None] = field(
        default_factory=lambda: {**dict.fromkeys(Lane, 0), Lane.LIVE: None}
    )
    waiting: frozenset[Lane] = frozenset()
    credit: Mapping[Lane, float] = field(default_factory=lambda: dict.fromkeys(Lane, 0.0))


def shares_of(policy: LanePolicy) -> Shares:
    """Return the shares that *policy* gives."""
    return MappingProxyType({lane: getattr(policy, lane.name.lower()) for lane in Lane})


def ask(line: Line, rows: int, shares: Shares, able: Collection[Lane] = frozenset(Lane)) -> tuple[Rows, Line]:
    """Return the rows to want of each lane, *rows* in all, and the line after.

    Lanes that are believed to need less get less; what then is left over is wanted of all the same,
    the first lane first: it costs nothing when nothing is there.

    Args:
        able: lanes that may use the quota now; of the others nothing is wanted.
    """
    waiting = line.waiting.intersection(able)
    guess = rows // GUESS_PARTS if waiting else rows
    most = {lane: (rows if lane in waiting else guess) if lane in able else 0 for lane in Lane}
    reach = {
        lane: most[lane] if known is None else min(most[lane], known) for lane, known in line.reach.items()
    }
    fair = _fill(rows, reach, shares)
    given, credit = _whole(fair, line.credit, reach)
    spare = rows - sum(given.values())
    if spare > 0 and able:
        first = min(waiting or able)
        given = {**given, first: given[first] + spare}
    return given, replace(line, credit=credit)


def learn(line: Line, asked: Rows, claimed: Rows, waiting: Mapping[Lane, bool]) -> Line:
    """Return the line after a turn that claimed *claimed* of *asked* and left *waiting* behind.

    A lane that is drained is expected to bring about as much again; one that has more is asked for
    more each time. So a trickle in one lane does not empty the batches of another.
    """
    reach: dict[Lane, int | None] = {}
    for lane in Lane:
        got = claimed.get(lane, 0)
        if not waiting.get(lane, False):
            reach[lane] = got * GROWTH
        elif (known := line.reach[lane]) is not None:
            reach[lane] = min(
                REACH_ROWS_MAX, max(REACH_ROWS_MIN, GROWTH * max(got, known, asked.get(lane, 0)))
            )
        else:
            reach[lane] = None
    credit = {lane: line.credit[lane] if waiting.get(lane, False) else 0.0 for lane in Lane}
    return Line(reach, frozenset(lane for lane in Lane if waiting.get(lane, False)), credit)


def _fill(rows: int, reach: Rows, shares: Shares) -> Mapping[Lane, float]:
    """Divide *rows*: minimum shares first, the rest by weight; none gets more than its reach."""
    fair = {lane: min(float(reach[lane]), shares[lane].share_min * rows) for lane in Lane}
    for _ in Lane:  # each round fills at least one lane, or divides all that is left
        left = rows - sum(fair.values())
        able = [lane for lane in Lane if reach[lane] - fair[lane] > SLACK_ROWS]
        if not able or left <= SLACK_ROWS:
            break
        part = _parts(able, shares)
        full = [lane for lane in able if fair[lane] + left * part[lane] >= reach[lane]]
        for lane in full or able:
            fair[lane] = float(reach[lane]) if full else fair[lane] + left * part[lane]
    return fair


def _parts(lanes: list[Lane], shares: Shares) -> Mapping[Lane, float]:
    """Return each lane's part of 1 by its weight; where no lane has any, the most urgent takes all."""
    weights = sum(shares[lane].weight for lane in lanes)
    if not weights:
        return {lane: 1.0 if lane is min(lanes) else 0.0 for lane in lanes}
    return {lane: shares[lane].weight / weights for lane in lanes}


def _whole(
    fair: Mapping[Lane, float], credit: Mapping[Lane, float], reach: Rows
) -> tuple[dict[Lane, int], Mapping[Lane, float]]:
    """Round *fair* to whole rows of the same sum, the most short lanes first; return them and the new credit."""
    open_lanes = [lane for lane in Lane if fair[lane] > 0]
    due = {lane: fair[lane] + credit[lane] for lane in open_lanes}
    given = dict.fromkeys(Lane, 0) | {lane: max(0, math.floor(due[lane])) for lane in open_lanes}
    spare = round(sum(fair.values())) - sum(given.values())
    while spare > 0 and (able := [lane for lane in open_lanes if given[lane] < reach[lane]]):
        lane = max(able, key=lambda lane: (due[lane] - given[lane], -lane))
        given[lane] += 1
        spare -= 1
    while spare < 0:
        lane = min(
            (lane for lane in open_lanes if given[lane]), key=lambda lane: (due[lane] - given[lane], -lane)
        )
        given[lane] -= 1
        spare += 1
    return given, {lane: due[lane] - given[lane] if lane in due else 0.0 for lane in Lane}
