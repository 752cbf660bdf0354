"""What numbering, hashing and signing the audit takes from the whole path: a backlog drained with it and without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync.backlog import PROCESSES, Drained, drain
from tests.load.sync.ground import Ground

WITHOUT: Final[Mapping[str, str]] = {**PROCESSES, "HEADWATER_SYNC_AUDIT_LOOK_S": "60"}
"""The keeper looks once, at the start, and not again while the backlog drains."""
WITH: Final[Mapping[str, str]] = PROCESSES
LAG_SHARE_MAX: Final = 0.5
"""Of the entries, how many may wait for their number when the last delivery is settled: else it fell behind."""
COUNTED: Final = ("sync", "postgres")
"""Whose CPU the audit takes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One drain with the keeper, one without, right after each other."""

    kept: Drained
    bare: Drained

    @property
    def throughput_cost(self) -> float:
        """Percent of the rate that is lost."""
        return (1 - self.kept.rate / self.bare.rate) * 100

    @property
    def cpu_cost(self) -> float:
        """Percent of the CPU of all processes that comes on top."""
        bare = sum(self.bare.cpu_us.values())
        return sum(self.kept.cpu_us[name] - self.bare.cpu_us[name] for name in COUNTED) / bare * 100


async def measure(ground: Ground, events: int, *, kept_first: bool) -> Pair:
    """Drain a backlog twice.

    Raises:
        MeasurementFailed: one did not drain, or the keeper did what it should not, or not what it should.
    """
    first = await drain(ground, events, extra=WITH if kept_first else WITHOUT)
    second = await drain(ground, events, extra=WITHOUT if kept_first else WITH)
    pair = Pair(first, second) if kept_first else Pair(second, first)
    if pair.bare.numbered > pair.bare.audited * (1 - LAG_SHARE_MAX):
        raise MeasurementFailed(f"the control numbered {pair.bare.numbered} entries")
    if pair.kept.numbered < pair.kept.audited * LAG_SHARE_MAX:
        raise MeasurementFailed(
            f"the keeper fell behind: {pair.kept.numbered} of {pair.kept.audited} numbered"
        )
    return pair
