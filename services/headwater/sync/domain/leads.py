"""Leads as routing holds them: who has one, how it is looked at, what was done about it. Owns their shape only."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from headwater.policy.conditions import Lead
from headwater.policy.routing import Lane
from headwater.sync.domain.correcting import is_attached
from headwater.sync.domain.states import EntityState, RecordState


class LeadState(IntEnum):
    """What became of a lead; numbers of routing.proto."""

    WAITING = 1
    ASSIGNED = 2
    KEPT = 3
    """By an owner that routing did not find."""
    SUPPRESSED = 4
    DONE = 5
    ENDED = 6
    """Its entity was deleted, or merged into one that another row stands for."""


LOADING: Final = frozenset({LeadState.ASSIGNED, LeadState.KEPT})
"""Leads that count as load."""


@dataclass(frozen=True, slots=True)
class LeadRow:
    """Who has a lead; columns of `sync.assignment`."""

    entity_id: uuid.UUID
    home_id: uuid.UUID
    object: str
    source: str
    state: LeadState
    lead_time: dt.datetime
    number: int = 0
    moves: int = 0
    person: str = ""
    role: str = ""
    rule: str = ""
    pool: str = ""
    lane: Lane = "normal"
    reason: str = ""
    policy_version: str = ""
    assign_time: dt.datetime | None = None
    touch_time: dt.datetime | None = None
    check_time: dt.datetime | None = None
    event_key: uuid.UUID | None = None

    @property
    def untouched(self) -> bool:
        """Whether its owner was not in touch since they got it."""
        return self.touch_time is None or (
            self.assign_time is not None and self.touch_time < self.assign_time
        )


@dataclass(frozen=True, slots=True)
class Look:
    """A lead as it is looked at.

    Args:
        members: its records.
        mark_time: when what changed it was recorded; None where it is looked at by itself.
        place: of that change in the log.
    """

    entity: EntityState
    members: Sequence[RecordState]
    mark_time: dt.datetime | None = None
    place: tuple[int, int] = (0, 0)

    @property
    def source(self) -> str:
        """The system that brought it: the one that spoke of it first."""
        said = [
            (min(fact.field_time for fact in item.fields.values()), item.key.source)
            for item in self.members
            if item.fields and not is_attached(item.key)
        ]
        return min(said)[1] if said else ""

    def lead(self) -> Lead:
        """Return what the rules look at."""
        values = {name: chosen.value for name, chosen in self.entity.fields.items()}
        return Lead(self.entity.object, values, self.source)


@dataclass(frozen=True, slots=True)
class Touch:
    """An activity about leads: a touch by us, a message of theirs, or neither."""

    moment: dt.datetime
    ours: bool
    theirs: bool
    homes: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """An entry of the audit."""

    action: str
    entity_id: uuid.UUID
    changes: tuple[Mapping[str, Any], ...]
