"""One of eight connectors is dead, hangs or is throttled: what the other seven feel, against their own baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
from tests.load.figures import percentile
from tests.load.sync import facts
from tests.load.sync.ground import Ground, World, until
from tests.load.sync.latency import RECORDS, WARM_UP_S
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
UNSETTLED_OF_OTHERS: Final = (
    "select exists (select from sync.delivery where state in (1, 3, 4) and connector <> $1)"
)
UNSETTLED: Final = "select exists (select from sync.delivery where state in (1, 3, 4))"
RECOVER_S_MAX: Final = 90.0
SETTLE_GRACE_S: Final = 0.3


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
            await _recover(world)
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

    async def settled() -> bool:
        return not await world.look.fetchval(UNSETTLED_OF_OTHERS, world.accounts[0].name)

    await until(settled, "the seven settled", RECOVER_S_MAX)
    seen = await latencies(world, offered, others)
    return first + len(offered.numbers), [value for one in seen.values() for value in one.settled_ms]


async def _recover(world: World) -> None:
    async def settled() -> bool:
        return not await world.look.fetchval(UNSETTLED)

    await until(settled, "the eighth recovered", RECOVER_S_MAX)
    await anyio.sleep(SETTLE_GRACE_S)
