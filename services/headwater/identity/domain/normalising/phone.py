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
_NATIONAL: Final = re.compile(r"(?:1[ .-]?)?\(?[0-9]{2,5}\)?[ .-]?[0-9]{3,8}(?:[ .-]?[0-9]{3,5})?")
_NO_DIGITS: Final = re.compile(r"\D")
_SEPARATORS: Final = re.compile(r"[^0-9]")
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
        number = _national(main, region)
        return Phone(number, extension, region) if number and _international(number[1:]) else None
    plain = f"+{main[2:]}" if main[0] == "0" else main
    number = _plain(_TRUNK.sub(" ", plain) if "(" in plain else plain)
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
    plain = _plain(_TRUNK.sub(" ", main)) if main[:1] == "+" else _national(main, region)
    if plain:
        return plain, tail[1] if tail else ""
    return _parsed(text, region)


def _plain(text: str) -> str | None:
    """Return a number that is written with its country code and leaves nothing to read into it; None for others.

    The library comes to the same, at many times the cost: it looks for extensions, prefixes and carriers.
    """
    return _international(_SEPARATORS.sub("", text[1:])) if _PLAIN.fullmatch(text) else None


def _international(digits: str) -> str | None:
    """Return the number that digits from the country code on are, where nothing is to be read into them."""
    for length in (1, 2, 3):
        shape = _shape(digits[:length])
        if shape is not None:
            national = digits[length:]
            plain = len(national) in shape.lengths and national[0] != "0"
            return f"+{digits}" if plain and not shape.prefix.match(national) else None
    return None


def _national(text: str, region: str) -> str | None:
    """Return a number that is written with its region's trunk prefix, or in North America without; None for others."""
    if not _NATIONAL.fullmatch(text):
        return None
    code = _code(region)
    shape = _shape(code) if code else None
    if shape is None or shape.prefix.pattern not in {"0", "1"}:
        return None
    digits = _SEPARATORS.sub("", text)
    if digits[0] == shape.prefix.pattern:
        digits = digits[1:]
    elif shape.prefix.pattern == "0":
        return None
    return f"+{code}{digits}" if len(digits) in shape.lengths and digits[0] not in "01" else None


@cache
def _code(region: str) -> str:
    return str(phonenumbers.country_code_for_region(region) or "")


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
    return _is_filled_in(_NO_DIGITS.sub("", text))


def _is_filled_in(digits: str) -> bool:
    national = digits.lstrip("0")[-10:]
    if len(set(national)) < _DISTINCT_DIGITS_MIN:
        return True
    start = national[:_SEQUENCE_DIGITS]
    return start in _SEQUENCES[0] or start in _SEQUENCES[1]
