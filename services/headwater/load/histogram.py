"""Latencies in little room with a known error: buckets that are exact below 512 us and within 0.4 % above. Pure.

The layout is that of HDR histograms (G. Tene): every power of two is cut into the same number of buckets. Sparse, so
that a second's worth is small enough to be sent from process to process as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

_SUB_BITS: Final = 8
_EXACT: Final = 2 << _SUB_BITS
ERROR_MAX: Final = 1 / (1 << _SUB_BITS) / 2
"""Largest relative error of a value told: half a bucket's width."""
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)


class Histogram:
    """Counts of whole microseconds, from 0; any number of them merge into one."""

    __slots__ = ("buckets", "count", "largest_us", "total_us")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total_us = 0
        self.largest_us = 0

    def record(self, value_us: int, count: int = 1) -> None:
        """Count a latency; a negative one counts as 0."""
        value_us = max(value_us, 0)
        if value_us < _EXACT:
            index = value_us
        else:
            shift = value_us.bit_length() - _SUB_BITS - 1
            index = (shift << _SUB_BITS) + (value_us >> shift)
        self.buckets[index] = self.buckets.get(index, 0) + count
        self.count += count
        self.total_us += value_us * count
        self.largest_us = max(self.largest_us, value_us)

    def merge(self, other: Histogram) -> None:
        """Add all that *other* counted."""
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        self.count += other.count
        self.total_us += other.total_us
        self.largest_us = max(self.largest_us, other.largest_us)

    def percentile_us(self, percent: float) -> float | None:
        """Return the value that *percent* of 100 do not exceed, nearest rank; None when nothing was counted."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100 - 1e-9))
        if rank >= self.count:
            return float(self.largest_us)
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                return min(_middle_us(index), float(self.largest_us))
        raise AssertionError("a histogram's buckets hold fewer than its count")

    @property
    def mean_us(self) -> float | None:
        """The mean, exact; None when nothing was counted."""
        return self.total_us / self.count if self.count else None

    def plain(self) -> dict[str, object]:
        """Return the histogram as JSON values, for `of`."""
        return {"b": list(self.buckets.items()), "t": self.total_us, "m": self.largest_us}

    @classmethod
    def of(cls, plain: Mapping[str, object]) -> Histogram:
        """Return the histogram that `plain` told of."""
        found = cls()
        pairs: Iterable[tuple[int, int]] = plain["b"]  # type: ignore[assignment]
        found.buckets = {index: count for index, count in pairs}  # noqa: C416 - pairs come as lists
        found.count = sum(found.buckets.values())
        found.total_us = int(plain["t"])  # type: ignore[call-overload]
        found.largest_us = int(plain["m"])  # type: ignore[call-overload]
        return found

    def summary_ms(self) -> dict[str, float | None]:
        """Return p50, p90, p99, p99.9, max and mean in milliseconds."""
        named = {f"p{percent:g}": self.percentile_us(percent) for percent in PERCENTILES}
        largest = float(self.largest_us) if self.count else None
        values = named | {"max": largest, "mean": self.mean_us}
        return {name: None if value is None else round(value / 1000, 3) for name, value in values.items()}


def _middle_us(index: int) -> float:
    """Return the middle of a bucket."""
    if index < _EXACT:
        return float(index)
    shift = (index >> _SUB_BITS) - 1
    low = (index - (shift << _SUB_BITS)) << shift
    return low + ((1 << shift) - 1) / 2
