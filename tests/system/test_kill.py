"""SIGKILL of any process at random instants loses nothing acknowledged and doubles nothing in a CRM."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import anyio
import pytest
from tests.system.chaos.history import History
from tests.system.chaos.journal import Journal
from tests.system.chaos.observing import observe
from tests.system.chaos.oracles import judge
from tests.system.chaos.stack import POSTGRES, Stack, running_stack
from tests.system.chaos.striking import Strikes, chosen_seed, strike
from tests.system.chaos.writing import Desk, write
from tests.system.tenant import Tenant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

KILLS = 10
SETTLE_S = 40.0
RETRY = {"fast_s": [0.05, 0.1, 0.2], "slow_s": [0.5] * 60, "in_doubt_s": 0.1}
"""Patient enough to outlast every absence of a CRM in a run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run, over."""

    journal: Journal
    strikes: Strikes
    history: History

    def __str__(self) -> str:
        effects = Counter(item.effect for item in self.history.arrivals)
        unknown = sum(map(len, self.journal.unknown.values()))
        return f"{self.strikes}; {len(self.journal.sent)} events, {unknown} unknown answers, {dict(effects)}"


async def _disturb(stack: Stack, tenant: Tenant, victims: list[str], seed: int) -> tuple[Journal, Strikes]:
    chance = random.Random(seed)
    strikes = Strikes(seed)
    desk = Desk(stack.world.address("ingest"), tenant.id, Journal(), anyio.Event())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, desk, random.Random(chance.random()))
        await strike(stack, victims, strikes, chance)
        desk.stop.set()
    return desk.journal, strikes


def _survive(victims: list[str]) -> Outcome:
    seed = chosen_seed()
    print(f"HEADWATER_TEST_SEED={seed}")  # noqa: T201 - a failed run is repeated by it
    with running_stack() as stack:
        tenant = stack.world.tenant(retry=RETRY, breaker={"failures": 5, "hold_s": 0.5, "hold_s_max": 1})
        journal, strikes = anyio.run(_disturb, stack, tenant, victims, seed)
        assert stack.fallen() == [], stack.world.logs()
        tenant.wait_until_settled(SETTLE_S)
        outcome = Outcome(journal, strikes, observe(stack, tenant))
    print(outcome)  # noqa: T201 - the figures of a run
    print(*judge(journal, outcome.history)[:40],sep='\n')
    from collections import Counter as C
    print(C((x.split(':')[0]) for x in judge(journal,outcome.history)))
    return outcome


@pytest.mark.parametrize("victim", ["ingest", "sync", POSTGRES])
def test_nothing_is_lost_or_doubled_when_one_is_killed(victim: str) -> None:
    """Ten kills of one process, at random instants under load, leave log, entities, audit and CRMs exact."""
    outcome = _survive([victim] * KILLS)

    assert judge(outcome.journal, outcome.history) == []
    assert outcome.strikes.count(victim) == KILLS


def test_nothing_is_lost_or_doubled_when_identity_the_crms_or_the_console_are_killed() -> None:
    """Ten kills of identity, two of the CRMs and two of the console leave everything exact."""
    outcome = _survive(["identity"] * KILLS + ["sandbox"] * 2 + ["console"] * 2)

    assert judge(outcome.journal, outcome.history) == []
    assert outcome.strikes.count("identity") == KILLS
