"""The identity service in memory, as plainly as it can be written, apart from the model: each is checked by the other.

Answers at once and in whole. What breaks a promise is a subclass in a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.identity_histories.calls import (
    Absent,
    Answer,
    Call,
    GetRecord,
    Merge,
    Merged,
    Refused,
    Resolve,
    Resolved,
    Restored,
    Split,
    View,
    key_of,
)


@dataclass(slots=True)
class _Merge:
    winner: str
    loser: str
    moved: list[str]
    count: int
    split: int | None = None


class Reference:
    """Entities, records and merges in dictionaries."""

    def __init__(self) -> None:
        self.home: dict[str, str] = {}
        self.into: dict[str, str] = {}
        """Entities in the order of their making; empty while one stands for itself."""
        self.merges: dict[str, _Merge] = {}
        self.requests: dict[str, str] = {}

    def answer(self, call: Call) -> Answer:
        """Do what is asked."""
        if isinstance(call, Resolve):
            return Resolved(tuple(self.resolve(record) for record in call.records))
        if isinstance(call, Merge):
            return self.merge(call.winner, call.loser, call.request)
        if isinstance(call, Split):
            return self.split(call.merge)
        entity = self.home.get(call.record, "") if isinstance(call, GetRecord) else call.entity
        return self.view(entity)

    def resolve(self, record: str) -> str:
        """Return the entity of a record, founding one where none has its key."""
        if record not in self.home:
            holders = self.holders(record)
            entity = min(holders, key=list(self.into).index) if holders else f"e{len(self.into)}"
            self.into.setdefault(entity, "")
            self.home[record] = entity
        return self.home[record]

    def holders(self, record: str) -> Sequence[str]:
        """Return the entities of which a record has the record's key."""
        return [home for other, home in self.home.items() if key_of(other) == key_of(record)]

    def merge(self, winner: str, loser: str, request: str = "") -> Merged | Refused | Absent:
        """Merge two entities, once for each request that has a name."""
        if request in self.requests:
            merge_id = self.requests[request]
            return Merged(merge_id, self.merges[merge_id].count)
        if winner not in self.into or loser not in self.into:
            return Absent()
        if self.into[winner] or self.into[loser] not in {"", winner}:
            return Refused()
        if self.into[loser] == winner:
            merge_id, standing = next(
                (name, one) for name, one in self.merges.items() if one.loser == loser and one.split is None
            )
            return Merged(merge_id, standing.count)
        moved = [record for record, home in self.home.items() if home == loser]
        merge_id = f"m{len(self.merges)}"
        if request:
            self.requests[request] = merge_id
        self.merges[merge_id] = _Merge(winner, loser, moved, len(moved))
        self.home.update(dict.fromkeys(moved, winner))
        self.into[loser] = winner
        return Merged(merge_id, len(moved))

    def split(self, merge_id: str) -> Restored | Absent:
        """Undo a merge."""
        merge = self.merges.get(merge_id)
        if merge is None:
            return Absent()
        if merge.split is None:
            back, merge.split = list(merge.moved), len(merge.moved)
            self.home.update(dict.fromkeys(back, merge.loser))
            self.into[merge.loser] = ""
            later = list(self.merges.values())
            for one in later[later.index(merge) :]:
                one.moved = [record for record in one.moved if record not in back]
        return Restored(merge.loser, merge.split)

    def view(self, entity: str) -> View | Absent:
        """Return an entity with its records."""
        if entity not in self.into:
            return Absent()
        members = frozenset(record for record, home in self.home.items() if home == entity)
        return View(entity, self.into[entity], members)
