"""Whether two people's names can be one person's. Pure; reads normalised names only."""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final

from headwater.identity.domain.normalising.nicknaming import canonical_names
from headwater.identity.domain.normalising.values import PersonName

GIVEN_RATIO_MIN: Final = 0.5
"""Two given names of one surname at least this alike (difflib) may be one, misspelt or shortened."""
FAMILY_RATIO_MIN: Final = 0.75
"""Two surnames at least this alike may be one, misspelt; the given names then decide."""


def given_names_agree(ours: str, theirs: str) -> bool:
    """Say whether two given names, both known, can be one person's: equal, initial, short or nickname."""
    if not ours or not theirs:
        return False
    left, right = ours.split(maxsplit=1)[0], theirs.split(maxsplit=1)[0]
    if left.startswith(right) or right.startswith(left):
        return True
    return not canonical_names(left).isdisjoint(canonical_names(right))


def family_names_agree(ours: str, theirs: str) -> bool:
    """Say whether two family names, both known, can be one person's: a shared word, an initial, a beginning."""
    if not ours or not theirs:
        return False
    if ours.startswith(theirs) or theirs.startswith(ours):
        return True
    return bool(set(ours.split()) & set(theirs.split()))


def given_names_conflict(ours: str, theirs: str) -> bool:
    """Say whether two given names, both known, are two people's: they neither agree nor look misspelt."""
    if not ours or not theirs or given_names_agree(ours, theirs):
        return False
    return not _look_misspelt(ours, theirs, GIVEN_RATIO_MIN)


def _look_misspelt(ours: str, theirs: str, ratio_min: float) -> bool:
    left, right = sorted((ours, theirs))
    return SequenceMatcher(None, left, right, autojunk=False).ratio() >= ratio_min


@lru_cache(maxsize=16_384)
def are_strangers(ours: PersonName, theirs: PersonName) -> bool:
    """Say whether two names cannot be one person's; symmetric.

    Unknown surnames never conflict, swapped parts agree. Different surnames need a given name that
    explains them (marriage, a misspelling); one surname with two given names is a household.
    """
    if not ours.family or not theirs.family or ours == theirs:
        return False
    if given_names_agree(ours.given, theirs.family) and family_names_agree(ours.family, theirs.given):
        return False
    if given_names_agree(ours.family, theirs.given) and family_names_agree(ours.given, theirs.family):
        return False
    alike = family_names_agree(ours.family, theirs.family)
    if alike or _look_misspelt(ours.family, theirs.family, FAMILY_RATIO_MIN):
        return given_names_conflict(ours.given, theirs.given)
    return not given_names_agree(ours.given, theirs.given)
