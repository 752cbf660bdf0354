"""One run: writers at work, victims killed, then quiet; returns all that an oracle wants to know."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from tests.system.chaos.history import History
from tests.system.chaos.journal import Journal
from tests.system.chaos.stack import Stack
from tests.system.chaos.striking import SEED_VARIABLE, Strikes, chosen_seed, strike
from tests.system.chaos.writing import Desk, write
from tests.system.tenant import Tenant

PATIENT: Final[Mapping[str, Any]] = {
    "retry": {"fast_s": [0.05, 0.1, 0.2], "slow_s": [0.5] * 60, "in_doubt_s": 0.1},
    "breaker": {"failures": 5, "hold_s": 0.5, "hold_s_max": 1},
}
"""Policy of a tenant whose deliveries outlast every absence of a CRM in a run."""
SHOWN_MAX: Final = 30


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over: what was asked, and what was killed when."""

    journal: Journal
    strikes: Strikes


def disturb(stack: Stack, tenant: Tenant, victims: Sequence[str]) -> Run:
    """Write while each of *victims* is killed and started again; return when every key is answered."""
    seed = chosen_seed()
    sys.stdout.write(f"{SEED_VARIABLE}={seed}\n")  # before anything can hang: pytest shows it with a failure
    return anyio.run(_disturb, stack, tenant, victims, seed)


async def _disturb(stack: Stack, tenant: Tenant, victims: Sequence[str], seed: int) -> Run:
    chance = random.Random(seed)
    strikes = Strikes(seed)
    desk = Desk(stack.world.address("ingest"), tenant.id, Journal(), anyio.Event())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, desk, random.Random(chance.random()))
        await strike(stack, victims, strikes, chance)
        desk.stop.set()
    return Run(desk.journal, strikes)


def tell(run: Run, history: History, violations: Sequence[str]) -> str:
    """Return the figures of a run and its first violations, to be read by people."""
    effects = dict(Counter(item.effect for item in history.arrivals))
    unknown = sum(map(len, run.journal.unknown.values()))
    figures = (
        f"{run.strikes}; {len(run.journal.sent)} events, {unknown} unknown answers, CRM writes {effects}"
    )
    more = [f"... and {len(violations) - SHOWN_MAX} more"] if len(violations) > SHOWN_MAX else []
    return "\n".join([figures, *violations[:SHOWN_MAX], *more])
