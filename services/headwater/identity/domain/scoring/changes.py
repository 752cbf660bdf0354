"""What differs between two sets of weights, level by level, in bits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headwater.identity.domain.scoring import comparing as c
from headwater.identity.domain.scoring.names import UNKNOWN
from headwater.identity.domain.scoring.scores import PRIOR, level_name
from headwater.identity.domain.scoring.weights import RARITIES, Weights


@dataclass(frozen=True, slots=True)
class LevelChange:
    """One level's bits in two sets of weights.

    Args:
        level: in words; empty for the prior.
        before: of a field that had no weights of its own, those it was weighed by.
    """

    field: str
    level: str
    before: float
    after: float

    @property
    def moved(self) -> float:
        """By how many bits it moves."""
        return abs(self.after - self.before)


def changes(before: Weights, after: Weights) -> list[LevelChange]:
    """Return every level of *after* beside what it was before: the prior first, then by field."""
    found = [LevelChange(PRIOR, "", before.prior_bits, after.prior_bits)]
    for name, one in sorted(after.fields.items()):
        if name in RARITIES:
            continue
        ours = _bits_before(name, before, one.bits)
        for level, bits in enumerate(one.bits):
            if not (name == c.NAME and level == UNKNOWN):
                found.append(LevelChange(name, level_name(name, level), ours[level], bits))
    return found


def moved_most(found: Sequence[LevelChange]) -> LevelChange:
    """Return the level that moves furthest."""
    return max(found, key=lambda one: one.moved)


def _bits_before(name: str, before: Weights, after: Sequence[float]) -> Sequence[float]:
    """Return a field's bits; one without weights of its own was weighed as a text or a code, whichever is nearer."""
    if name in before.fields:
        return before.fields[name].bits
    both = [before.fields[one].bits for one in (c.TEXT, c.CODE)]
    return min(both, key=lambda bits: sum(abs(x - y) for x, y in zip(bits, after, strict=False)))
