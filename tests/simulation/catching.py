"""Hunting an ablation: how many seeds until some invariant breaks that holds for the product."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.ablations import ABLATIONS, Ablation
from tests.simulation.running import judge_seed


@dataclass(frozen=True, slots=True)
class Catch:
    """How an ablation was caught.

    Args:
        seeds: seeds that it took; all that were tried, when no invariant broke.
    """

    name: str
    lacks: str
    seeds: int
    invariants: tuple[str, ...] = ()
    where: str = ""


def hunt(ablation: Ablation, seeds: int) -> Catch:
    """Run seeds until one is broken by *ablation*, and only by it."""
    for seed in range(seeds):
        verdict = judge_seed(seed, ablation.parts)
        if verdict.clean or not judge_seed(seed).clean:
            continue
        invariants = tuple(sorted({item.invariant for item in verdict.violations}))
        return Catch(ablation.name, ablation.lacks, seed + 1, invariants, verdict.violations[0].where)
    return Catch(ablation.name, ablation.lacks, seeds)


def hunt_by_name(name: str, seeds: int) -> Catch:
    """Hunt the ablation called *name*."""
    return hunt(next(item for item in ABLATIONS if item.name == name), seeds)


def catches(name: str, seed: int) -> bool:
    """Return whether *seed* is broken by the ablation called *name*."""
    ablation = next(item for item in ABLATIONS if item.name == name)
    return not judge_seed(seed, ablation.parts).clean
