"""What a client asks next: calls drawn from what was said before, so that they meet. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.identity_histories.calls import (
    Answer,
    Call,
    GetEntity,
    GetRecord,
    Merge,
    Merged,
    Resolve,
    Resolved,
    Restored,
    Split,
    View,
)

PEOPLE: Final = ("ann", "bob", "cyd")
"""The strong keys of one group of records."""
RECORDS_PER_KEY: Final = 3
BATCH_MAX: Final = 3
KEPT_MAX: Final = 3
"""Merges of a group that are still split, latest first; older ones are left as they are."""

REPEATED: Final = 0.2
"""Share of merges that are a request sent again."""

NAMED: Final = 0.7
"""Share of merges whose request has a name."""

WEIGHTS: Final = {"resolve": 40, "merge": 20, "split": 14, "record": 20, "entity": 6}


@dataclass(slots=True)
class Group:
    """Records that have keys in common with each other and with no other group, and what clients know of them."""

    name: str = ""
    entities: list[str] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    asked: list[Merge] = field(default_factory=list)
    """Merges that were asked for: a channel that heard nothing sends them again."""

    @property
    def records(self) -> Sequence[str]:
        """The records of the group."""
        return [
            f"{self.name}{person}/{number}" for person in PEOPLE for number in range(1, RECORDS_PER_KEY + 1)
        ]

    def learn(self, answer: Answer) -> None:
        """Note the ids of an answer: any client may use them from now on."""
        if isinstance(answer, Resolved):
            _note(self.entities, answer.entities)
        elif isinstance(answer, View | Restored):
            _note(self.entities, [answer.entity])
        elif isinstance(answer, Merged):
            _note(self.merges, [answer.merge])


def _note(known: list[str], fresh: Iterable[str]) -> None:
    known.extend(one for one in dict.fromkeys(fresh) if one not in known)


def choose_call(group: Group, chance: random.Random) -> Call:
    """Draw a call that makes sense by what is known of *group*."""
    (kind,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
    if kind == "merge" and group.asked and chance.random() < REPEATED:
        return chance.choice(group.asked[-KEPT_MAX:])
    if kind == "merge" and len(group.entities) > 1:
        return _asked(group, chance)
    if kind == "split" and group.merges:
        return Split(chance.choice(group.merges[-KEPT_MAX:]))
    if kind == "entity" and group.entities:
        return GetEntity(chance.choice(group.entities))
    if kind == "record":
        return GetRecord(chance.choice(group.records))
    return Resolve(tuple(chance.sample(group.records, chance.randint(1, BATCH_MAX))))


def _asked(group: Group, chance: random.Random) -> Merge:
    winner, loser = chance.sample(group.entities, 2)
    merge = Merge(winner, loser, f"{chance.getrandbits(64):016x}" if chance.random() < NAMED else "")
    if merge.request:
        group.asked.append(merge)
    return merge
