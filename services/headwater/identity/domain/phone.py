"""Phone numbers in E.164, read in the record's country. Pure.

Rules, by name: `e164`, `placeholder` (two digits or fewer in all, or a counting sequence).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

import phonenumbers

from headwater.identity.domain.text import clean, fold

REGION_DEFAULT: Final = "US"
"""Where a number without country code is read when the record names no country."""

_COUNTRY_NAMES: Final = {
    "australia": "AU",
    "austria": "AT",
    "brazil": "BR",
    "canada": "CA",
    "deutschland": "DE",
    "france": "FR",
    "germany": "DE",
    "great britain": "GB",
    "india": "IN",
    "ireland": "IE",
    "italy": "IT",
    "netherlands": "NL",
    "spain": "ES",
    "sweden": "SE",
    "switzerland": "CH",
    "uk": "GB",
    "united kingdom": "GB",
    "united states": "US",
    "united states of america": "US",
    "usa": "US",
}
_SEQUENCES: Final = ("01234567890123456789", "98765432109876543210")
_PLAIN: Final = re.compile(r"\+[1-9](?:[ -]?[0-9]){6,14}")
_DISTINCT_DIGITS_MIN: Final = 3
_SEQUENCE_DIGITS: Final = 7


def region_of(country: str) -> str:
    """Return the two-letter region that *country* names, or the default."""
    text = clean(country)
    if text.upper() in phonenumbers.SUPPORTED_REGIONS:
        return text.upper()
    return _COUNTRY_NAMES.get(fold(text), REGION_DEFAULT)


@lru_cache(maxsize=65_536)
def normalise_phone(raw: str, region: str = REGION_DEFAULT) -> str | None:
    """Return *raw* as E.164 without extension, or None when it is no number; idempotent."""
    text = clean(raw)
    if not text or _is_placeholder(text):
        return None
    once = _e164(text, region)
    if once is None or once == text:  # E.164 already: the second reading would be the first again
        return once
    # What reads differently the second time (national prefixes inside, too many zeros) is no number.
    return once if _e164(once, region) == once else None


def _e164(text: str, region: str) -> str | None:
    return _plain(text) or _parsed(text, region)


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


def _parsed(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _is_placeholder(text: str) -> bool:
    digits = "".join(c for c in text if c.isdigit())
    national = digits.lstrip("0")[-10:]
    if len(set(national)) < _DISTINCT_DIGITS_MIN:
        return True
    return any(national[:_SEQUENCE_DIGITS] in sequence for sequence in _SEQUENCES)
