"""Durations as people type them: `90s`, `30m`, `2h`, `1d`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from headwater.kernel.errors import InvalidInput

_UNITS: Final[Mapping[str, float]] = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_FORM: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])")


def seconds_of(option: str, text: str) -> float:
    """Return the seconds that *text* says.

    Raises:
        InvalidInput: it is not a number and a unit; the option is named.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"{option} {text!r} is not a duration, as 90s, 30m, 2h or 1d")
    return float(found.group(1)) * _UNITS[found.group(2)]
