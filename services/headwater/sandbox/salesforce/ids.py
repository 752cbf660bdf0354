"""Owns Salesforce record ids: 15 case-sensitive characters and 3 that make them safe to compare without case."""

from __future__ import annotations

import re
from functools import lru_cache

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"^[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?$")
_POD = "5500001"
_SHORT, _FULL = 15, 18

USER_ID_SHORT = "0055500000Hdwtr"


def suffix(short: str) -> str:
    """The three check characters: one per five, its bits telling which of them are capitals."""
    return _check(short[:5]) + _check(short[5:10]) + _check(short[10:])


@lru_cache(maxsize=4096)
def _check(five: str) -> str:
    return _CHECK[sum(1 << place for place, letter in enumerate(five) if letter.isupper())]


def record_id(prefix: str, number: int) -> str:
    """The 18-character id of the record with this number.

    Args:
        prefix: the object's three characters.
        number: 0 .. 62**5 - 1, unique in the org.
    """
    tail = ""
    rest = number
    for _ in range(_SHORT - len(prefix) - len(_POD)):
        rest, digit = divmod(rest, len(_DIGITS))
        tail = _DIGITS[digit] + tail
    short = f"{prefix}{_POD}{tail}"
    return short + suffix(short)


def full(text: str) -> str | None:
    """The 18-character form of an id, or None when it is not one."""
    if not _SHAPE.match(text):
        return None
    short = text[:_SHORT]
    whole = short + suffix(short)
    return whole if len(text) == _SHORT or whole == text else None


USER_ID = USER_ID_SHORT + suffix(USER_ID_SHORT)
"""The one user of every org: owner and author of everything."""
