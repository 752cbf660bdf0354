"""The attributes behind a strong key: a mailbox that no other key has, under a made-up name. Pure.

Keys whose first two letters are alike have name and firm in common. That links their records, and no average tears
apart what somebody merges; but it takes an identifier to make two records one, so the mailbox alone decides.
Keys with other beginnings are unlike in everything.
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


ALIKE_LETTERS: Final = 2
"""Letters of a key that say which keys are alike."""


def attributes_of(record: str) -> dict[str, str]:
    """Return what a record says of its person: the same for every record of a key."""
    key = key_of(record)
    alike = key[:ALIKE_LETTERS]
    drawn = iter(hashlib.sha256(alike.encode()).digest())
    first, last, firm = (_word(drawn) for _ in range(3))
    mark = hashlib.sha256(key.encode()).hexdigest()[:8]
    domain = _word(iter(hashlib.sha256(key.encode()).digest()))
    return {
        "first_name": first.title(),
        "last_name": last.title(),
        "company": f"{firm.title()} {hashlib.sha256(alike.encode()).hexdigest()[:6]}",
        "email": f"{domain}@{domain}{mark}.com",
    }


def _word(drawn: Iterator[int]) -> str:
    syllables = (f"{_pick(_STARTS, drawn)}{_pick(_VOWELS, drawn)}" for _ in range(2))
    return "".join(syllables) + _pick(_ENDS, drawn)


def _pick(parts: Sequence[str], drawn: Iterator[int]) -> str:
    return parts[next(drawn) % len(parts)]
