"""Which mailboxes and numbers are shared by several people, and so identify nobody. Pure.

A switchboard or an office mailbox would glue strangers together; once more surnames than a household
has use a value, it turns generic: no longer a strong key, only a hint at the organisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from headwater.identity.domain.scoring.names import are_one_family
from headwater.identity.domain.scoring.parts import Parts

SURNAMES_MAX: Final[Mapping[str, int]] = {"phone": 2, "email": 3}
"""Surnames that may use one value. Source: identity research, 7."""
SURNAMES_KEPT: Final = 12
"""Surnames remembered of a value; more decide nothing further."""


def watched(parts: Parts) -> Iterable[tuple[str, str]]:
    """Yield the strong keys of a record that can turn generic."""
    return (key for key in parts.strong if key[0] in SURNAMES_MAX)


def is_generic(kind: str, surnames: Iterable[str]) -> bool:
    """Say whether a value that people of *surnames* use is generic; misspellings count once."""
    families: list[str] = []
    for surname in sorted(surnames):
        if not any(are_one_family(surname, other) for other in families):
            families.append(surname)
    return len(families) > SURNAMES_MAX.get(kind, SURNAMES_KEPT)


def shared_values(records: Iterable[Parts]) -> frozenset[str]:
    """Return the values that are generic among *records*."""
    surnames: dict[tuple[str, str], set[str]] = {}
    for record in records:
        if record.family:
            for key in watched(record):
                surnames.setdefault(key, set()).add(record.family)
    return frozenset(value for (kind, value), families in surnames.items() if is_generic(kind, families))
