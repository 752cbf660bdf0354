"""Histories whose verdict is known by reasoning: what may happen, and what must not. Values only.

Times are small numbers, a call is a line: from, to, what is asked, what is said (None: nobody knows).
Unless said otherwise `A` is the entity of ann's records, `B` that of bob's, `m` the merge of B into A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tests.identity_histories.calls import (
    Absent,
    Answer,
    Call,
    GetEntity,
    GetRecord,
    History,
    Merge,
    Merged,
    Operation,
    Refused,
    Resolve,
    Resolved,
    Restored,
    Split,
    View,
)

Line = tuple[int, int, Call, Answer | None]


def _history(lines: Sequence[Line]) -> History:
    return [
        Operation(client=number, call=call, called=called, returned=returned, answer=answer)
        for number, (called, returned, call, answer) in enumerate(lines)
    ]


def _told(called: int, returned: int, record: str, entity: str) -> Line:
    return called, returned, Resolve((record,)), Resolved((entity,))


def _seen(called: int, returned: int, record: str, entity: str, members: str, into: str = "") -> Line:
    return called, returned, GetRecord(record), View(entity, into, frozenset(members.split()))


def _nothing(called: int, returned: int, record: str) -> Line:
    return called, returned, GetRecord(record), Absent()


A1: Final = _told(0, 1, "ann/1", "A")
B1: Final = _told(2, 3, "bob/1", "B")
B2: Final = _told(4, 5, "bob/2", "B")
"""Three records of two people, one after another, done at 5."""
THREE: Final = (A1, B1, B2)
MERGED: Final = (6, 7, Merge("A", "B"), Merged("m", 2))
SPLIT: Final = (8, 9, Split("m"), Restored("B", 2))
TOGETHER: Final = "ann/1 bob/1 bob/2"

_GOOD: Final[Mapping[str, Sequence[Line]]] = {
    "a question while the first record is resolved may miss it": (
        _told(0, 10, "ann/1", "A"),
        _nothing(1, 2, "ann/1"),
        _seen(3, 4, "ann/1", "A", "ann/1"),
    ),
    "two records of one key at once are one entity": (
        _told(0, 10, "ann/1", "A"),
        _told(0, 10, "ann/2", "A"),
        _seen(11, 12, "ann/1", "A", "ann/1 ann/2"),
    ),
    "a question while a merge goes on sees before or after": (
        *THREE,
        (6, 20, Merge("A", "B"), Merged("m", 2)),
        _seen(7, 8, "bob/1", "B", "bob/1 bob/2"),
        _seen(9, 10, "bob/1", "A", TOGETHER),
    ),
    "a merge whose answer was lost took effect": (
        *THREE,
        (6, 6, Merge("A", "B"), None),
        _seen(7, 8, "bob/1", "A", TOGETHER),
    ),
    "a merge whose answer was lost took effect long after": (
        *THREE,
        (6, 6, Merge("A", "B"), None),
        _seen(7, 8, "bob/1", "B", "bob/1 bob/2"),
        _seen(9, 10, "bob/1", "A", TOGETHER),
    ),
    "a merge whose answer was lost never took effect": (
        *THREE,
        (6, 6, Merge("A", "B"), None),
        _seen(7, 8, "bob/1", "B", "bob/1 bob/2"),
    ),
    "a request sent again after a split merges nothing": (
        *THREE,
        (6, 7, Merge("A", "B", "r"), Merged("m", 2)),
        SPLIT,
        (10, 11, Merge("A", "B", "r"), Merged("m", 2)),
        _seen(12, 13, "bob/1", "B", "bob/1 bob/2"),
    ),
    "another request may merge what was split": (
        *THREE,
        (6, 7, Merge("A", "B", "r"), Merged("m", 2)),
        SPLIT,
        (10, 11, Merge("A", "B", "s"), Merged("n", 2)),
        _seen(12, 13, "bob/1", "A", TOGETHER),
    ),
    "the same merge twice at once is one merge": (
        *THREE,
        (6, 20, Merge("A", "B"), Merged("m", 2)),
        (6, 20, Merge("A", "B"), Merged("m", 2)),
    ),
    "of two merges of one loser at once the second is refused": (
        *THREE,
        _told(5, 6, "cyd/1", "C"),
        (7, 20, Merge("A", "B"), Refused()),
        (7, 20, Merge("C", "B"), Merged("m", 2)),
    ),
    "a record that came after the merge stays with the winner": (
        *THREE,
        MERGED,
        _told(7, 8, "bob/3", "A"),
        (9, 10, Split("m"), Restored("B", 2)),
        _seen(11, 12, "bob/3", "A", "ann/1 bob/3"),
        _seen(11, 12, "bob/2", "B", "bob/1 bob/2"),
    ),
    "a record whose answer was lost came before the split beside it": (
        *THREE,
        MERGED,
        (8, 8, Resolve(("bob/3",)), None),
        (8, 20, Split("m"), Restored("B", 2)),
        _seen(21, 22, "bob/3", "A", "ann/1 bob/3"),
    ),
    "a record whose answer was lost came after the split beside it": (
        *THREE,
        MERGED,
        (8, 8, Resolve(("bob/3",)), None),
        (8, 20, Split("m"), Restored("B", 2)),
        _seen(21, 22, "bob/3", "B", "bob/1 bob/2 bob/3"),
    ),
    "an entity is not known by its id before it is founded": (
        (0, 1, GetEntity("A"), Absent()),
        _told(2, 3, "ann/1", "A"),
    ),
}

_BAD: Final[Mapping[str, Sequence[Line]]] = {
    "stale read: a record that was resolved is not there": (A1, _nothing(2, 3, "ann/1")),
    "stale read: the loser's record is still in the loser": (
        *THREE,
        MERGED,
        _seen(8, 9, "bob/1", "B", "bob/1 bob/2"),
    ),
    "lost update: a record was resolved, and is founded again": (A1, _told(2, 3, "ann/1", "Z")),
    "lost update: a merge that was confirmed has gone": (
        *THREE,
        MERGED,
        _seen(8, 9, "bob/1", "A", TOGETHER),
        _seen(10, 11, "bob/1", "B", "bob/1 bob/2"),
    ),
    "two entities for one strong key": (_told(0, 10, "ann/1", "A"), _told(0, 10, "ann/2", "Z")),
    "two entities for one strong key, in one batch": (
        (0, 1, Resolve(("ann/1", "ann/2")), Resolved(("A", "Z"))),
    ),
    "one entity for two strong keys": (A1, _told(2, 3, "bob/1", "A")),
    "a split is seen before it was asked for": (
        *THREE,
        MERGED,
        _seen(8, 9, "bob/1", "B", "bob/1 bob/2"),
        (10, 11, Split("m"), Restored("B", 2)),
    ),
    "a merge is seen before it was asked for": (*THREE, _seen(6, 7, "bob/1", "A", TOGETHER), (
        8, 9, Merge("A", "B"), Merged("m", 2),
    )),
    "half a merge: one of the loser's records moved": (
        *THREE,
        (6, 20, Merge("A", "B"), Merged("m", 2)),
        _seen(7, 8, "bob/1", "A", "ann/1 bob/1"),
    ),
    "half a merge: two questions find the loser's records in two places": (
        *THREE,
        MERGED,
        _seen(8, 9, "bob/1", "A", TOGETHER),
        _seen(8, 9, "bob/2", "B", "bob/2"),
    ),
    "half a merge: a record's entity stands for another and is empty": (
        *THREE,
        (6, 20, Merge("A", "B"), Merged("m", 2)),
        _seen(7, 8, "bob/1", "B", "", into="A"),
    ),
    "half a split: one record went back": (
        *THREE,
        MERGED,
        (8, 20, Split("m"), Restored("B", 2)),
        _seen(9, 10, "bob/1", "B", "bob/1"),
    ),
    "resurrected record: it is in the loser again, and nobody split": (
        *THREE,
        MERGED,
        _told(8, 9, "bob/1", "B"),
    ),
    "resurrected merge: split, confirmed, and together again": (
        *THREE,
        MERGED,
        SPLIT,
        _seen(10, 11, "bob/1", "A", TOGETHER),
    ),
    "time goes back: a later question sees less": (
        *THREE,
        (6, 30, Merge("A", "B"), Merged("m", 2)),
        _seen(7, 8, "bob/1", "A", TOGETHER),
        _seen(9, 10, "bob/1", "B", "bob/1 bob/2"),
    ),
    "half a batch is seen": (
        (0, 20, Resolve(("ann/1", "ann/2")), Resolved(("A", "A"))),
        _seen(1, 2, "ann/1", "A", "ann/1"),
    ),
    "a lost merge took effect before it was sent": (
        *THREE,
        _seen(6, 7, "bob/1", "A", TOGETHER),
        (8, 8, Merge("A", "B"), None),
    ),
    "a lost merge took effect, and then not": (
        *THREE,
        (6, 6, Merge("A", "B"), None),
        _seen(7, 8, "bob/1", "A", TOGETHER),
        _seen(9, 10, "bob/1", "B", "bob/1 bob/2"),
    ),
    "a lost merge took effect twice": (
        *THREE,
        (6, 6, Merge("A", "B"), None),
        (7, 8, Merge("A", "B"), Merged("m", 2)),
        (9, 10, Split("m"), Restored("B", 2)),
        (11, 12, Merge("A", "B"), Merged("n", 2)),
        (13, 14, Split("n"), Restored("B", 2)),
        _seen(15, 16, "bob/1", "A", TOGETHER),
        _seen(17, 18, "bob/1", "B", "bob/1 bob/2"),
    ),
    "a request sent again undoes a split": (
        *THREE,
        (6, 7, Merge("A", "B", "r"), Merged("m", 2)),
        SPLIT,
        (10, 11, Merge("A", "B", "r"), Merged("m", 2)),
        _seen(12, 13, "bob/1", "A", TOGETHER),
    ),
    "a request sent again is another merge": (
        *THREE,
        (6, 7, Merge("A", "B", "r"), Merged("m", 2)),
        SPLIT,
        (10, 11, Merge("A", "B", "r"), Merged("n", 2)),
    ),
    "two winners of one loser": (
        *THREE,
        _told(5, 6, "cyd/1", "C"),
        (7, 20, Merge("A", "B"), Merged("m", 2)),
        (7, 20, Merge("C", "B"), Merged("n", 2)),
    ),
    "two merges where there is one": (
        *THREE,
        (6, 20, Merge("A", "B"), Merged("m", 2)),
        (6, 20, Merge("A", "B"), Merged("n", 2)),
    ),
    "a merge is refused for no reason": (*THREE, (6, 7, Merge("A", "B"), Refused())),
    "a merge into what is merged is not refused": (
        *THREE,
        MERGED,
        _told(7, 8, "cyd/1", "C"),
        (9, 10, Merge("B", "C"), Merged("n", 1)),
    ),
    "a split gives back what came later": (
        *THREE,
        MERGED,
        _told(7, 8, "bob/3", "A"),
        (9, 10, Split("m"), Restored("B", 3)),
    ),
    "a split restores another entity": (*THREE, MERGED, (8, 9, Split("m"), Restored("A", 2))),
    "the entity has a new id after a split": (
        *THREE,
        MERGED,
        SPLIT,
        _seen(10, 11, "bob/1", "Z", "bob/1 bob/2"),
    ),
}  # fmt: skip

GOOD: Final = {name: _history(lines) for name, lines in _GOOD.items()}
BAD: Final = {name: _history(lines) for name, lines in _BAD.items()}
