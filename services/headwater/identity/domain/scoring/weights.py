"""How many bits each level of each field weighs: a frozen, versioned value that a store can keep. Pure.

Owns: the form of weights, their bits and their serial form. Must not: learn them, or know records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import log2
from typing import Final

import msgspec

from headwater.identity.domain.scoring.names import MAILBOX, PART_LEVELS

GRAIN: Final = 1024
"""Bits are whole multiples of 1/1024, so that any sum of them is exact in floating point."""
RARITY_BITS_MAX: Final = 8.0
"""How far the rarity of a value may raise an equal level. Source: identity research, 7."""
_SHARE_MIN: Final = 1e-9
RARITIES: Final = frozenset({"given name", "family name"})
"""Fields that are nothing but the rarity of a value: a common one counts against."""


def grained(bits: float) -> float:
    """Return *bits* on the grain."""
    return round(bits * GRAIN) / GRAIN


@dataclass(frozen=True)
class FieldWeights:
    """One field's evidence.

    Args:
        m: share of each level among pairs of one thing; u: among pairs of two. Both in 0..1.
        common: share of records that have a value, for values that several have.
        rare: share assumed of any other value; 0 where rarity says nothing.
    """

    m: tuple[float, ...]
    u: tuple[float, ...]
    common: Mapping[str, float] = field(default_factory=dict)
    rare: float = 0.0

    @cached_property
    def bits(self) -> tuple[float, ...]:
        """Bits of each level: log2(m / u)."""
        pairs = zip(self.m, self.u, strict=True)
        return tuple(grained(log2(max(m, _SHARE_MIN) / max(u, _SHARE_MIN))) for m, u in pairs)

    @cached_property
    def average(self) -> float:
        """Share of pairs of two things whose values are equal by chance."""
        return max(self.u[0], _SHARE_MIN)

    def rarity(self, value: str, share_of_u: float = 0.0) -> float:
        """Return the bits by which *value* is rarer (above 0) or commoner than an average equal one."""
        if not self.rare:
            return 0.0
        share = self.common.get(value, self.rare)
        raised = min(RARITY_BITS_MAX, log2((share_of_u or self.average) / share))
        return grained(raised)


@dataclass(frozen=True)
class Weights:
    """All that a score depends on besides the two records.

    Args:
        version: names these weights in scores, edges and explanations.
        object: what they score.
        prior_bits: of any two records being one, before evidence.
        fields: by field; `texts` and `codes` weigh the fields that have no entry.
    """

    version: str
    object: str
    prior_bits: float
    fields: Mapping[str, FieldWeights]

    @cached_property
    def scales(self) -> Mapping[str, Scale]:
        """The bits of every level and value, worked out once."""
        return {**_NO_RARITIES, **{name: _scale(name, one) for name, one in self.fields.items()}}

    @cached_property
    def people(self) -> PeopleScales:
        """The same by name, for scores of people."""
        return _people_scales(self.prior_bits, self.scales)


@dataclass(frozen=True, slots=True)
class Scale:
    """One field's evidence, ready to add up.

    Args:
        bits: of each level.
        equal: bits of two equal values, by value; `rarest` those of any other value.
    """

    bits: tuple[float, ...]
    equal: Mapping[str, float]
    rarest: float


def _scale(name: str, one: FieldWeights) -> Scale:
    base = one.bits[0]

    def total(value: str) -> float:
        rarity = one.rarity(value)
        if rarity < 0.0 and name not in RARITIES:  # a common value is still no evidence against
            rarity = max(rarity, min(base, 1.0) - base)
        return base + rarity

    return Scale(one.bits, {value: total(value) for value in one.common}, total(""))


@dataclass(frozen=True, slots=True)
class PeopleScales:
    """The scales of people, each by its name.

    Args:
        names: bits of each level of a name, and whether the rarity of the given and of the family name counts.
        text, code: of fields without a scale of their own; own: the scales of all fields.
    """

    prior: float
    mail: Scale
    names: tuple[tuple[float, bool, bool], ...]
    given: Scale
    family: Scale
    linkedin: Scale
    phone: Scale
    organisation: Scale
    place: Scale
    street: Scale
    house: Scale
    text: Scale
    code: Scale
    own: Mapping[str, Scale]


def _people_scales(prior_bits: float, scales: Mapping[str, Scale]) -> PeopleScales:
    """Return the scales by name; a field without one is weighed by those of texts or codes, no value the rarer."""
    text, code = _plain(scales.get("text", _NOTHING)), _plain(scales.get("code", _NOTHING))
    names = scales.get("name", _NOTHING).bits
    counted = ((bits, *divmod(level, PART_LEVELS)) for level, bits in enumerate(names))
    return PeopleScales(
        prior_bits,
        scales.get("mail", _NOTHING),
        tuple((bits, given <= MAILBOX, family <= MAILBOX) for bits, given, family in counted),
        scales.get("given name", _NOTHING),
        scales.get("family name", _NOTHING),
        scales.get("linkedin", _NOTHING),
        scales.get("phone", _NOTHING),
        scales.get("organisation", _NOTHING),
        scales.get("place", _NOTHING),
        scales.get("street", text),
        scales.get("house number", code),
        text,
        code,
        scales,
    )


def _plain(scale: Scale) -> Scale:
    return Scale(scale.bits, {}, scale.bits[0]) if scale.bits else scale


_NO_RARITIES: Final = {name: Scale((0.0,), {}, 0.0) for name in RARITIES}
"""Where nothing was counted, no value is rarer than another."""
_NOTHING: Final = Scale((), {}, 0.0)
"""Of a field that these weights do not have."""


def dump(weights: Weights) -> bytes:
    """Return the serial form (JSON)."""
    return msgspec.json.encode(
        {
            "version": weights.version,
            "object": weights.object,
            "prior_bits": weights.prior_bits,
            "fields": {
                name: {"m": one.m, "u": one.u, "common": dict(one.common), "rare": one.rare}
                for name, one in sorted(weights.fields.items())
            },
        }
    )


class _Field(msgspec.Struct, forbid_unknown_fields=True):
    m: tuple[float, ...]
    u: tuple[float, ...]
    common: dict[str, float]
    rare: float


class _Weights(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    object: str
    prior_bits: float
    fields: dict[str, _Field]


def load(stored: bytes) -> Weights:
    """Return the weights of a serial form.

    Raises:
        msgspec.ValidationError: it is no such form.
    """
    read = msgspec.json.decode(stored, type=_Weights)
    fields = {name: FieldWeights(one.m, one.u, one.common, one.rare) for name, one in read.fields.items()}
    return Weights(read.version, read.object, read.prior_bits, fields)
