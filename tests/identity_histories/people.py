"""The attributes behind a strong key: one made-up person each, unlike every other in all of them. Pure.

A record has all the keys of its person or none, so that exact and fuzzy resolving agree on whose it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from tests.identity_histories.calls import key_of

SOURCE: Final = "crm"
OBJECT: Final = "contact"

_STARTS: Final = (
    "b",
    "br",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "st",
    "tr",
    "v",
    "z",
)
_VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ei", "ou")
_ENDS: Final = ("b", "ck", "d", "f", "g", "l", "m", "n", "nd", "p", "rk", "rn", "st", "t", "v", "x", "z")


def attributes_of(record: str) -> dict[str, str]:
    """Return what a record says of its person: the same for every record of a key."""
    key = key_of(record)
    drawn = iter(hashlib.sha256(key.encode()).digest())
    first, last, firm = (_word(drawn) for _ in range(3))
    mark = hashlib.sha256(key.encode()).hexdigest()[:8]
    return {
        "first_name": first.title(),
        "last_name": last.title(),
        "email": f"{first}.{last}@{firm}{mark}.com",
        "linkedin_url": f"https://www.linkedin.com/in/{first}-{last}-{mark}",
    }


def _word(drawn: Iterator[int]) -> str:
    syllables = (f"{_pick(_STARTS, drawn)}{_pick(_VOWELS, drawn)}" for _ in range(2))
    return "".join(syllables) + _pick(_ENDS, drawn)


def _pick(parts: Sequence[str], drawn: Iterator[int]) -> str:
    return parts[next(drawn) % len(parts)]
