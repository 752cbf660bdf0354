"""The directory between the service and the process that learns: one object's records, answers, and what comes of it.

Records stand in their stored form behind their length, so neither side holds more than a batch of them as bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from headwater.identity.domain.scoring.answers import Answer
from headwater.identity.domain.scoring.changes import LevelChange
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.stored import load
from headwater.identity.domain.teaching import Bounds, Lesson, Outcome

_LENGTH: Final = struct.Struct("<I")


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one process learns.

    Args:
        number: that the new weights get; active_number: of those that they are held against.
        shared: generic values. seed: of chance. population: of which the records are a sample.
    """

    object: str
    number: int
    active_number: int
    shared: tuple[str, ...]
    seed: int
    population: int
    pairs_min: int
    answers_min: int
    moved_bits_max: float
    moved_bits_min: float

    @property
    def bounds(self) -> Bounds:
        """The guards."""
        return Bounds(self.pairs_min, self.answers_min, self.moved_bits_max, self.moved_bits_min)


class StoredAnswer(msgspec.Struct, array_like=True, frozen=True):
    """A pair that a person judged, in its stored form."""

    ours: bytes
    theirs: bytes
    same: bool
    held: bool


class _Level(msgspec.Struct, array_like=True, frozen=True):
    field: str
    level: str
    before: float
    after: float


class Told(msgspec.Struct, frozen=True):
    """A lesson on paper; its weights are in a file of their own."""

    outcome: str
    records: int
    pairs: int
    answers: int
    held: int
    agreed_before: int
    agreed_after: int
    findings: tuple[str, ...]
    levels: tuple[_Level, ...]
    from_answers: bool


@dataclass(frozen=True, slots=True)
class Spool:
    """One directory."""

    directory: Path

    def append_records(self, stored: Iterable[bytes]) -> None:
        """Add records."""
        with (self.directory / "records").open("ab") as file:
            file.writelines(_LENGTH.pack(len(one)) + one for one in stored)

    def read_records(self) -> Iterator[Parts]:
        """Yield the records."""
        path = self.directory / "records"
        if not path.exists():
            return
        with path.open("rb") as file:
            while head := file.read(_LENGTH.size):
                yield load(file.read(_LENGTH.unpack(head)[0]))

    def write_task(self, task: Task, answers: Sequence[StoredAnswer], active: bytes) -> None:
        """Write what is to be done; *active* is the body that new weights are held against."""
        (self.directory / "answers").write_bytes(msgspec.msgpack.encode(list(answers)))
        (self.directory / "active").write_bytes(active)
        (self.directory / "task").write_bytes(msgspec.msgpack.encode(task))

    def read_task(self) -> Task:
        """Return what is to be done."""
        return msgspec.msgpack.decode((self.directory / "task").read_bytes(), type=Task)

    def read_answers(self) -> list[Answer]:
        """Return the answers."""
        stored = msgspec.msgpack.decode((self.directory / "answers").read_bytes(), type=list[StoredAnswer])
        return [Answer(load(one.ours), load(one.theirs), one.same, one.held) for one in stored]

    def read_active(self) -> bytes:
        """Return the body of the active weights."""
        return (self.directory / "active").read_bytes()

    def write_lesson(self, lesson: Lesson, body: bytes) -> None:
        """Write what was learnt; an empty body where there are no weights."""
        told = Told(
            lesson.outcome.value,
            lesson.records,
            lesson.pairs,
            lesson.answers,
            lesson.held,
            lesson.agreed_before,
            lesson.agreed_after,
            lesson.findings,
            tuple(_Level(one.field, one.level, one.before, one.after) for one in lesson.levels),
            lesson.from_answers,
        )
        (self.directory / "weights").write_bytes(body)
        (self.directory / "lesson").write_bytes(msgspec.msgpack.encode(told))

    def read_lesson(self) -> tuple[Lesson, bytes]:
        """Return what was learnt, its weights as a body, which may be empty."""
        told = msgspec.msgpack.decode((self.directory / "lesson").read_bytes(), type=Told)
        levels = tuple(LevelChange(one.field, one.level, one.before, one.after) for one in told.levels)
        lesson = Lesson(
            Outcome(told.outcome),
            None,
            told.records,
            told.pairs,
            told.answers,
            told.held,
            told.agreed_before,
            told.agreed_after,
            told.findings,
            levels,
            told.from_answers,
        )
        return lesson, (self.directory / "weights").read_bytes()
