"""Which entities a newer policy holds for while it is staged: a few that are named, then a growing share. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

DRAW_MAX: Final = 2**63 - 1
"""The last place of an entity in the order of a change: a share up to it is everything."""
NONE_DRAWN: Final = -1
"""Before every place: a share up to it is nothing."""


@dataclass(frozen=True, slots=True)
class Share:
    """The entities of one stage.

    Args:
        change_id: the change that is staged.
        stage: from 0.
        seed: by which its entities are drawn.
        upto: the last place in the order of the draw that is of the stage, `NONE_DRAWN` to `DRAW_MAX`.
        entities: of the stage whatever their place.
        rate_per_s: how many of them are renewed in a second, at most.
    """

    change_id: uuid.UUID
    stage: int
    seed: uuid.UUID
    upto: int = NONE_DRAWN
    entities: frozenset[uuid.UUID] = frozenset()
    rate_per_s: float = 20.0

    def holds(self, entity_id: uuid.UUID) -> bool:
        """Return whether an entity is of the stage: the same at every call, in every process."""
        return entity_id in self.entities or draw(self.seed, entity_id) <= self.upto


def draw(seed: uuid.UUID, entity_id: uuid.UUID) -> int:
    """Return the place of an entity in the order of a change: 63 bits, the same at every call."""
    digest = blake2b(entity_id.bytes, key=seed.bytes, digest_size=8).digest()
    return int.from_bytes(digest) >> 1
