"""Capitals in names of people. Pure.

Only what is written in capitals throughout is rewritten: who writes `bell hooks` or `van Gogh` means it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

KEPT: Final = 8192
"""Names at hand."""
LETTERS_MIN: Final = 3
"""Letters that a name in capitals has at least: `AJ` are initials."""

_ALWAYS_SMALL: Final = frozenset({"da", "das", "de", "del", "della", "den", "der", "di", "dos", "du", "van", "von", "zu", "zum", "zur"})  # fmt: skip
"""Particles that are small wherever they stand before a name."""
_SMALL_INSIDE: Final = _ALWAYS_SMALL | {
    "af",
    "al",
    "av",
    "bin",
    "e",
    "el",
    "ibn",
    "la",
    "las",
    "le",
    "los",
    "ten",
    "ter",
    "y",
}
"""Those that are names of their own when they stand first."""
_AS_THEY_ARE: Final = frozenset({"II", "III", "IV", "VI", "VII", "VIII", "MBA", "MD", "DDS", "CPA", "RN"})
_PREFIXED: Final = re.compile(r"(?:mc(?=[^\W\d_]{3})|mac(?=(?:arthur|donald|dougall|gregor|intosh|intyre|kenzie|lachlan|lean|leod|millan|pherson)$)|[od]['\u2019](?=[^\W\d_]{2})|fitz(?=(?:gerald|patrick|simmons|william)$))")  # fmt: skip
"""Beginnings after which a second capital follows."""
_PARTS: Final = re.compile(r"[^\s-]+")


@lru_cache(KEPT)
def person_name(text: str) -> str:
    """Return a name without needless spaces, and in usual letters where it is all capitals; idempotent."""
    tidy = text if text.isalpha() else " ".join(text.split())
    if not tidy.isupper() or sum(map(str.isalpha, tidy)) < LETTERS_MIN:
        return tidy
    words = tidy.split(" ")
    last = len(words) - 1
    written = " ".join(
        _PARTS.sub(lambda part, at=at: _part(part[0], first=at == 0, last=at == last), word)  # type: ignore[misc]
        for at, word in enumerate(words)
    )
    return written if written.casefold() == tidy.casefold() else tidy


def _part(part: str, *, first: bool, last: bool) -> str:
    if part.rstrip(".,") in _AS_THEY_ARE:
        return part
    small = part.lower()
    if not last and small in (_ALWAYS_SMALL if first else _SMALL_INSIDE):
        return small
    found = _PREFIXED.match(small)
    cut = found.end() if found else 0
    return _capital(small[:cut]) + _capital(small[cut:])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
