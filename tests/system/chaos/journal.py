"""What a writer asked and what it was told: the truth that the database is held against. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """A source record."""

    source: str
    object: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as it was asked to be recorded, any number of times.

    Args:
        request_id: the key; always with this content.
        version: number of the change of its record, from 1; also written into a field of it.
    """

    request_id: str
    place: Place
    version: int
    event_time_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What ingest said of one key once."""

    disposition: str
    event_key: str


@dataclass(slots=True)
class Journal:
    """Everything asked and answered, by key."""

    sent: dict[str, Sent] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    unknown: dict[str, list[str]] = field(default_factory=dict)

    def asked(self, item: Sent) -> None:
        """Note that *item* is about to be sent, for the first time or again."""
        self.sent[item.request_id] = item

    def answered(self, request_id: str, answer: Answer) -> None:
        """Note an answer."""
        self.answers.setdefault(request_id, []).append(answer)

    def lost(self, items: Iterable[Sent], reason: str) -> None:
        """Note that nobody knows whether *items* are recorded."""
        for item in items:
            self.unknown.setdefault(item.request_id, []).append(reason)

    def is_settled(self, request_id: str) -> bool:
        """Return whether a key was answered."""
        return request_id in self.answers

    def newest_versions(self) -> dict[Place, int]:
        """Return the highest acknowledged version of every record."""
        newest: dict[Place, int] = {}
        for request_id in self.answers:
            item = self.sent[request_id]
            newest[item.place] = max(item.version, newest.get(item.place, 0))
        return newest
