"""The simulated identity service: places records, once and for ever, save for the merges it is told to make."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from tests.simulation.chance import named_uuid

from headwater.kernel.errors import Unavailable
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.reading import Answers, Subject


@dataclass(slots=True)
class Identity:
    """Who is who."""

    seed: int
    placed: dict[RecordKey, uuid.UUID] = field(default_factory=dict)
    merged: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    revision: int = 0

    def place(self, key: RecordKey) -> uuid.UUID:
        """Return the entity of *key*; a record not seen before is a new one. Records of one id are one person."""
        if key not in self.placed:
            self.placed[key] = named_uuid(self.seed, key.tenant_id, key.object, key.external_id)
        return self.placed[key]

    def tell(self, key: RecordKey, entity_id: uuid.UUID) -> None:
        """Take a CRM's record for that of *entity_id*, as its e-mail address would say."""
        self.placed.setdefault(key, self.standing(entity_id))

    def standing(self, entity_id: uuid.UUID) -> uuid.UUID:
        """Return who has the records of *entity_id*, merges followed to their end."""
        while entity_id in self.merged:
            entity_id = self.merged[entity_id]
        return entity_id

    def merge(
        self, tenant_id: str, winner_id: str, loser_id: str, sources: Sequence[str]
    ) -> dict[str, Any] | None:
        """Merge two contacts; return what the event about it says, None where they are one already."""
        winners = [RecordKey(tenant_id, "contact", source, winner_id) for source in sources]
        losers = [RecordKey(tenant_id, "contact", source, loser_id) for source in sources]
        winner, loser = self.place(winners[0]), self.place(losers[0])
        if winner == loser:
            return None
        losers = [key for key in losers if self.place(key) == loser]
        self.revision += 1
        losers += [key for key, held in self.placed.items() if held == loser and key not in losers]
        self.merged[loser] = winner
        for key in losers:
            self.placed[key] = winner
        moved = [
            {"object": key.object, "source": key.source, "external_id": key.external_id} for key in losers
        ]
        return {
            "change": "merged",
            "winner": str(winner),
            "loser": str(loser),
            "object": "contact",
            "merge_id": str(uuid.uuid5(loser, str(winner))),
            "moved": moved,
            "seq": self.revision,
        }


class SimulatedResolver:
    """The port `Resolver`, as one process reaches the service."""

    def __init__(self, identity: Identity, chance: random.Random, absent: Callable[[], float]) -> None:
        self._identity = identity
        self._chance = chance
        self._absent = absent

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:
        """Return the entity of every subject."""
        del tenant_id
        await anyio.sleep(self._chance.uniform(0.001, 0.01))
        if self._chance.random() < self._absent():
            raise Unavailable("identity did not answer")
        placed = {
            subject.key: self._identity.place(subject.key)
            for subject, _ in subjects
            if not subject.match_only or subject.key in self._identity.placed
        }
        answers = Answers(placed, self._identity.revision)
        await anyio.sleep(self._chance.uniform(0.001, 0.01))
        return answers
