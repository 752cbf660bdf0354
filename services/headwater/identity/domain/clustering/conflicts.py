"""What contradicts two records being one thing, and whether their names allow it. Pure, symmetric."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from headwater.identity.domain.scoring.comparing import JOB_TITLE
from headwater.identity.domain.scoring.fields import (
    CONTAINED,
    TEXT_DIFFERS,
    compare_codes,
    compare_organisation_names,
    compare_texts,
)
from headwater.identity.domain.scoring.names import (
    DIFFER,
    INITIAL,
    MISSING,
    NEAR,
    compare_names,
    parts_of_level,
)
from headwater.identity.domain.scoring.parts import Parts

_FITS: Final = frozenset({*range(NEAR + 1), MISSING}) - {DIFFER}
_TELLS: Final = frozenset(range(NEAR + 1)) - {INITIAL}
_SLIPS_LEVEL_MAX: Final = 2
"""Level of two codes that slips explain."""
_WHO: Final = frozenset({"domain", "linkedin", "official_id"})
"""Kinds of identifier that say which organisation, where a line and a house only say where one is."""


def conflict(ours: Parts, theirs: Parts) -> bool:
    """Say whether two records contradict each other in what one thing has one of."""
    if ours.linkedin and theirs.linkedin and ours.linkedin != theirs.linkedin:
        return True
    if ours.numbers and theirs.numbers and numbers_differ(ours.numbers, theirs.numbers):
        return True
    if ours.generation != theirs.generation and ours.generation and theirs.generation:
        return True
    return _numbered_apart(ours, theirs)


def numbers_differ(ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    """Say whether one authority gave two numbers; in what people type, slips are forgiven."""
    for authority, number in ours.items():
        other = theirs.get(authority, number)
        if other != number and not _is_slip(authority, number, other):
            return True
    return False


def sure_numbers(parts: Parts) -> Mapping[str, str]:
    """Return the numbers that keep apart whatever the rest says: those that systems gave, those of organisations.

    A person's are typed from memory and from the wrong card; they only forbid a merge.
    """
    if parts.account or not parts.numbers:
        return parts.numbers
    return {who: number for who, number in parts.numbers.items() if who.startswith(SOURCE)}


def _is_slip(authority: str, one: str, other: str) -> bool:
    return not authority.startswith(SOURCE) and compare_codes(one, other)[0] <= _SLIPS_LEVEL_MAX


SOURCE: Final = "source:"
"""Begins the name of an authority that is a system: no one types its ids."""


def _numbered_apart(ours: Parts, theirs: Parts) -> bool:
    """Say whether one organisation gave out two mailboxes that differ in digits: it tells namesakes apart."""
    return any(
        one.domain == other.domain
        and not one.free
        and not (one.shared or other.shared)
        and one.digits != other.digits
        for one in ours.mailboxes
        for other in theirs.mailboxes
    )


def names_fit(ours: Parts, theirs: Parts) -> bool:
    """Say whether two names can be one thing's; an unknown one fits."""
    if ours.account:
        return organisations_fit(ours, theirs)
    given, family = parts_of_level(compare_names(ours, theirs, by_mailbox=False))
    return given in _FITS and family in _FITS


def tells_who(ours: Parts, theirs: Parts) -> bool:
    """Say whether the rest tells that a number is one person's: not where it may be of two of a family or a house."""
    if not names_tell_who(ours, theirs) or has_namesake(ours) != has_namesake(theirs):
        return False
    title, other = ours.texts.get(JOB_TITLE), theirs.texts.get(JOB_TITLE)
    return not title or not other or compare_texts(title, other)[0] < TEXT_DIFFERS


def names_tell_who(ours: Parts, theirs: Parts) -> bool:
    """Say whether two names are one person's and tell which of a family it is: an initial does not."""
    given, family = parts_of_level(compare_names(ours, theirs, by_mailbox=False))
    return given in _TELLS and family in _TELLS


def has_namesake(parts: Parts) -> bool:
    """Say whether a record shows that another has its name: it says which generation, or its organisation numbered it."""
    return bool(parts.generation) or any(
        box.digits and not (box.free or box.shared) for box in parts.mailboxes
    )


def organisations_fit(ours: Parts, theirs: Parts) -> bool:
    """Say whether two organisations' names can be one's: equal, misspelt, or one within the other."""
    left, right = ours.organisation, theirs.organisation
    city = ours.city if ours.city == theirs.city else ""
    return not left or not right or compare_organisation_names(left, right, city)[0] <= CONTAINED


def share_identity(ours: Parts, theirs: Parts, shared: AbstractSet[str]) -> bool:
    """Say whether two organisations have in common what says which one it is."""
    return any(key[0] in _WHO and key[1] not in shared and key in theirs.strong for key in ours.strong)
