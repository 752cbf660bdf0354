"""Phone numbers in E.164: the usual forms by the library's metadata alone, all others by the library. Pure."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

import phonenumbers

KEPT: Final = 8192
"""Numbers at hand."""
_PLAIN: Final = re.compile(r"\+[1-9](?:[ -]?[0-9]){6,14}")
_NATIONAL: Final = re.compile(r"(?:1[ .-]?)?\(?[0-9]{2,5}\)?[ .-]?[0-9]{3,8}(?:[ .-]?[0-9]{3,5})?")
_SEPARATORS: Final = re.compile(r"[^0-9]")
_TRUNK: Final = re.compile(r" ?\(0\) ?")
_EXTENSION: Final = re.compile(r"(?:ext|x|#)[^0-9]{0,10}[0-9]{1,7}$", re.IGNORECASE)
_USUAL: Final = re.compile(r"\+?[0-9(][0-9(). -]{5,22}[0-9]")
"""A number with nothing about it."""


@lru_cache(KEPT)
def e164(text: str, country: str) -> str:
    """Return the number in E.164, or *text* where it is none that could be dialled; idempotent.

    Args:
        country: ISO 3166 code for numbers without a country code; empty where nobody knows.
    """
    if _EXTENSION.search(text):
        return text  # it would be lost
    return _usual(text, country) or _parsed(text, country) or text


def _usual(text: str, country: str) -> str | None:
    if not _USUAL.fullmatch(text):
        return None
    international = f"+{text[2:]}" if text.startswith("00") and not text.startswith("000") else text
    if international[0] == "+":
        return plain_number(_TRUNK.sub(" ", international) if "(" in international else international)
    number = national_number(text, country) if country else None
    return number if number and international_number(number[1:]) else None


def _parsed(text: str, country: str) -> str | None:
    try:
        number = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    found = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if number.extension or len(found) > 16 or not _again(found):  # noqa: PLR2004 - E.164 has 15 digits
        return None  # an extension would be lost, and what reads differently the second time is no number
    return found


def _again(found: str) -> bool:
    try:
        number = phonenumbers.parse(found, None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(number) and found == phonenumbers.format_number(
        number, phonenumbers.PhoneNumberFormat.E164
    )


def plain_number(text: str) -> str | None:
    """Return a number that is written with its country code and leaves nothing to read into it; None for others.

    The library comes to the same, at many times the cost: it looks for extensions, prefixes and carriers.
    """
    return international_number(_SEPARATORS.sub("", text[1:])) if _PLAIN.fullmatch(text) else None


def international_number(digits: str) -> str | None:
    """Return the number that digits from the country code on are, where nothing is to be read into them."""
    for length in (1, 2, 3):
        shape = _shape(digits[:length])
        if shape is not None:
            national = digits[length:]
            plain = len(national) in shape.lengths and national[0] != "0"
            return f"+{digits}" if plain and not shape.prefix.match(national) else None
    return None


def national_number(text: str, region: str) -> str | None:
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
