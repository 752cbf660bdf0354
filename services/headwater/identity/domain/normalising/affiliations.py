"""The institution in a long affiliation: `Department …, University of …, city, country`. Pure.

Rule: `company.affiliation`. An affiliation goes from the inside out, so the institution is the last
segment that names one, universities before what they hold; behind it stands the place.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from headwater.identity.domain.normalising.text import CACHED_MAX, fold


class Affiliation(NamedTuple):
    """The segment that names the institution, and the one behind it, where that may be a city; else empty."""

    institution: str
    place: str


NO_AFFILIATION: Final = Affiliation("", "")


@lru_cache(CACHED_MAX)
def read_affiliation(text: str) -> Affiliation:
    """Return the institution of *text*, where it has several segments and one names an institution."""
    if text.count(",") + text.count(";") < _SEGMENTS_MIN - 1:
        return NO_AFFILIATION
    segments = [segment.strip() for segment in _BREAKS.split(text) if segment.strip()]
    if len(segments) < _SEGMENTS_MIN:
        return NO_AFFILIATION
    words = [frozenset(fold(segment).split()) for segment in segments]
    for kinds in _KINDS:
        found = [n for n, have in enumerate(words) if _names_one(have, kinds)]
        if found:
            return Affiliation(segments[found[-1]], _place(segments, words, found[-1]))
    return NO_AFFILIATION


def _names_one(words: frozenset[str], kinds: tuple[str, ...]) -> bool:
    return not words & _INSIDE and any(word.startswith(kinds) for word in words)


def _place(segments: list[str], words: list[frozenset[str]], institution: int) -> str:
    """Return the segment behind the institution, unless it is the last, the country, or holds a number alone."""
    behind = [
        segment
        for segment, have in zip(segments[institution + 1 :], words[institution + 1 :], strict=True)
        if not have & _INSIDE
    ]
    if len(behind) < _PLACES_MIN:
        return ""
    return _NUMBERS.sub("", behind[0]).strip()


_BREAKS: Final = re.compile(r"[,;]")
_NUMBERS: Final = re.compile(r"\S*\d\S*")
_SEGMENTS_MIN: Final = 3
"""`Acorn, Inc.` and `Smith, Jones` are names, no affiliations."""
_PLACES_MIN: Final = 2
"""City and country; one segment alone is either."""
_INSIDE: Final = frozenset({"department", "dept", "faculty", "division", "section", "unit", "chair"})
"""What these name is inside an institution."""
_KINDS: Final = (
    ("universi", "uniwersyt", "hochschule", "polytech", "politec"),
    (
        "hospital",
        "clinic",
        "klinik",
        "academy",
        "akadem",
        "institut",
        "istitut",
        "inc",
        "ltd",
        "gmbh",
        "corporation",
    ),
    (
        "college",
        "school",
        "center",
        "centre",
        "centro",
        "laborator",
        "museum",
        "agency",
        "ministry",
        "foundation",
    ),
)
"""Beginnings of words that name institutions, those that hold the others first."""
