"""What may be done with a score: merge in a CRM, link inside, ask a person, or nothing. Pure.

Linking is free and reversible; a merge written into a CRM is neither, so it asks for an identifier
that one thing only has, a name that fits, and no conflict, whatever the score. A number alone may be a family's or a
house's: names and job titles must say who of them it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from headwater.identity.domain.clustering.conflicts import (
    conflict,
    names_fit,
    tells_who,
)
from headwater.identity.domain.clustering.linkage import Edges, Members
from headwater.identity.domain.scoring.parts import Parts

MERGE_BITS_MIN: Final = 10.0
"""Source: identity research, 4: with the rest of the rule, precision 0.9997."""
REVIEW_BITS_MIN: Final = 6.0
NUMBER_ALONE: Final = "number_alone"
"""Names what stands against a merge where a number is all that ties two people and it may be of two."""
_NUMBER: Final = "phone"
_NAMING: Final = frozenset({"email", "linkedin", "official_id", "domain"})
"""Kinds of identifier that name a record which tells no name: a number alone may be anybody's at home."""


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
        if bits < 0.0:
            return False
        ours, theirs = self.parts[one], self.parts[other]
        tie = self.tie(ours, theirs)
        if not tie:
            return False
        if bits < MERGE_BITS_MIN and not (bits >= 0.0 and tie in _NAMING and _nameless(ours, theirs)):
            return False
        return not _is_number_alone(tie, ours, theirs) and self.compatible(one, other)

    def compatible(self, one: str, other: str) -> bool:
        """Say whether nothing stands against two records being one thing."""
        ours, theirs = self.parts[one], self.parts[other]
        return not conflict(ours, theirs) and names_fit(ours, theirs)

    def unites(self, left: Members, right: Members, by: tuple[str, str]) -> bool:
        """Say whether nothing stands against two parts being one thing.

        Args:
            by: the pair that ties them. Where one of it tells no name, it could be of several: all names must fit.
        """
        ours, theirs = self.parts[by[0]], self.parts[by[1]]
        stands = self.compatible if _nameless(ours, theirs) else self._consistent
        return all(stands(one, other) for one in left for other in right)

    def _consistent(self, one: str, other: str) -> bool:
        return not conflict(self.parts[one], self.parts[other])

    def weakness(self, ours: Parts, theirs: Parts) -> str:
        """Return why what ties two records does not tie them firmly, or nothing."""
        return NUMBER_ALONE if _is_number_alone(self.tie(ours, theirs), ours, theirs) else ""

    def tie(self, ours: Parts, theirs: Parts) -> str:
        """Return the kind of the identifier that both have and no stranger shares, or nothing."""
        key = self.strong_key(ours, theirs)
        return key[0] if key is not None else ""

    def strong_key(self, ours: Parts, theirs: Parts) -> tuple[str, str] | None:
        """Return an identifier that both have and no stranger shares; a number only where there is no other.

        Records tell their identifiers in any order, and what ties them must not depend on it.
        """
        others = theirs.strong
        number = None
        for key in ours.strong:
            if key in others and key[1] not in self.shared:
                if key[0] != _NUMBER:
                    return key
                number = number or key
        return number


def _is_number_alone(tie: str, ours: Parts, theirs: Parts) -> bool:
    return tie == _NUMBER and not (ours.account or tells_who(ours, theirs))


def _nameless(ours: Parts, theirs: Parts) -> bool:
    """Say whether one of two records tells no name: its identifier is all there is to go by."""
    return (
        not (ours.organisation and theirs.organisation) if ours.account else not (ours.words and theirs.words)
    )


_PAIR: Final = 2
"""Records of most groups: what allows their pair unites them, there is no one else to stand against it."""


def mergeable(
    group: Members, edges: Edges, merging: Merging, standing: Iterable[Members] = ()
) -> list[Members]:
    """Part a group into what may be one record in a CRM: connected by pairs that allow it, none in conflict.

    Args:
        standing: records of the group that are one entity already: that stays, whatever is known now.
    """
    if len(group) == 1:
        return [group]
    if len(group) == _PAIR and not standing:
        one, other = group
        allowed = merging.allows(one, other, edges.get(one, {}).get(other, 0.0))
        return [group] if allowed else [(one,), (other,)]
    part_of: dict[str, Members] = {record: (record,) for record in group}
    for members in standing:
        part_of.update(dict.fromkeys(members, tuple(sorted(members))))
    pairs = ((edges.get(one, {}).get(other, 0.0), one, other) for one, other in combinations(group, 2))
    for bits, one, other in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        left, right = part_of[one], part_of[other]
        if left is right or not merging.allows(one, other, bits):
            continue
        if not merging.unites(left, right, by=(one, other)):
            continue
        united = tuple(sorted(left + right))
        part_of.update(dict.fromkeys(united, united))
    return sorted(set(part_of.values()))
