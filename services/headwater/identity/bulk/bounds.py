"""The numbers behind `sql/macros.sql`: what each comparison of two people can add at the most. Pure.

Owns the bits per class of names and per level. Must not weigh a pair: that is `score_bits`, and no bound
is below it. Organisations have no bound: every candidate pair of theirs is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final

from headwater.identity.domain.scoring import comparing as c
from headwater.identity.domain.scoring.names import (
    DIFFER,
    EXACT,
    INITIAL,
    MAILBOX,
    MISSING,
    NEAR,
    PART_LEVELS,
    SHORT,
    SWAPPED,
    UNKNOWN,
)
from headwater.identity.domain.scoring.weights import Scale, Weights

IMPOSSIBLE: Final = -1_000.0
"""Bits of what cannot be: below any sum."""

_CLASSES: Final = (
    (EXACT,),
    (EXACT, SHORT, NEAR, DIFFER),
    (SHORT, NEAR, DIFFER),
    (INITIAL,),
    (DIFFER,),
    (MISSING,),
)
"""Levels that each class of `given_class` and `family_class` leaves open; 6 more: a mailbox may tell it."""

Bound = Mapping[str, float | list[float]]


def bound_of(weights: Weights) -> Bound:
    """Return what `sql/macros.sql` reads, by comparison."""
    scales = weights.scales
    organisation = _levels(scales[c.ORGANISATION])
    given_rare, family_rare = _equal(scales[c.GIVEN_RARITY]), _equal(scales[c.FAMILY_RARITY])
    return {
        "prior": weights.prior_bits,
        "names": list(_name_classes(scales[c.NAME])),
        "swapped": scales[c.NAME].bits[SWAPPED],
        "given_rare": given_rare,
        "family_rare": family_rare,
        "mail": _levels(scales[c.MAIL]),
        "phone": _levels(scales[c.PHONE]),
        "linkedin": _levels(scales[c.LINKEDIN]),
        "organisation": organisation,
        "organisation_alike": max(organisation[1:]),
        "place": _levels(scales[c.PLACE]),
        "street": _levels(scales.get(c.STREET) or scales[c.TEXT]),
        "house": _levels(scales.get(c.HOUSE) or scales[c.CODE]),
        "title": _levels(scales.get("job_title") or scales[c.TEXT]),
        "postcode": _levels(scales.get("postcode") or scales[c.CODE]),
        "birth": _levels(scales.get("birth_date") or scales[c.CODE]),
        "other": max(0.0, *(max(_levels(scale)) for name, scale in scales.items() if name not in _KNOWN)),
    }


_KNOWN: Final = frozenset(
    {
        *(c.NAME, c.GIVEN_RARITY, c.FAMILY_RARITY, c.MAIL, c.PHONE, c.LINKEDIN, c.ORGANISATION, c.DOMAIN),
        *(c.PLACE, c.ADDRESS, c.STREET, c.HOUSE, "job_title", "postcode", "birth_date"),
    }
)


def _levels(scale: Scale) -> list[float]:
    """Return the bits of each level, those of the rarest equal value first."""
    return [_equal(scale), *scale.bits[1:]]


def _equal(scale: Scale) -> float:
    return max((scale.rarest, scale.bits[0], *scale.equal.values()))


def _name_classes(names: Scale) -> Iterable[float]:
    """Yield, per two classes, the most bits where both parts are equal, the given name, the family name, neither."""
    classes = (*_CLASSES, *((*levels, MAILBOX) for levels in _CLASSES))
    for given, family in product(classes, repeat=2):
        for given_equal, family_equal in product((True, False), repeat=2):
            yield max(
                (
                    _joint(names, one, other)
                    for one, other in product(given, family)
                    if (one <= MAILBOX) is given_equal and (other <= MAILBOX) is family_equal
                ),
                default=IMPOSSIBLE,
            )


def _joint(names: Scale, given: int, family: int) -> float:
    level = given * PART_LEVELS + family
    return 0.0 if level == UNKNOWN else names.bits[level]
