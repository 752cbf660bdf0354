"""What identity is told of a batch, and where it says that records are.

Identity hears every statement of a record, in the order of the log: what a record says last counts, and its earlier
mailboxes and numbers stay its own. What the log said before, when it is projected again, identity has heard: it is only
asked where those records are, since told again the first statement would stand for the last.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Final

from headwater.sync.domain.correcting import attached_entity, is_attached
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.reading import Answers, Reading, RecordReading, Subject
from headwater.sync.lulls import breathe, gives_way
from headwater.sync.ports import Resolver
from headwater.sync.projector.moments import Moments

ASKED: Final = 32
"""Records that identity is asked about at a time in a bulk turn: it places a tenant's one call after the other."""

Statement = tuple[Subject, uuid.UUID]
"""What an event says of a record, and the event's key."""


@dataclass(frozen=True, slots=True)
class Told:
    """Where records are.

    Args:
        homes: the entities of records.
        revisions: of those that identity told, as of which of its changes it did.
    """

    homes: dict[RecordKey, uuid.UUID] = field(default_factory=dict)
    revisions: dict[RecordKey, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Statements:
    """What the events of one tenant say, in the order of the log.

    Args:
        again: identity has heard it. news: it has not.
    """

    again: list[Statement] = field(default_factory=list)
    news: list[Statement] = field(default_factory=list)
    last: dict[RecordKey, Subject] = field(default_factory=dict)
    """Of each record, so that what is said twice is told once."""

    def add(self, subject: Subject, event_key: uuid.UUID, *, again: bool) -> None:
        """Take a statement in, unless it says what the one before it said."""
        if self.last.get(subject.key) != subject:
            self.last[subject.key] = subject
            (self.again if again else self.news).append((subject, event_key))


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks identity about batches.

    Args:
        moments: says what the log said before; None where it is projected once.
    """

    resolver: Resolver
    moments: Moments | None = None

    async def resolve(self, readings: Sequence[Reading]) -> Told:
        """Return where the records of a batch are, those that match nobody left out. Raises: Unavailable."""
        found = Told(dict(await self.moments.placed(readings)) if self.moments is not None else {})
        for tenant_id, said in self._statements(readings, found).items():
            if said.again:
                heard = {subject.key: event_key for subject, event_key in said.again}
                where = [(Subject(key, {}, match_only=True), event_key) for key, event_key in heard.items()]
                await self._ask(tenant_id, where, found)
            news = [item for item in said.again if item[0].key not in found.homes] + said.news
            await self._ask(tenant_id, news, found)
        return found

    def _statements(self, readings: Sequence[Reading], found: Told) -> dict[str, _Statements]:
        placed = frozenset(found.homes)
        by_tenant: dict[str, _Statements] = {}
        for reading in readings:
            if not isinstance(reading, RecordReading):
                continue
            event = reading.event
            again = self.moments is not None and self.moments.is_again(event)
            for subject in reading.subjects:
                if subject.key in placed:
                    continue
                if is_attached(subject.key):  # names its entity itself
                    found.homes[subject.key] = attached_entity(subject.key)
                    continue
                by_tenant.setdefault(event.tenant_id, _Statements()).add(
                    subject, event.event_key, again=again
                )
        return by_tenant

    async def _ask(self, tenant_id: str, statements: Sequence[Statement], found: Told) -> None:
        async for answers in self._answers(tenant_id, statements):
            found.homes.update(answers.homes)
            found.revisions.update(dict.fromkeys(answers.homes, answers.revision))

    async def _answers(self, tenant_id: str, statements: Sequence[Statement]) -> AsyncGenerator[Answers]:
        step = ASKED if gives_way() else max(1, len(statements))
        for start in range(0, len(statements), step):
            if start:
                await breathe()
            yield await self.resolver.resolve(tenant_id, statements[start : start + step])
