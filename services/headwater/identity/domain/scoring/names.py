"""How alike two people's names are: given and family name judged together. Pure, symmetric.

One level stands for both parts, since they depend on each other: a swap changes both at once, a
household shares one and not the other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from headwater.identity.domain.normalising.nicknaming import canonical_names
from headwater.identity.domain.scoring.parts import Parts

EXACT, MAILBOX, SHORT, INITIAL, NEAR, DIFFER, MISSING = range(7)
"""Levels of one part: equal; told by the other's mailbox; nickname or shortened; initial; misspelt; another; unknown."""

PART_LEVELS: Final = 7
SWAPPED: Final = PART_LEVELS * PART_LEVELS
"""Level of a name whose parts stand in each other's place."""
LEVELS: Final = SWAPPED + 1
UNKNOWN: Final = MISSING * PART_LEVELS + MISSING
"""Level of two names of which no part can be compared."""
EXACT_NAME: Final = EXACT * PART_LEVELS + EXACT
LABELS: Final = ("exact", "told by mailbox", "short form", "initial", "misspelt", "differs", "unknown")

COMPARED_MAX: Final = 65_536
"""Pairs of values whose level is remembered: candidates repeat the same few names."""

NEAR_SIMILARITY_MIN: Final = 0.88
"""Jaro-Winkler similarity of two spellings of one given name."""
FAMILY_SIMILARITY_MIN: Final = 0.90
"""The same of a family name, of which more are alike."""
_SHORT_CHARS_MIN: Final = 3
_SLIP_CHARS_MIN: Final = 4
_TWO_SLIPS_CHARS_MIN: Final = 7
_PLAIN_WORDS: Final = 4
"""Words of two names of two words each: those are compared part by part."""
_PARTICLE: Final = " "
"""What stands behind `al` or `de`: such a beginning makes names look more alike than they are."""


def compare_names(ours: Parts, theirs: Parts, *, by_mailbox: bool) -> int:
    """Return the level of two names.

    Args:
        by_mailbox: whether a mailbox may speak for its owner's name; not when both have the same one.
    """
    left, right = ours.given, theirs.given
    given = EXACT if left == right and len(left) > 1 else _given_level(left, right)
    first, second = ours.family, theirs.family
    family = EXACT if first == second and first else _family_level(first, second)
    if given == EXACT == family:
        return EXACT_NAME
    if DIFFER in (given, family):
        one_is_equal = left == second or first == right
        if (one_is_equal or not (ours.plain and theirs.plain)) and _are_swapped(ours, theirs):
            return SWAPPED
    if family >= DIFFER and given != EXACT and _parted_otherwise(ours, theirs):
        return SWAPPED
    if by_mailbox:
        spelt, other_spelt = ours.spelt, theirs.spelt
        if given != EXACT:
            word, other = ours.told_given, theirs.told_given
            if (word and word in other_spelt) or (other and other in spelt):
                given = MAILBOX
        if family != EXACT:
            word, other = ours.told_family, theirs.told_family
            if (word and word in other_spelt) or (other and other in spelt):
                family = MAILBOX
    return given * PART_LEVELS + family


def parts_of_level(level: int) -> tuple[int, int]:
    """Return the levels of given and family name; a swap counts as a misspelling of both."""
    return (NEAR, NEAR) if level == SWAPPED else divmod(level, PART_LEVELS)


def describe(level: int) -> str:
    """Return *level* in words."""
    if level == SWAPPED:
        return "given and family name swapped"
    given, family = divmod(level, PART_LEVELS)
    return f"given name {LABELS[given]}, family name {LABELS[family]}"


@lru_cache(COMPARED_MAX)
def _given_level(left: str, right: str) -> int:
    if not left or not right:
        return MISSING
    if left == right:
        return EXACT if len(left) > 1 else INITIAL
    first, second = left.partition(" ")[0], right.partition(" ")[0]
    if len(first) == 1 or len(second) == 1:
        return INITIAL if first[0] == second[0] else DIFFER
    if first == second or canonical_names(first) & canonical_names(second):
        return DIFFER if _behind_differ(left, right) else SHORT
    if left.replace(" ", "") == right.replace(" ", ""):
        return EXACT
    if _misspelt(first, second):
        return NEAR
    if (" " in left) != (" " in right) and (first in right.split() or second in left.split()):
        return SHORT  # the name that one goes by stands second in the other
    return SHORT if _shortened(first, second) else DIFFER


def _behind_differ(left: str, right: str) -> bool:
    """Say whether both names go on, and with other words: initials and slips do not count."""
    one, other = left.split()[1:], right.split()[1:]
    same = aligned_words(one, other)
    if same >= min(len(one), len(other)):
        return False
    return not any(len(word) == 1 for word in (*one, *other))


def _shortened(left: str, right: str) -> bool:
    short, full = sorted((left, right), key=len)
    return len(short) >= _SHORT_CHARS_MIN and full.startswith(short)


@lru_cache(COMPARED_MAX)
def _family_level(left: str, right: str) -> int:
    if not left or not right:
        return MISSING
    if left == right:
        return EXACT
    if len(left) == 1 or len(right) == 1:
        return INITIAL if left[0] == right[0] else DIFFER
    if left.replace(" ", "") == right.replace(" ", ""):
        return EXACT
    if _misspelt(left, right, FAMILY_SIMILARITY_MIN):
        return NEAR
    if " " in left or " " in right:
        return SHORT if _share_word(left, right) else DIFFER
    return DIFFER


def _share_word(left: str, right: str) -> bool:
    words = right.split()
    return any(
        len(one) >= _SHORT_CHARS_MIN and any(one == other or _misspelt(one, other) for other in words)
        for one in left.split()
    )


def is_slip(left: str, right: str) -> bool:
    """Say whether two words differ by slips of the hand: one in four letters or more, two in seven, never a digit."""
    short = min(len(left), len(right))
    if short < _SLIP_CHARS_MIN or not (left.isalpha() and right.isalpha()):
        return left == right
    allowed = 2 if short >= _TWO_SLIPS_CHARS_MIN else 1
    return DamerauLevenshtein.distance(left, right, score_cutoff=allowed) <= allowed


def aligned_words(left: list[str], right: list[str]) -> int:
    """Return how many words of the two lists are equal or a slip apart, each word used once."""
    rest, count = list(right), 0
    for word in left:
        found = word if word in rest else next((other for other in rest if is_slip(word, other)), None)
        if found is not None:
            rest.remove(found)
            count += 1
    return count


def _misspelt(left: str, right: str, similarity_min: float = NEAR_SIMILARITY_MIN) -> bool:
    if left > right:  # the similarity is not symmetric by itself
        left, right = right, left
    return is_slip(left.replace(" ", ""), right.replace(" ", "")) or (
        _PARTICLE not in (left[2:3], right[2:3])
        and JaroWinkler.similarity(left, right, score_cutoff=similarity_min) > 0
    )


def _are_swapped(ours: Parts, theirs: Parts) -> bool:
    """Say whether given and family name stand in each other's place: of plain names one part at least is equal."""
    one = _family_level(ours.given, theirs.family)
    if one > NEAR:
        return False
    other = _family_level(ours.family, theirs.given)
    return other <= NEAR and EXACT in (one, other)


def _parted_otherwise(ours: Parts, theirs: Parts) -> bool:
    """Say whether the two names are the same words, whatever is given and what is family name."""
    if ours.joined == theirs.joined:
        return bool(ours.joined)
    if ours.words == theirs.words:
        return True
    left, right = len(ours.words), len(theirs.words)
    short = min(left, right)
    if short <= 1 or left + right <= _PLAIN_WORDS:
        return False
    return aligned_words(list(ours.words), list(theirs.words)) == short


def are_one_family(left: str, right: str) -> bool:
    """Say whether two family names may be one, misspelt or in part."""
    return _family_level(left, right) <= NEAR
