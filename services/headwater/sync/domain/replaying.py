"""Replays: what they are for, how many deliveries they may make due, or end, by now, and how they end. Pure."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

RATE_MIN: Final = 0.01
RATE_MAX: Final = 1000.0
"""Deliveries a second that a replay may ask for."""
BURST_S: Final = 1.0
"""How much of its rate a replay catches up on after a stall or a restart."""
PORTION_MAX: Final = 500
"""Deliveries of one transaction."""
NOWHERE: Final = uuid.UUID(int=0)
"""Before every entity."""


class ReplayState(IntEnum):
    """Where a replay stands; numbers of sync.proto."""

    RUNNING = 1
    PAUSED = 2
    DONE = 3
    CANCELLED = 4


ENDED: Final = frozenset({ReplayState.DONE, ReplayState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Scope:
    """Which dead deliveries a replay is for.

    Args:
        connector: empty for every account of the tenant.
        group_id: only those of this group.
        entity_ids: only these, and then discarded ones too, unless they are to be discarded.
    """

    connector: str = ""
    group_id: uuid.UUID | None = None
    entity_ids: Sequence[uuid.UUID] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as it stands.

    Args:
        next_time: when the next delivery may be made due, or ended.
        discard_reason: why the deliveries are ended; empty: they are made due.
        place: connector and entity seen last.
    """

    tenant_id: str
    replay_id: uuid.UUID
    scope: Scope
    rate_per_s: float
    state: ReplayState
    total_count: int
    replayed_count: int
    next_time: dt.datetime
    actor: str
    policy_version: str
    discard_reason: str = ""
    create_time: dt.datetime | None = None
    update_time: dt.datetime | None = None
    place: tuple[str, uuid.UUID] = field(default=("", NOWHERE))


@dataclass(frozen=True, slots=True)
class Portion:
    """What may be made due now, and when the next one may."""

    count: int
    next_time: dt.datetime


def portion(rate_per_s: float, next_time: dt.datetime, now: dt.datetime) -> Portion:
    """Return how many deliveries may be made due at *now*.

    In any span of n seconds no more than (n + `BURST_S`) x rate + 1 are, whatever the pauses were. A clock
    that was set back holds a replay up for no longer than one delivery's share of its rate.
    """
    interval = dt.timedelta(microseconds=math.ceil(1_000_000 / rate_per_s))  # up: never above the rate
    begin = min(max(next_time, now - dt.timedelta(seconds=BURST_S)), now + interval)
    if begin > now:
        return Portion(0, begin)
    count = min(math.floor((now - begin) / interval) + 1, PORTION_MAX)
    return Portion(count, begin + interval * count)


def after_portion(wanted: int, found: int) -> ReplayState:
    """Return the state after *found* deliveries were left of the *wanted* ones."""
    return ReplayState.DONE if found < wanted else ReplayState.RUNNING
