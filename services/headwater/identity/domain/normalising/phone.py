"""Phone numbers in E.164, read in the record's region. Pure.

Rules: `phone.*`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

import phonenumbers

from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, clean
from headwater.identity.domain.normalising.values import Phone

REGION_DEFAULT: Final = "US"
"""Where a number without country code is read when nothing tells the region."""

_SEQUENCES: Final = ("01234567890123456789", "98765432109876543210")
_PLAIN: Final = re.compile(r"\+[1-9](?:[ -]?[0-9]){6,14}")
_BETWEEN: Final = re.compile(r"[;,|/\n]| or ")
_INTERNATIONAL: Final = re.compile(r"^\(?00(?=[1-9])")
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
    return _read(raw, region, note)


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
    plain = _plain(text)
    return (plain, "") if plain else _parsed(text, region)


def _plain(text: str) -> str | None:
    """Return a number that is written with its country code and leaves nothing to read into it; None for others.

    The library comes to the same, at many times the cost: it looks for extensions, prefixes and carriers.
    """
    if not _PLAIN.fullmatch(text):
        return None
    digits = text[1:].replace(" ", "").replace("-", "")
    for length in (1, 2, 3):
        shape = _shape(digits[:length])
        if shape is not None:
            national = digits[length:]
            plain = len(national) in shape.lengths and national[0] != "0"
            return f"+{digits}" if plain and not shape.prefix.match(national) else None
    return None


class _Shape(NamedTuple):
    """How the numbers of a country code look: digits behind the code, and what may be dropped before them."""

    lengths: frozenset[int]
    prefix: re.Pattern[str]


@cache
def _shape(code: str) -> _Shape | None:
    """Return the shape of a country code's numbers; None for what is no country code."""
    region = phonenumbers.region_code_for_country_code(int(code))
    known = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if known is None or known.general_desc is None:
        return None
    return _Shape(
        frozenset(known.general_desc.possible_length),
        re.compile(known.national_prefix_for_parsing or r"(?!)"),
    )


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
    digits = "".join(c for c in text if c.isdigit())
    national = digits.lstrip("0")[-10:]
    if len(set(national)) < _DISTINCT_DIGITS_MIN:
        return True
    return any(national[:_SEQUENCE_DIGITS] in sequence for sequence in _SEQUENCES)
