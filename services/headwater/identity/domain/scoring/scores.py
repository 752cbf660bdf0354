"""How many bits speak for two records being one thing, and where they come from. Pure, symmetric.

Every part is a multiple of 1/1024 bit, so the parts add up to the score exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.scoring import fields, names
from headwater.identity.domain.scoring.adding import add_people
from headwater.identity.domain.scoring.comparing import (
    ADDRESS,
    CODE,
    COMPARES,
    DOMAIN,
    FAMILY_RARITY,
    GIVEN_RARITY,
    LINKEDIN,
    MAIL,
    NAME,
    NONE_SHARED,
    ORGANISATION,
    PHONE,
    PLACE,
    TEXT,
    Finding,
    Shared,
)
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.weights import Weights

PRIOR: Final = "before evidence"
ACCOUNT: Final = "account"
"""The object whose records are no people."""


@dataclass(frozen=True, slots=True)
class Bits:
    """What one field adds.

    Args:
        level: in words, as `equal`.
        rarity_bits: the part of bits that the value's rarity makes.
    """

    field: str
    level: str
    bits: float
    rarity_bits: float = 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """Bits for two records being one thing: log2 of the odds, prior included; parts add up to bits exactly."""

    bits: float
    parts: tuple[Bits, ...]
    version: str


def score_bits(ours: Parts, theirs: Parts, weights: Weights, shared: Shared = NONE_SHARED) -> float:
    """Return the bits of a pair.

    Args:
        shared: generic phone numbers and mailboxes.
    """
    if weights.object != ACCOUNT:
        return add_people(ours, theirs, weights.people, shared)
    total, scales = weights.prior_bits, weights.scales
    for field, level, value, fallback in COMPARES[weights.object](ours, theirs, shared):
        if field not in scales:
            total += scales[fallback].bits[level]
            continue
        scale = scales[field]
        total += scale.bits[level] if level or not value else scale.equal.get(value, scale.rarest)
    return total


def explain_score(ours: Parts, theirs: Parts, weights: Weights, shared: Shared = NONE_SHARED) -> Score:
    """Return the bits of a pair and their origin, the prior first."""
    parts = [Bits(PRIOR, "", weights.prior_bits)]
    for finding in COMPARES[weights.object](ours, theirs, shared):
        base, rarity = weigh(finding, weights)
        parts.append(Bits(finding[0], _label(finding), base + rarity, rarity))
    return Score(sum(part.bits for part in parts), tuple(parts), weights.version)


def weigh(finding: Finding, weights: Weights) -> tuple[float, float]:
    """Return the bits of a level and those of its value's rarity."""
    field, level, value, fallback = finding
    scale = weights.scales.get(field)
    if scale is None:
        return weights.scales[fallback].bits[level], 0.0
    base = scale.bits[level]
    if level or not value:
        return base, 0.0
    return base, scale.equal.get(value, scale.rarest) - base


_LABELS: Final = {
    MAIL: fields.MAIL_LEVELS,
    PHONE: fields.PHONE_LEVELS,
    LINKEDIN: fields.LINKEDIN_LEVELS,
    ORGANISATION: fields.ORGANISATION_LEVELS,
    DOMAIN: fields.DOMAIN_LEVELS,
    ADDRESS: fields.ADDRESS_LEVELS,
    PLACE: fields.PLACE_LEVELS,
    GIVEN_RARITY: ("rarity",),
    FAMILY_RARITY: ("rarity",),
    TEXT: fields.TEXT_LEVELS,
    CODE: fields.TEXT_LEVELS,
}


def _label(finding: Finding) -> str:
    return level_name(finding[0], finding[1])


def level_name(field: str, level: int) -> str:
    """Return a level of a field in words."""
    if field == NAME:
        return names.describe(level)
    return _LABELS.get(field, fields.TEXT_LEVELS)[level]
