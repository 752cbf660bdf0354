"""The search for the highest rate that the service keeps up with. Pure: from what was seen to what is tried next.

Doubling until a rate fails, then halving the gap until it is narrow. A rate is kept when the corrected p99 stays within
the bound and nearly everything offered was acknowledged: a queue that grows shows in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

KEPT_SHARE_MIN: Final = 0.97
"""Share of the offered rate that must be acknowledged, the last calls being still under way."""
GAP_SHARE: Final = 0.05
"""The search ends when the least failing rate is within this of the best one."""
GROWTH: Final = 2.0
SHRINK: Final = 0.25
PROBES_MAX: Final = 16
RATE_MIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One rate tried.

    Args:
        rate: offered, events a second.
        achieved: acknowledged, events a second.
        p99_ms: corrected; None when nothing was answered.
        faults: calls that ended with an error, pushed back ones included.
    """

    rate: float
    achieved: float
    p99_ms: float | None
    faults: int = 0


def keeps(probe: Probe, p99_ms_max: float) -> bool:
    """Return whether the service kept up with a probe."""
    quick = probe.p99_ms is not None and probe.p99_ms <= p99_ms_max
    return quick and probe.achieved >= probe.rate * KEPT_SHARE_MIN and not probe.faults


def best(probes: Sequence[Probe], p99_ms_max: float) -> Probe | None:
    """Return the highest rate that was kept below the least that failed; None when none was."""
    failed = min((item.rate for item in probes if not keeps(item, p99_ms_max)), default=float("inf"))
    kept = [item for item in probes if keeps(item, p99_ms_max) and item.rate < failed]
    return max(kept, key=lambda item: item.rate, default=None)


def next_rate(probes: Sequence[Probe], first_rate: float, p99_ms_max: float) -> float | None:
    """Return the rate to try next; None when the search is over."""
    if not probes:
        return first_rate
    if len(probes) >= PROBES_MAX:
        return None
    failed = min((item.rate for item in probes if not keeps(item, p99_ms_max)), default=None)
    kept = best(probes, p99_ms_max)
    if failed is None:
        return max(item.rate for item in probes) * GROWTH
    if kept is None:
        return failed * SHRINK if failed > RATE_MIN else None
    if failed - kept.rate <= failed * GAP_SHARE:
        return None
    return (failed + kept.rate) / 2
