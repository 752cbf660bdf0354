"""Which mailboxes and numbers are shared by several people, and so identify nobody. Pure.

A switchboard or an office mailbox would glue strangers together; once more surnames than a household
has use a value, it turns generic: no longer a strong key, only a hint at the organisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from headwater.identity.domain.scoring.fields import CONTAINED, compare_organisation_names
from headwater.identity.domain.scoring.names import are_one_family
from headwater.identity.domain.scoring.parts import Parts

SURNAMES_MAX: Final[Mapping[str, int]] = {"phone": 2, "email": 3}
"""Surnames that may use one value. Source: identity research, 7."""
ORGANISATIONS_MAX: Final[Mapping[str, int]] = {"phone": 2, "domain": 2}
"""Names of organisations that may use one value: a house with several, a group of companies."""
NAMES_KEPT: Final = 12
"""Names remembered of a value; more decide nothing further."""


def watched(parts: Parts) -> Iterable[tuple[str, str]]:
    """Yield the strong keys of a record that can turn generic."""
    limits = _limits(account=parts.account)
    return (key for key in parts.strong if key[0] in limits)


def named(parts: Parts) -> str:
    """Return the name that counts for a record's values: a surname or an organisation's; empty if unknown."""
    return parts.organisation if parts.account else parts.family


def is_generic(kind: str, names: Iterable[str], *, account: bool = False) -> bool:
    """Say whether a value that things of *names* use is generic; misspellings count once."""
    are_one = _are_one_organisation if account else are_one_family
    limit = _limits(account=account).get(kind, NAMES_KEPT)
    distinct: list[str] = []
    for name in sorted(names):
        if not any(are_one(name, other) for other in distinct):
            distinct.append(name)
            if len(distinct) > limit:
                return True
    return False


def _limits(*, account: bool) -> Mapping[str, int]:
    return ORGANISATIONS_MAX if account else SURNAMES_MAX


def _are_one_organisation(one: str, other: str) -> bool:
    return compare_organisation_names(one, other)[0] <= CONTAINED


def shared_values(records: Iterable[Parts]) -> frozenset[str]:
    """Return the values that are generic among *records* of one object."""
    names: dict[tuple[str, str], set[str]] = {}
    account = False
    for record in records:
        account = record.account
        if name := named(record):
            for key in watched(record):
                names.setdefault(key, set()).add(name)
    return frozenset(
        value for (kind, value), found in names.items() if is_generic(kind, found, account=account)
    )
