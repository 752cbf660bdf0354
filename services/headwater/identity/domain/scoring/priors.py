"""Weights for the first day, before there is anything to learn from. Facts only.

Origin: rates of missing, abbreviated and misspelt values in CRM records, rounded; the identity research
measured that learned weights move from here by a bit or two. All sets get the same. How often strangers agree (u) is
what 100,000 random pairs of three kinds of records say (contacts of two generators, persons of FEBRL), rounded; no
label has a say in it.
"""

from __future__ import annotations

from math import log2
from typing import Final

from headwater.identity.domain.scoring import comparing as c
from headwater.identity.domain.scoring.names import LEVELS, MISSING, PART_LEVELS, SWAPPED
from headwater.identity.domain.scoring.weights import FieldWeights, Weights, grained

VERSION: Final = "shipped-2"

GIVEN_M: Final = (0.60, 0.05, 0.14, 0.12, 0.06, 0.03, 0.0)
GIVEN_U: Final = (0.004, 0.0015, 0.002, 0.01, 0.002, 0.98, 0.0)
FAMILY_M: Final = (0.83, 0.02, 0.03, 0.01, 0.07, 0.04, 0.0)
FAMILY_U: Final = (0.002, 0.0006, 0.0003, 0.0005, 0.001, 0.9956, 0.0)
SWAPPED_M: Final = 0.02
SWAPPED_U: Final = 2e-5

SHARERS: Final = {c.MAIL: 0.02, c.PHONE: 0.1, c.LINKEDIN: 0.005}
"""How many other people have a person's mailbox, number, profile, on average: couples, slips."""

RECORDS: Final = 10_000
"""Records of an object for which the shipped weights are made, unless told; see `sizes`."""

PAIR_SHARE_OF_RECORDS: Final = 1.2
"""Expected pairs of one thing per record where no strong key tells."""

_TABLES: Final = {
    c.MAIL: ((0.60, 0.04, 0.02, 0.01, 0.03, 0.30), (5e-6, 5e-6, 2e-5, 0.004, 0.10, 0.896)),
    c.PHONE: ((0.60, 0.02, 0.10, 0.28), (1e-5, 1e-5, 0.0005, 0.99949)),
    c.LINKEDIN: ((0.985, 0.015), (1e-6, 1.0)),
    c.ORGANISATION: ((0.70, 0.09, 0.05, 0.03, 0.13), (0.004, 0.002, 0.002, 0.03, 0.962)),
    c.DOMAIN: ((0.90, 0.10), (0.0001, 0.9999)),
    c.ADDRESS: ((0.75, 0.10, 0.15), (0.0005, 0.005, 0.9945)),
    c.PLACE: ((0.80, 0.08, 0.12), (0.08, 0.10, 0.82)),
    c.TEXT: ((0.62, 0.13, 0.10, 0.15), (0.004, 0.002, 0.02, 0.974)),
    c.CODE: ((0.82, 0.09, 0.02, 0.07), (0.004, 0.004, 0.004, 0.988)),
}
JOB_TITLE: Final = ((0.70, 0.08, 0.07, 0.15), (0.04, 0.001, 0.002, 0.957))
"""A job title is another text of a person, but a few titles are most people's."""
LATER: Final = frozenset({c.JOB_TITLE})
"""Fields that weights learnt by an earlier release lack: they weigh as any other text."""
ACCOUNT_NAME: Final = ((0.62, 0.18, 0.09, 0.07, 0.04), (0.0005, 0.001, 0.002, 0.03, 0.9665))


def name_grid(
    given: tuple[float, ...], family: tuple[float, ...], swapped: float, *, smooth: float = 1e-6
) -> tuple[float, ...]:
    """Return the share of each joint level from those of its parts; where a part is unknown, the other's alone."""
    shares = [0.0] * LEVELS
    for one in range(PART_LEVELS):
        for other in range(PART_LEVELS):
            left = 1.0 if one == MISSING else max(given[one], smooth)
            right = 1.0 if other == MISSING else max(family[other], smooth)
            shares[one * PART_LEVELS + other] = left * right
    shares[SWAPPED] = swapped
    return tuple(shares)


def shipped(object_name: str, records: int = RECORDS) -> Weights:
    """Return the weights of the first day for about *records* records."""
    count = max(records, 2)
    tables = {name: FieldWeights(m, u) for name, (m, u) in _TABLES.items()}
    for name, sharers in SHARERS.items():
        m, u = _TABLES[name]
        tables[name] = FieldWeights(m, (sharers / count, *u[1:]))
    tables[c.NAME] = FieldWeights(
        name_grid(GIVEN_M, FAMILY_M, SWAPPED_M), name_grid(GIVEN_U, FAMILY_U, SWAPPED_U)
    )
    if object_name == "account":
        tables[c.ORGANISATION] = FieldWeights(*ACCOUNT_NAME)
    else:
        tables[c.JOB_TITLE] = FieldWeights(*JOB_TITLE)
    return Weights(VERSION, object_name, prior_bits(PAIR_SHARE_OF_RECORDS / count), tables)


def prior_bits(share: float) -> float:
    """Return the bits of a share of all pairs."""
    return grained(log2(share / (1 - share)))
