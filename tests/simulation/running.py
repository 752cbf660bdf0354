"""One seed, judged: the run, its violations and its digest."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.simulation.checking import Violation, check
from tests.simulation.engine import PRODUCT
from tests.simulation.plan import Plan, make_plan
from tests.simulation.process import Parts
from tests.simulation.world import simulate


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a seed ended."""

    seed: int
    digest: str
    violations: tuple[Violation, ...]
    steps: int
    calls: int
    virtual_s: float
    wall_s: float
    journal: tuple[str, ...] = field(default=(), repr=False)

    @property
    def clean(self) -> bool:
        """Whether every invariant held."""
        return not self.violations


def judge(plan: Plan, parts: Parts = PRODUCT, *, keep: bool = False) -> Verdict:
    """Run *plan* and say what was wrong with it."""
    began = time.perf_counter()
    world, failure = simulate(plan, parts, keep=keep)
    violations = (
        check(world) if failure is None else [Violation("I9", f"{type(failure).__name__}: {failure}")]
    )
    return Verdict(
        plan.seed,
        world.journal.digest(),
        tuple(violations),
        world.loop.steps,
        sum(len(crm.arrivals) for crm in world.crms.values()),
        world.loop.time(),
        time.perf_counter() - began,
        tuple(world.journal.lines),
    )


def judge_seed(seed: int, parts: Parts = PRODUCT, *, keep: bool = False) -> Verdict:
    """Run the plan of *seed*."""
    return judge(make_plan(seed), parts, keep=keep)
