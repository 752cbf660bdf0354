"""Whether stored weights can be used: read, and checked against what the comparisons know. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Final

import msgspec

from headwater.identity.domain.scoring import comparing as c
from headwater.identity.domain.scoring import priors
from headwater.identity.domain.scoring.versions import name_of
from headwater.identity.domain.scoring.weights import RARITIES, FieldWeights, Weights, load
from headwater.kernel.errors import PreconditionFailed

PRIOR_BITS_MAX: Final = 64.0
"""A prior beyond it, either way, is none that records can teach."""
_FAULTS_NAMED: Final = 3


def read_weights(stored: bytes, object_name: str, number: int) -> Weights:
    """Return the weights of a stored body.

    Raises:
        PreconditionFailed: it is no such body, is of another object or version, or holds what is no share.
    """
    try:
        weights = load(stored)
    except msgspec.DecodeError as error:
        raise _unsound(object_name, number, str(error)) from error
    found = list(faults(weights, object_name, number))
    if found:
        raise _unsound(object_name, number, "; ".join(found[:_FAULTS_NAMED]))
    return weights


def faults(weights: Weights, object_name: str, number: int) -> Iterator[str]:
    """Yield what makes weights unfit for an object."""
    if weights.object != object_name:
        yield f"they are for {weights.object!r}"
        return
    if weights.version != name_of(number):
        yield f"they name themselves {weights.version!r}"
    if not (isfinite(weights.prior_bits) and abs(weights.prior_bits) <= PRIOR_BITS_MAX):
        yield f"their prior of {weights.prior_bits} bits is none"
    known = priors.shipped(object_name).fields
    for name in known.keys() - weights.fields.keys() - priors.LATER:
        yield f"field {name} is missing"
    for name, one in weights.fields.items():
        levels = 1 if name in RARITIES else len((known.get(name) or known[c.TEXT]).m)
        yield from _field_faults(name, one, levels)


def _field_faults(name: str, one: FieldWeights, levels: int) -> Iterator[str]:
    if not len(one.m) == len(one.u) == levels:
        yield f"field {name} has {len(one.m)} and {len(one.u)} levels where {levels} are compared"
    shares = (*one.m, *one.u, one.rare, *one.common.values())
    wrong = next((share for share in shares if not 0.0 <= share <= 1.0), None)
    if wrong is not None:
        yield f"field {name} holds {wrong}, which is no share"
    if 0.0 in one.common.values():
        yield f"field {name} has a common value that no record has"


def _unsound(object_name: str, number: int, why: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"weights {name_of(number)} of {object_name} cannot be used: {why}",
        reason="WEIGHTS_UNSOUND",
        metadata={"object": object_name, "version": str(number)},
    )
