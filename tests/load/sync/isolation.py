"""One of eight connectors is dead, hangs or is throttled: what the other seven feel, against their own baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.load.figures import percentile
from tests.load.sync import facts
from tests.load.sync.ground import Ground, World
from tests.load.sync.latency import RECORDS, WARM_UP_S, until_settled
from tests.load.sync.pacing import latencies, offer

RATE: Final = 25.0
"""Events per second, each for eight accounts: 200 deliveries/s."""
TIMEOUT_S: Final = 2.0
"""Of one call: short, so that a hanging CRM comes round many times in a window."""
FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "dead": {"kind": "error_5xx", "status": 503},
    "hanging": {"kind": "hang"},
    "throttled": {"kind": "storm_429", "retry_after_s": 1},
}


@dataclass(frozen=True, slots=True)
class Isolated:
    """One fault beside the baseline of the same round: p99 of the seven, in ms."""

    fault: str
    baseline_p99_ms: float
    faulted_p99_ms: float
    baseline_p50_ms: float
    faulted_p50_ms: float

    @property
    def ratio(self) -> float:
        """The seven's p99 with the fault over that without."""
        return self.faulted_p99_ms / self.baseline_p99_ms


async def isolate(ground: Ground, seconds: float) -> list[Isolated]:
    """Measure a baseline and a fault in turn for each fault, on one world."""
    found: list[Isolated] = []
    async with ground.world(facts.EIGHT) as world:
        await world.apply_policy(timeout_s=TIMEOUT_S)
        await world.until_connected()
        first = 0
        first, _ = await _window(world, first, WARM_UP_S)
        for name, fault in FAULTS.items():
            first, baseline = await _window(world, first, seconds)
            await world.arm(world.accounts[0], fault)
            first, faulted = await _window(world, first, seconds)
            await world.arm(world.accounts[0])
            await until_settled(world, first)
            found.append(
                Isolated(
                    name,
                    percentile(baseline, 0.99),
                    percentile(faulted, 0.99),
                    percentile(baseline, 0.5),
                    percentile(faulted, 0.5),
                )
            )
    return found


async def _window(world: World, first: int, seconds: float) -> tuple[int, list[float]]:
    """Offer for *seconds*; return the next number and the latencies of all accounts but the first."""
    offered = await offer(world, rate=RATE, seconds=seconds, first=first, records=RECORDS)
    others = world.accounts[1:]

    await until_settled(world, first + len(offered.numbers), but=world.accounts[0].name)
    seen = await latencies(world, offered, others)
    return first + len(offered.numbers), [value for one in seen.values() for value in one.settled_ms]
