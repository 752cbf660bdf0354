"""How weights are named: by a number per tenant and object; 0 stands for the shipped ones. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from headwater.identity.domain.scoring import priors

SHIPPED: Final = 0
_LEARNED: Final = "learned-"
_NAMES_KEPT: Final = 256


def name_of(number: int) -> str:
    """Return the name that scores and explanations carry."""
    return priors.VERSION if number == SHIPPED else f"{_LEARNED}{number}"


@lru_cache(_NAMES_KEPT)
def number_of(name: str) -> int:
    """Return the number of a name; of one that no table holds, that of the shipped ones."""
    digits = name.removeprefix(_LEARNED)
    return int(digits) if digits != name and digits.isdecimal() else SHIPPED
