"""How many bits speak for two records being one thing, and where they come from. Pure, symmetric.

Every part is a multiple of 1/1024 bit, so the parts add up to the score exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.scoring import fields, names
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
    total = weights.prior_bits
    for finding in COMPARES[weights.object](ours, theirs, shared):
        base, rarity = weigh(finding, weights)
        total += base + rarity
    return total


def explain_score(ours: Parts, theirs: Parts, weights: Weights, shared: Shared = NONE_SHARED) -> Score:
    """Return the bits of a pair and their origin, the prior first."""
    parts = [Bits(PRIOR, "", weights.prior_bits)]
    for finding in COMPARES[weights.object](ours, theirs, shared):
        base, rarity = weigh(finding, weights)
        parts.append(Bits(finding.field, _label(finding), base + rarity, rarity))
    return Score(sum(part.bits for part in parts), tuple(parts), weights.version)


def weigh(finding: Finding, weights: Weights) -> tuple[float, float]:
    """Return the bits of a level and those of its value's rarity."""
    own = weights.fields.get(finding.field)
    field = own if own is not None else weights.fields.get(finding.fallback)
    if field is None:
        return 0.0, 0.0
    base = field.bits[finding.level]
    if finding.level or not finding.value or own is None:
        return base, 0.0
    rarity = field.rarity(finding.value)
    if (
        rarity < 0.0 and finding.field not in _RARITIES
    ):  # agreeing on a common value is still no evidence against
        rarity = max(rarity, min(base, 1.0) - base)
    return base, rarity


_RARITIES: Final = {GIVEN_RARITY, FAMILY_RARITY}
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
    if finding.field == NAME:
        return names.describe(finding.level)
    return _LABELS.get(finding.field, fields.TEXT_LEVELS)[finding.level]
