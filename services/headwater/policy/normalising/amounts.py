"""Numbers as people write them: signs of currencies, words for thousands, points and commas. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

KEPT: Final = 4096
"""Amounts at hand."""
CHARS_MAX: Final = 64

_WORDS: Final = {
    "k": 1e3, "tsd": 1e3, "thousand": 1e3, "mille": 1e3, "mil": 1e3, "tausend": 1e3,
    "m": 1e6, "mm": 1e6, "mn": 1e6, "mio": 1e6, "mill": 1e6, "million": 1e6, "millions": 1e6, "millionen": 1e6,
    "millones": 1e6, "milioni": 1e6,
    "b": 1e9, "bn": 1e9, "bio": 1e9, "billion": 1e9, "billions": 1e9, "mrd": 1e9, "md": 1e9, "milliard": 1e9,
    "milliards": 1e9, "milliarde": 1e9, "milliarden": 1e9, "mld": 1e9,
    "t": 1e12, "tn": 1e12, "trn": 1e12, "trillion": 1e12,
    "lakh": 1e5, "lac": 1e5, "crore": 1e7, "cr": 1e7,
}  # fmt: skip
"""Short scale of English; `Billion` of German is told by its neighbours only, so it is read as English here."""
_CURRENCIES: Final = (
    r"(?:US\$|A\$|C\$|AU\$|CA\$|HK\$|NZ\$|S\$|R\$|[$€£¥₹₩₽₺₴₪฿]|"
    r"USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|SGD|HKD|KRW|TRY|ILS|AED|SAR|"
    r"Rs\.?|Fr\.?|kr\.?|euros?|dollars?|pounds?)"
)
_AMOUNT: Final = re.compile(
    rf"(?P<sign>[-+\u2212]?)\s*(?:{_CURRENCIES})?\s*(?P<inner>[-\u2212]?)(?P<digits>[0-9][0-9.,'\u2019\s\u00a0\u202f]*)"
    rf"\s*(?P<word>[A-Za-z]+)?\.?\s*(?:{_CURRENCIES})?",
    re.IGNORECASE,
)
_QUICK: Final = re.compile(r"[$€£]?([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kKmMbB]?)")
"""The usual forms of English."""
_QUICK_GROUPED: Final = re.compile(r"(?:[$€£]|(?:USD|EUR|GBP) )?([0-9]{1,3}(?:,[0-9]{3}){1,4})")
_SPACES: Final = re.compile(r"[\u00a0\u202f\s]+")
_NO_DIGIT: Final = re.compile(r"[^0-9]")
_CURRENCY: Final = re.compile(_CURRENCIES, re.IGNORECASE)
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:([.,'\u2019 ])[0-9]{3})(?:\1[0-9]{3})*")
_INDIAN: Final = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")


@lru_cache(KEPT, typed=True)
def amount(raw: Any) -> Any:
    """Return the number that *raw* says, or *raw* where it says none; idempotent.

    `1,200` is a thousand two hundred and `1,5` one and a half; `1.200` is one and a fifth unless a second point or
    a comma behind it tells that points group.
    """
    if not isinstance(raw, str) or len(raw) > CHARS_MAX:
        return raw
    if quick := _QUICK.fullmatch(raw):
        return _whole(float(quick[1]) * _WORDS.get(quick[2].casefold(), 1.0))
    if grouped := _QUICK_GROUPED.fullmatch(raw):
        return int(grouped[1].replace(",", ""))
    found = _AMOUNT.fullmatch(raw.strip())
    if found is None:
        return raw
    word = (found["word"] or "").casefold()
    if word and word not in _WORDS:
        if not _CURRENCY.fullmatch(word):
            return raw
        word = ""
    digits = _SPACES.sub(" ", found["digits"].strip()).replace("\u2019", "'")
    plain = _plain(digits)
    if plain is None:
        return raw
    value = float(plain) * _WORDS.get(word, 1.0)
    mark = found["sign"] + found["inner"]
    if mark and "-" in (mark := mark.replace("\u2212", "-")) and mark != "--":
        value = -value
    return _whole(value)


def _whole(value: float) -> float:
    rounded = round(value, 6)
    return int(rounded) if rounded.is_integer() else rounded


def _plain(digits: str) -> str | None:
    """Return digits with a point before the fraction and nothing else; None where they are no number."""
    if digits.isdigit():
        return digits
    marks = _NO_DIGIT.findall(digits)
    last = marks[-1]
    if len(set(marks)) > 1:  # the last mark parts the fraction, the others group
        whole, _, fraction = digits.rpartition(last)
        if last not in ".," or marks.count(last) > 1 or not fraction.isdigit():
            return None
        return f"{_ungrouped(whole)}.{fraction}" if _is_grouped(whole) else None
    if _INDIAN.fullmatch(digits):
        return digits.replace(",", "")
    if last in "' ":
        return _ungrouped(digits) if _is_grouped(digits) else None
    if len(marks) > 1 or (last == "," and _is_grouped(digits)):
        return _ungrouped(digits) if _is_grouped(digits) else None
    whole, _, fraction = digits.partition(last)
    return f"{whole}.{fraction}" if fraction.isdigit() else None


def _is_grouped(digits: str) -> bool:
    return digits.isdigit() or _GROUPED.fullmatch(digits) is not None or _INDIAN.fullmatch(digits) is not None


def _ungrouped(digits: str) -> str:
    return _NO_DIGIT.sub("", digits)
