"""What may be done with a score: merge in a CRM, link inside, ask a person, or nothing. Pure.

Linking is free and reversible; a merge written into a CRM is neither, so it asks for an identifier
that one thing only has, a name that fits, and no conflict, whatever the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from headwater.identity.domain.clustering.conflicts import conflict, names_fit
from headwater.identity.domain.clustering.linkage import Edges, Members
from headwater.identity.domain.scoring.parts import Parts

MERGE_BITS_MIN: Final = 10.0
"""Source: identity research, 4: with the rest of the rule, precision 0.9997."""
REVIEW_BITS_MIN: Final = 6.0


class Tier(StrEnum):
    """What a record's best match allows, strongest first."""

    MERGE = "merge"
    LINK = "link"
    REVIEW = "review"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Merging:
    """What the merge rule reads: the records' parts and the generic values."""

    parts: Mapping[str, Parts]
    shared: AbstractSet[str]

    def allows(self, one: str, other: str, bits: float) -> bool:
        """Say whether a pair may be merged in a CRM."""
        ours, theirs = self.parts[one], self.parts[other]
        if bits < MERGE_BITS_MIN or not self.strong_key(ours, theirs):
            return False
        return not conflict(ours, theirs) and names_fit(ours, theirs)

    def strong_key(self, ours: Parts, theirs: Parts) -> tuple[str, str] | None:
        """Return the first identifier that both have and no stranger shares."""
        return next((key for key in ours.strong if key in theirs.strong and key[1] not in self.shared), None)


def tier_of(one: str, other: str, bits: float, merging: Merging, *, linked: bool) -> Tier:
    """Return the tier of a pair.

    Args:
        linked: whether the two are in one entity.
    """
    if linked:
        return Tier.MERGE if merging.allows(one, other, bits) else Tier.LINK
    return Tier.REVIEW if bits >= REVIEW_BITS_MIN else Tier.NEW


def mergeable(group: Members, edges: Edges, merging: Merging) -> list[Members]:
    """Part an entity into what may be one record in a CRM: connected by pairs that allow it, none in conflict."""
    part_of: dict[str, Members] = {record: (record,) for record in group}
    pairs = ((edges.get(one, {}).get(other, 0.0), one, other) for one, other in combinations(group, 2))
    for bits, one, other in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        left, right = part_of[one], part_of[other]
        if left is right or not merging.allows(one, other, bits):
            continue
        if any(conflict(merging.parts[a], merging.parts[b]) for a in left for b in right):
            continue
        united = tuple(sorted(left + right))
        part_of.update(dict.fromkeys(united, united))
    return sorted(set(part_of.values()))
