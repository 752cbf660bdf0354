"""Phone numbers in E.164, read in the record's region. Pure.

Rules: `phone.*`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers

from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, clean
from headwater.identity.domain.normalising.values import Phone
from headwater.policy.normalising.phones import international_number, national_number, plain_number

REGION_DEFAULT: Final = "US"
"""Where a number without country code is read when nothing tells the region."""

_SEQUENCES: Final = ("01234567890123456789", "98765432109876543210")
_BETWEEN: Final = re.compile(r"[;,|/\n]| or ")
_INTERNATIONAL: Final = re.compile(r"^\(?00(?=[1-9])")
_NO_DIGITS: Final = re.compile(r"\D")
_TRUNK: Final = re.compile(r" ?\(0\) ?")
_EXTENSION: Final = re.compile(r" ?(?:ext\.?|x|extension) ?([0-9]{1,7})$", re.IGNORECASE)
_EXTENSION_DIGITS_MAX: Final = 10
_DISTINCT_DIGITS_MIN: Final = 3
_SEQUENCE_DIGITS: Final = 7


NUMBERS_MAX: Final = 3
"""Numbers that are read out of one field."""


def read_phones(raw: str, region: str, note: Note = unheard) -> tuple[Phone, ...]:
    """Return the numbers that one field names, in order, each read in *region* unless it names its country."""
    if not raw:
        return ()
    whole = read_phone(raw, region, note)
    if whole is not None:
        return (whole,)
    pieces = _BETWEEN.split(clean(raw), maxsplit=2 * NUMBERS_MAX)
    if len(pieces) == 1:
        return ()
    return tuple([phone for piece in pieces if (phone := read_phone(piece, region, note))][:NUMBERS_MAX])


def read_phone(raw: str, region: str = REGION_DEFAULT, note: Note = unheard) -> Phone | None:
    """Return the number that *raw* is, or None when it is none; idempotent on E.164."""
    return (_cached if note is unheard else _read)(raw, region, note)


@lru_cache(CACHED_MAX)
def _cached(raw: str, region: str, note: Note) -> Phone | None:
    return _usual(raw, region) or _read(raw, region, note)


def _usual(raw: str, region: str) -> Phone | None:
    """Return what `_read` does for a number in a usual form, at a fraction of the cost; None for all others."""
    found = _USUAL.fullmatch(raw)
    if found is None or _is_filled_in(raw.translate(_MARKS)):
        return None
    main, extension = found["main"], found["extension"] or ""
    if main[0] != "+" and not main.startswith("00"):
        number = national_number(main, region)
        return Phone(number, extension, region) if number and international_number(number[1:]) else None
    plain = f"+{main[2:]}" if main[0] == "0" else main
    number = plain_number(_TRUNK.sub(" ", plain) if "(" in plain else plain)
    return Phone(number, extension) if number else None


_USUAL: Final = re.compile(
    r"(?P<main>(?!\(|000)\+?[0-9][0-9(). -]{5,20}[0-9]|\([1-9][0-9(). -]{5,20}[0-9])"
    r"(?: ?(?:ext\.?|x) ?(?P<extension>[0-9]{1,7}))?"
)
"""A number with nothing about it but an extension."""
_MARKS: Final = {ord(mark): None for mark in "+(). -ext"}


def _read(raw: str, region: str, note: Note) -> Phone | None:
    text = clean(raw)
    if not text or _is_placeholder(text):
        if text:
            note("phone.placeholder", text, "")
        return None
    plain = _INTERNATIONAL.sub("+", text)
    if plain != text:
        note("phone.international_prefix", text, plain)
    found = _number(plain, region)
    if found is None:
        return None
    once, extension = found
    # What reads differently the second time (national prefixes inside, too many zeros) is no number.
    if once != plain and _number(once, region) != (once, ""):
        return None
    if extension:
        note("phone.extension", plain, extension)
    if once != text:
        note("phone.e164", text, once)
    return Phone(once, extension, "" if plain.startswith("+") else region)


def _number(text: str, region: str) -> tuple[str, str] | None:
    """Return the number in E.164 and its extension."""
    tail = _EXTENSION.search(text)
    main = text[: tail.start()] if tail else text
    plain = plain_number(_TRUNK.sub(" ", main)) if main[:1] == "+" else national_number(main, region)
    if plain:
        return plain, tail[1] if tail else ""
    return _parsed(text, region)


def _parsed(text: str, region: str) -> tuple[str, str] | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    e164 = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return e164, str(number.extension or "")[:_EXTENSION_DIGITS_MAX]


def _is_placeholder(text: str) -> bool:
    return _is_filled_in(_NO_DIGITS.sub("", text))


def _is_filled_in(digits: str) -> bool:
    national = digits.lstrip("0")[-10:]
    if len(set(national)) < _DISTINCT_DIGITS_MIN:
        return True
    start = national[:_SEQUENCE_DIGITS]
    return start in _SEQUENCES[0] or start in _SEQUENCES[1]
