"""Dates of birth. Pure.

Rules: `date.*`.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final

from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, clean, fold
from headwater.identity.domain.normalising.values import BirthDate

YEAR_MIN: Final = 1850
YEAR_MAX: Final = 2100
MONTH_FIRST_REGIONS: Final = frozenset({"US", "PH", "PR", "GU", "FM", "MH", "PW"})
"""Where people write the month before the day (Unicode CLDR, short date patterns)."""
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OTHER_MONTHS: Final = {"mrz": 3, "maerz": 3, "marz": 3, "mai": 5, "okt": 10, "dez": 12}
_PLACEHOLDERS: Final = frozenset({"1900-01-01", "1901-01-01", "1970-01-01", "2000-01-01", "1899-12-30", "1899-12-31"})
_YEAR_FIRST: Final = re.compile(r"(\d{4})\D?(\d{1,2})\D?(\d{1,2})(?:[ T].*)?")
_YEAR_LAST: Final = re.compile(r"(\d{1,2})\D(\d{1,2})\D(\d{4})")


@lru_cache(CACHED_MAX)
def read_birth_date(raw: str, region: str) -> BirthDate | None:
    """Return the day, or None when *raw* is none; idempotent on the ISO form."""
    return birth_date_of(raw, region)


def birth_date_of(raw: str, region: str, note: Note = unheard) -> BirthDate | None:
    """Return what `read_birth_date` does, and tell *note* which rules changed something."""
    text = clean(raw)
    parts = _parts(text, region)
    iso = _iso(*parts) if parts else ""
    if not parts or not iso:
        return None
    if iso in _PLACEHOLDERS:
        note("date.placeholder", text, "")
        return None
    if iso != text:
        note("date.form", text, iso)
    year, month, day = parts
    return BirthDate(iso, _iso(year, day, month) if day != month else "")


def _parts(text: str, region: str) -> tuple[int, int, int] | None:
    """Return year, month and day as the text has them."""
    if not text.isascii():
        return _named(text)
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, day = (int(part) for part in match.groups())
        return year, month, day
    if match := _YEAR_LAST.fullmatch(text):
        first, second, year = (int(part) for part in match.groups())
        month, day = (first, second) if region in MONTH_FIRST_REGIONS else (second, first)
        return (year, month, day) if _iso(year, month, day) else (year, day, month)
    return _named(text)


def _named(text: str) -> tuple[int, int, int] | None:
    """Read a date whose month is a word."""
    words = fold(text).split()
    numbers = [int(word.rstrip("stndrh")) for word in words if word.rstrip("stndrh").isdigit()]
    months = [found for word in words if (found := _month(word))]
    if len(words) != 3 or len(numbers) != 2 or len(months) != 1:  # noqa: PLR2004 - day, month, year
        return None
    return max(numbers), months[0], min(numbers)


def _month(word: str) -> int:
    if word in _OTHER_MONTHS:
        return _OTHER_MONTHS[word]
    return _MONTHS.index(word[:3]) + 1 if word[:3] in _MONTHS and word.isalpha() else 0


def _iso(year: int, month: int, day: int) -> str:
    try:
        found = date(year, month, day)
    except (ValueError, OverflowError):
        return ""
    return found.isoformat() if YEAR_MIN <= year <= YEAR_MAX else ""
