"""Makes a failing plan smaller: fewer faults, fewer events, fewer processes, as long as it still breaks the same way.

The same deltas as ddmin (Zeller, Hildebrandt 2002), greedy, bounded by a number of runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from tests.simulation.plan import Plan

RUNS_MAX: Final = 150
"""Runs that shrinking one plan may take."""
Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails, runs_max: int = RUNS_MAX) -> Plan:
    """Return the smallest plan found that still *fails*, which *plan* does."""
    left = runs_max
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _candidates(plan):
            left -= 1
            if fails(candidate):
                plan, smaller = candidate, True
                break
            if left <= 0:
                break
    return plan


def _candidates(plan: Plan) -> Iterator[Plan]:
    if plan.processes > 1:
        yield replace(plan, processes=plan.processes - 1)
    for faults in _without(plan.faults):
        yield replace(plan, faults=faults)
    for events in _without(plan.events):
        yield replace(plan, events=events)


def _without(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield *items* without each half, quarter, ... and at last each single one."""
    size = len(items) // 2 or len(items)
    while size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2
