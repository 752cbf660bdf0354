"""Weights improved by what people answered in the review queue. Pure.

Answers are about doubtful pairs only, so they say nothing of how often a level comes about; what they do say is
whether the bits of such a pair lead to the right side. So each level's bits are moved as logistic regression moves
them, held back by a penalty: the best fit moves a level by at most `step_bits` for each answer that shows it, and by
`moved_bits_max` however many there are. The prior stays: it is of all pairs, and most are never asked about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from math import exp2, log
from typing import Final

from headwater.identity.domain.scoring.comparing import COMPARES, NONE_SHARED, Shared
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.weights import RARITIES, FieldWeights, Weights

HELD_OUT_OF: Final = 3
"""Of so many answers one is held out: it teaches nothing and judges what the others teach."""
_EXPONENT_MAX: Final = 60.0
_CURVATURE_MAX: Final = 0.25 * log(2)
"""Steepest change of a probability with a bit."""

Level = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """A pair that a person judged; held: it teaches nothing, and judges."""

    ours: Parts
    theirs: Parts
    same: bool
    held: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """How far answers reach.

    Args:
        step_bits: that one answer moves a level at the most.
        moved_bits_max: that all answers together move it.
        rounds: over all levels; a fit hardly changes after ten.
    """

    step_bits: float = 0.05
    moved_bits_max: float = 2.0
    rounds: int = 30


def is_held_out(low_id: str, high_id: str) -> bool:
    """Say whether the answer about two records is held out: always the same ones, whenever it is asked."""
    digest = blake2b(f"{low_id}|{high_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) % HELD_OUT_OF == 0


def improve(
    weights: Weights, answers: Iterable[Answer], shared: Shared = NONE_SHARED, reach: Reach = Reach()
) -> Weights:
    """Return *weights* with the bits of levels moved towards what people said; the very same without answers.

    Args:
        shared: generic values, which say less.
    """
    shown: dict[Level, list[int]] = defaultdict(list)
    sames: list[bool] = []
    bits: list[float] = []
    for number, answer in enumerate(answers):
        sames.append(answer.same)
        bits.append(score_bits(answer.ours, answer.theirs, weights, shared))
        for level in _levels(answer, weights, shared):
            shown[level].append(number)
    if not sames:
        return weights
    return _moved(weights, _fit(shown, sames, bits, reach))


def agreement(weights: Weights, answers: Sequence[Answer], shared: Shared = NONE_SHARED) -> int:
    """Return how many answers are those that even odds would give."""
    return sum((score_bits(one.ours, one.theirs, weights, shared) >= 0.0) == one.same for one in answers)


def _levels(answer: Answer, weights: Weights, shared: Shared) -> set[Level]:
    found = COMPARES[weights.object](answer.ours, answer.theirs, shared)
    named = ((field if field in weights.fields else fallback, level) for field, level, _, fallback in found)
    return {level for level in named if level[0] not in RARITIES}


def _fit(
    shown: dict[Level, list[int]], sames: Sequence[bool], bits: list[float], reach: Reach
) -> dict[Level, float]:
    """Return by how many bits each level moves: climbs level by level, by steps that cannot overshoot."""
    moves = dict.fromkeys(sorted(shown), 0.0)
    pull = 1.0 / reach.step_bits
    for _ in range(reach.rounds):
        for level in moves:
            numbers = shown[level]
            slope = sum(sames[n] - _probability(bits[n]) for n in numbers) - pull * moves[level]
            limit = min(reach.moved_bits_max, reach.step_bits * len(numbers))
            aim = moves[level] + slope / (_CURVATURE_MAX * len(numbers) + pull)
            aim = max(-limit, min(limit, aim))
            for n in numbers:
                bits[n] += aim - moves[level]
            moves[level] = aim
    return moves


def _probability(bits: float) -> float:
    return 1.0 / (1.0 + exp2(-max(-_EXPONENT_MAX, min(_EXPONENT_MAX, bits))))


def _moved(weights: Weights, moves: dict[Level, float]) -> Weights:
    by_field: dict[str, dict[int, float]] = defaultdict(dict)
    for (field, level), moved in moves.items():
        by_field[field][level] = moved
    fields = {
        name: _shifted(one, by_field[name]) if name in by_field else one
        for name, one in weights.fields.items()
    }
    return replace(weights, fields=fields)


def _shifted(one: FieldWeights, moves: dict[int, float]) -> FieldWeights:
    m = tuple(min(1.0, share * exp2(moves.get(level, 0.0))) for level, share in enumerate(one.m))
    return replace(one, m=m)
