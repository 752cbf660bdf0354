"""One of eight connectors is dead, hangs or is throttled: what the other seven feel, against their own baseline.

Windows without and with a fault take turns inside a round, so that what drifts - caches, tables, the machine -
drifts for both; the windows of a kind are pooled before their percentile is taken, so that it stands on thousands
of deliveries. The load leaves most of the machine idle: on a saturated one a p99 tells of the queue for its cores,
not of what one connector costs the others. The cores in use are told beside each figure, so that this can be seen.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psutil
from tests.load.figures import percentile
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.ground import METERED, Ground, World
from tests.load.sync.latency import WARM_UP_S, until_settled
from tests.load.sync.pacing import latencies, offer

RATE: Final = 8.0
"""Events per second, each for eight accounts: 64 deliveries/s."""
RECORDS: Final = 100_000
"""Records that take turns: every event is of a record of its own, so no delivery replaces another."""
TIMEOUT_S: Final = 2.0
"""Of one call: short, so that a hanging CRM comes round many times in a window."""
CYCLES: Final = 2
"""How often every fault comes round; before and after each window with a fault is one without."""
SAMPLES_MIN: Final = 300
"""Deliveries that a percentile stands on at least."""
OTHERS_CORES_MAX: Final = 0.5
"""Cores that all else on the machine, the producer among it, may use before the run says so."""
FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "dead": {"kind": "error_5xx", "status": 503},
    "hanging": {"kind": "hang"},
    "throttled": {"kind": "storm_429", "retry_after_s": 1},
}
HEALTHY: Final = ""
LEFT: Final = (
    "select connector, state, count(*), min(dirty_time)::text, max(last_error) from sync.delivery"
    " where state in (1, 3, 4) group by 1, 2 order by 1, 2"
)


@dataclass(slots=True)
class Felt:
    """What the seven felt in the windows of one kind.

    Args:
        busy_s: CPU seconds of each process, by name.
        machine_s: CPU seconds of all that ran on the machine.
        seconds: length of the windows.
    """

    settled_ms: list[float] = field(default_factory=list)
    busy_s: dict[str, float] = field(default_factory=dict)
    machine_s: float = 0.0
    seconds: float = 0.0

    @property
    def cores(self) -> float:
        """Cores in use."""
        return sum(self.busy_s.values()) / self.seconds

    @property
    def others_cores(self) -> float:
        """Cores in use by what is not Headwater: where they are many, the machine is what was measured."""
        return self.machine_s / self.seconds - self.cores

    def shown_cores(self) -> dict[str, float]:
        """Return the cores that each process used."""
        return {name: busy_s / self.seconds for name, busy_s in self.busy_s.items()}


@dataclass(frozen=True, slots=True)
class Isolated:
    """One fault beside the baseline of the same round: percentiles of the seven, in ms.

    Args:
        baseline_cores: cores that all processes used.
        extra_cores: what each process used more, or less, with the fault.
        others_cores: what all else on the machine used, in the busier of both kinds of windows.
        samples: deliveries with the fault.
    """

    fault: str
    baseline_p99_ms: float
    faulted_p99_ms: float
    baseline_p50_ms: float
    faulted_p50_ms: float
    baseline_cores: float
    faulted_cores: float
    extra_cores: Mapping[str, float]
    others_cores: float
    samples: int

    @property
    def ratio(self) -> float:
        """The seven's p99 with the fault over that without."""
        return self.faulted_p99_ms / self.baseline_p99_ms


async def isolate(ground: Ground, seconds: float) -> list[Isolated]:
    """Measure windows without and with each fault in turn, on one world, *seconds* of each fault.

    Raises:
        MeasurementFailed: deliveries of the seven were not settled, or too few were measured.
    """
    felt = {name: Felt() for name in (HEALTHY, *FAULTS)}
    async with ground.world(facts.EIGHT) as world:
        await world.apply_policy(timeout_s=TIMEOUT_S)
        await world.until_connected()
        first = await _window(world, 0, WARM_UP_S, Felt())
        for _ in range(CYCLES):
            for name, fault in FAULTS.items():
                first = await _window(world, first, seconds / CYCLES, felt[HEALTHY])
                await world.arm(world.accounts[0], fault)
                first = await _window(world, first, seconds / CYCLES, felt[name])
                await world.arm(world.accounts[0])
                await _until_settled(world, first)
        await _window(world, first, seconds / CYCLES, felt[HEALTHY])
    found = [_isolated(name, felt[HEALTHY], felt[name]) for name in FAULTS]
    _tell_busy(found)
    return found


async def _window(world: World, first: int, seconds: float, felt: Felt) -> int:
    """Offer for *seconds*; return the next number, and add what all accounts but the first felt."""
    before, machine_s = await world.used(), _machine_s()
    offered = await offer(world, rate=RATE, seconds=seconds, first=first, records=RECORDS)
    after = await world.used()
    felt.machine_s += _machine_s() - machine_s
    following = first + len(offered.numbers)
    await _until_settled(world, following, but=world.accounts[0].name)
    seen = await latencies(world, offered, world.accounts[1:])
    felt.settled_ms += [value for one in seen.values() for value in one.settled_ms]
    felt.seconds += seconds
    for name in METERED:
        used_s = after.cpu_s[name] - before.cpu_s[name]
        felt.busy_s[name] = felt.busy_s.get(name, 0.0) + used_s
    return following


async def _until_settled(world: World, offered: int, but: str = "") -> None:
    """As `until_settled`; a failure tells what is left, and what sync said.

    Raises:
        MeasurementFailed.
    """
    try:
        await until_settled(world, offered, but)
    except MeasurementFailed as failed:
        left = [tuple(row) for row in await world.look.fetch(LEFT)]
        sys.stderr.write(f"{world.children['sync'].log_end()}\n")
        raise MeasurementFailed(f"{failed}; left are {left}") from failed


def _machine_s() -> float:
    """Return CPU seconds that the machine has spent on anything."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _tell_busy(found: Sequence[Isolated]) -> None:
    """Say when the machine had other work: then its queues are in the percentiles, and no verdict counts for much."""
    most = max(one.others_cores for one in found)
    if most > OTHERS_CORES_MAX:
        sys.stderr.write(f"the machine was busy with other work: {most:.2f} cores; measure again\n")


def _isolated(name: str, healthy: Felt, faulted: Felt) -> Isolated:
    _check_samples(healthy.settled_ms, faulted.settled_ms)
    usual = healthy.shown_cores()
    return Isolated(
        name,
        percentile(healthy.settled_ms, 0.99),
        percentile(faulted.settled_ms, 0.99),
        percentile(healthy.settled_ms, 0.5),
        percentile(faulted.settled_ms, 0.5),
        healthy.cores,
        faulted.cores,
        {part: used - usual[part] for part, used in faulted.shown_cores().items()},
        max(healthy.others_cores, faulted.others_cores),
        len(faulted.settled_ms),
    )


def _check_samples(*seen: Sequence[float]) -> None:
    fewest = min(map(len, seen))
    if fewest < SAMPLES_MIN:
        raise MeasurementFailed(f"{fewest} deliveries are too few for a p99: at least {SAMPLES_MIN}")
