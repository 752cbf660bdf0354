"""What a tenant's records and people's answers teach, and whether that may be used at once. Pure.

Owns: the guards between learning and using. Learning that has too little to go by keeps what is; weights that
agree less with answers which were held out, or that move far, are for a person to look at.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from headwater.identity.domain.scoring.answers import Answer, agreement, improve
from headwater.identity.domain.scoring.changes import LevelChange, changes, moved_most
from headwater.identity.domain.scoring.learning import Plan, study
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.sizes import doublings_of, shipped_for
from headwater.identity.domain.scoring.soundness import faults
from headwater.identity.domain.scoring.versions import name_of
from headwater.identity.domain.scoring.weights import Weights

PLAN: Final = Plan()


class Outcome(StrEnum):
    """What came of learning."""

    KEPT = "kept"
    """Too little to learn from: what was active stays."""
    UNCHANGED = "unchanged"
    """Nothing moves that would be worth a version."""
    DOUBTFUL = "doubtful"
    """A person has to look before it is used; the findings say why."""
    FIT = "fit"
    """It may be used."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The guards.

    Args:
        pairs_min: pairs that share a strong key, below which records teach nothing.
        answers_min: people's answers, below which they alone teach nothing.
        moved_bits_max: a level that moves further needs a person.
        moved_bits_min: where none moves as far, there is no new version.
    """

    pairs_min: int = 50
    answers_min: int = 30
    moved_bits_max: float = 6.0
    moved_bits_min: float = 0.1


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learnt.

    Args:
        weights: none where too little was there.
        pairs: that share a strong key; answers: that taught; held: that judged.
        agreed_before: held-out answers that the active weights give; agreed_after: the new ones.
        from_answers: people's answers alone taught it.
    """

    outcome: Outcome
    weights: Weights | None
    records: int
    pairs: int
    answers: int
    held: int = 0
    agreed_before: int = 0
    agreed_after: int = 0
    findings: tuple[str, ...] = ()
    levels: tuple[LevelChange, ...] = ()
    from_answers: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What is learnt from.

    Args:
        number: that the new weights get.
        shared: generic values.
        population: of which the records are a random sample; 0 when they are all.
    """

    object: str
    number: int
    records: Sequence[Parts]
    answers: Sequence[Answer]
    active: Weights
    shared: frozenset[str]
    population: int = 0


def teach(subject: Subject, chance: random.Random, bounds: Bounds = Bounds(), plan: Plan = PLAN) -> Lesson:
    """Learn new weights and hold them against those that are active."""
    version = name_of(subject.number)
    taught = [one for one in subject.answers if not one.held]
    learnt = study(
        subject.object,
        subject.records,
        chance,
        plan,
        version=version,
        shared=subject.shared,
        population=subject.population,
    )
    few = learnt.pairs < bounds.pairs_min
    if few and len(taught) < bounds.answers_min:
        why = (
            f"{learnt.pairs} pairs that share a strong key and {len(taught)} answers are too few: "
            f"{bounds.pairs_min} or {bounds.answers_min} are needed"
        )
        return Lesson(Outcome.KEPT, None, len(subject.records), learnt.pairs, len(taught), findings=(why,))
    fitting = shipped_for(subject.object, doublings_of(subject.population))
    start = replace(fitting, version=version) if few else learnt.weights
    weights = improve(start, taught, subject.shared)
    return _judge(subject, weights, learnt.pairs, len(taught), bounds, few=few)


def _judge(
    subject: Subject, weights: Weights, pairs: int, taught: int, bounds: Bounds, *, few: bool
) -> Lesson:
    held = [one for one in subject.answers if one.held]
    before = agreement(subject.active, held, subject.shared)
    after = agreement(weights, held, subject.shared)
    levels = changes(subject.active, weights)
    most = moved_most(levels)
    findings = list(faults(weights, subject.object, subject.number))
    if after < before:
        findings.append(f"agrees with {after} of {len(held)} held-out answers, {before} before")
    if most.moved > bounds.moved_bits_max:
        findings.append(
            f"{most.field} {most.level} moves from {most.before:.1f} to {most.after:.1f} bits, "
            f"{bounds.moved_bits_max:.1f} at the most go unasked"
        )
    unchanged = most.moved < bounds.moved_bits_min and not findings
    outcome = Outcome.UNCHANGED if unchanged else Outcome.DOUBTFUL if findings else Outcome.FIT
    return Lesson(
        outcome,
        weights,
        len(subject.records),
        pairs,
        taught,
        len(held),
        before,
        after,
        tuple(findings),
        tuple(levels),
        from_answers=few,
    )
