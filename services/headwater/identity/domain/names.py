"""Names of people and companies, folded; and whether two people's names can be one person's. Pure.

Rules, by name: `fold`, `title`, `generation`, `degree`, `placeholder`, `legal_form`.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final, NamedTuple

from headwater.identity.domain import name_tables
from headwater.identity.domain.text import clean, fold

GIVEN_RATIO_MIN: Final = 0.5
"""Two given names of one surname at least this alike (difflib) may be one, misspelt or shortened."""
FAMILY_RATIO_MIN: Final = 0.75
"""Two surnames at least this alike may be one, misspelt; the given names then decide."""


class PersonName(NamedTuple):
    """A person's name; parts that are not known are empty."""

    given: str = ""
    family: str = ""
    generation: str = ""


NO_NAME: Final = PersonName()


def _nickname_rows() -> dict[str, frozenset[int]]:
    rows: dict[str, set[int]] = {}
    for number, row in enumerate(name_tables.NICKNAMES):
        for name in row.split():
            rows.setdefault(name, set()).add(number)
    return {name: frozenset(numbers) for name, numbers in rows.items()}


_NICKNAME_ROWS: Final = _nickname_rows()


@lru_cache(maxsize=65_536)
def normalise_person(first: str, last: str, full: str) -> PersonName:
    """Return the folded name from its parts or, where both are missing, from the full name."""
    if not first.strip() and not last.strip():
        first, last = _split(clean(full))
    given, generation_given = _words(first)
    family, generation = _words(last)
    return PersonName(" ".join(given), " ".join(family), generation or generation_given)


def _split(full: str) -> tuple[str, str]:
    """Part a full name into given and family name: `Family, Given` or `Given … Family`."""
    if "," in full:
        family, _, given = full.partition(",")
        if fold(given) not in name_tables.GENERATIONS and fold(given) not in name_tables.DEGREES:
            return given, family
        full = f"{family} {given}"
    words = full.split()
    tail: list[str] = []
    while len(words) > 1 and fold(words[-1]) in {*name_tables.GENERATIONS, *name_tables.DEGREES}:
        tail.insert(0, words.pop())
    if len(words) == 1:
        return words[0], " ".join(tail)
    return " ".join(words[:-1]), " ".join([*words[-1:], *tail])


def _words(raw: str) -> tuple[list[str], str]:
    words = fold(clean(raw)).split()
    generation = ""
    while words and words[0] in name_tables.TITLES:
        words.pop(0)
    while words and (words[-1] in name_tables.GENERATIONS or words[-1] in name_tables.DEGREES):
        generation = name_tables.GENERATIONS.get(words.pop(), generation)
    return ([], "") if " ".join(words) in name_tables.PLACEHOLDER_NAMES else (words, generation)


@lru_cache(maxsize=65_536)
def normalise_company(raw: str) -> str:
    """Return the company's name without article and legal forms, never stripped to nothing; idempotent."""
    words = _joined_initials(fold(clean(raw)).split())
    while len(words) > 1 and words[0] == "the":
        words.pop(0)
    while len(words) > 1 and words[-1] in name_tables.LEGAL_FORMS | name_tables.LEGAL_LINKS:
        words.pop()
    name = " ".join(words)
    return "" if name in name_tables.PLACEHOLDER_NAMES else name


def _joined_initials(words: list[str]) -> list[str]:
    """Join single letters in a row, so that `b v` reads `bv`."""
    joined: list[str] = []
    initials = ""
    for word in [*words, ""]:
        if len(word) == 1 and word.isalpha():
            initials += word
            continue
        if initials:
            joined.append(initials)
            initials = ""
        if word:
            joined.append(word)
    return joined


def given_names_agree(ours: str, theirs: str) -> bool:
    """Say whether two given names, both known, can be one person's: equal, initial, short or nickname."""
    if not ours or not theirs:
        return False
    left, right = ours.split(maxsplit=1)[0], theirs.split(maxsplit=1)[0]
    if left.startswith(right) or right.startswith(left):
        return True
    return bool(_NICKNAME_ROWS.get(left, frozenset()) & _NICKNAME_ROWS.get(right, frozenset()))


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


@lru_cache(maxsize=65_536)
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
