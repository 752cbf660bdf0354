"""How weights are named: by a number per tenant and object; 0 stands for the shipped ones. Pure.

The shipped weights of larger tenants have numbers and names of their own, so that an edge is scored anew once its
tenant has outgrown those that it was scored with: `shipped-2x8` are those for eight times as many records.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from headwater.identity.domain.scoring import priors

SHIPPED: Final = 0
_LEARNED: Final = "learned-"
_SIZED: Final = f"{priors.VERSION}x"
_SIZED_NUMBER: Final = 1_000_000_000
"""With it begin the numbers of the shipped weights of larger tenants; no tenant learns so often."""
DOUBLINGS_MAX: Final = 20
"""Ten thousand million records."""
_NAMES_KEPT: Final = 256


def number_of_size(doublings: int) -> int:
    """Return the number of the shipped weights for so many times twice the records."""
    return _SIZED_NUMBER + doublings if doublings else SHIPPED


def size_of(number: int) -> int | None:
    """Return for how many times twice the records shipped weights are; None for learnt ones."""
    if number == SHIPPED:
        return 0
    doublings = number - _SIZED_NUMBER
    return doublings if 0 < doublings <= DOUBLINGS_MAX else None


def name_of(number: int) -> str:
    """Return the name that scores and explanations carry."""
    doublings = size_of(number)
    if doublings is None:
        return f"{_LEARNED}{number}"
    return f"{_SIZED}{2**doublings}" if doublings else priors.VERSION


@lru_cache(_NAMES_KEPT)
def number_of(name: str) -> int:
    """Return the number of a name; of one that no table holds, that of the shipped ones."""
    digits = name.removeprefix(_LEARNED)
    if digits != name:
        return int(digits) if digits.isdecimal() else SHIPPED
    times = name.removeprefix(_SIZED)
    return number_of_size(int(times).bit_length() - 1) if times != name and times.isdecimal() else SHIPPED
