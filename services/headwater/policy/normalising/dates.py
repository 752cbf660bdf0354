"""Dates as people write them, where the policy says in which order. Pure."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Any, Final

KEPT: Final = 4096
"""Dates at hand."""

_NUMBERS: Final = re.compile(r"(\d{1,4})[./ -](\d{1,2})[./ -](\d{2,4})\.?(?:[ T].*)?")
_DAY_MONTH: Final = re.compile(r"(\d{1,2})(?:st|nd|rd|th|\.)?[ -]+([^\W\d_]{3,9})\.?,?[ -]+(\d{4})")
_MONTH_DAY: Final = re.compile(r"([^\W\d_]{3,9})\.?[ -]+(\d{1,2})(?:st|nd|rd|th)?,?[ -]+(\d{4})")
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january januar janvier enero", "february februar fevrier febrero", "march märz maerz mars marzo",
            "april avril abril", "may mai mayo", "june juni juin junio", "july juli juillet julio",
            "august aout agosto août", "september septembre septiembre", "october oktober octobre octubre",
            "november novembre noviembre", "december dezember decembre diciembre décembre",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_SHORT_YEARS: Final = 70
"""Two digits below it are of this century, as POSIX strptime has it (68) but for two years."""


@lru_cache(KEPT, typed=True)
def day_first(raw: Any) -> Any:
    """Return a date that is written day, month, year as `YYYY-MM-DD`, anything else as it is; idempotent."""
    return _read(raw, day_at=0)


@lru_cache(KEPT, typed=True)
def month_first(raw: Any) -> Any:
    """Return a date that is written month, day, year as `YYYY-MM-DD`, anything else as it is; idempotent."""
    return _read(raw, day_at=1)


def _read(raw: Any, *, day_at: int) -> Any:
    if not isinstance(raw, str):
        return raw
    text = raw.strip()
    if found := _NUMBERS.fullmatch(text):
        one, two, three = found.groups()
        if len(one) == 4:  # noqa: PLR2004 - a year goes first
            return _date(one, two, three) or raw if len(three) <= 2 else raw  # noqa: PLR2004
        return (_date(_year(three), one, two) if day_at else _date(_year(three), two, one)) or raw
    if found := _DAY_MONTH.fullmatch(text):
        return _date(found[3], _month(found[2]), found[1]) or raw
    if found := _MONTH_DAY.fullmatch(text):
        return _date(found[3], _month(found[1]), found[2]) or raw
    return raw


def _year(text: str) -> str:
    if len(text) != 2:  # noqa: PLR2004 - a short year
        return text
    return f"20{text}" if int(text) < _SHORT_YEARS else f"19{text}"


def _month(text: str) -> str:
    wanted = text.casefold()
    fitting = {number for name, number in _MONTHS.items() if name.startswith(wanted)}
    return str(fitting.pop()) if len(fitting) == 1 else "0"


def _date(year: str, month: str, day: str) -> str | None:
    try:
        return dt.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
