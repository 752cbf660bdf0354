"""One turn of an actor's slot: what it wants next, and what it gets. Pure."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import ConnectorState


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a slot asks for as its next deliveries.

    Args:
        slot: number of the asking slot, 0..32767; it has one turn under way at a time.
        lanes: rows wanted at most of each lane; none or all 0: claim nothing.
        excluding: entities that the actor's other slots have in flight; they are not claimed.
        keeps: the slot keeps in flight what it does not settle now, and wants nothing. Of any other turn's slot only
            what it claims is in flight afterwards: the rest was not tried, and is anybody's.
    """

    slot: int
    lanes: Mapping[Lane, int]
    excluding: Collection[uuid.UUID] = ()
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What a slot got.

    Args:
        state: what is stored about the account.
        next_due_s: seconds until the earliest delivery is due that is neither claimed now nor excluded;
            0 when it is due already, None when there is none. Never later than a look is wanted for rows that came in
            out of order.
        waiting: whether a lane has due deliveries left, beyond those claimed and excluded.
        look_time: when it was taken, by the database's clock; None where nobody knows.
    """

    claimed: tuple[Claimed, ...]
    state: ConnectorState
    next_due_s: float | None
    waiting: Mapping[Lane, bool]
    look_time: dt.datetime | None = None
