"""Bits of pairs that no key brought together, remembered from batch to batch: a crowd is met again and again.

All pairs of a component are scored each time it is grouped, half its size squared; whoever joins a large one changes none
of those that are there. What is remembered is a pure function of what the two records say, so it is never wrong, only gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.weights import Weights

CROWD_MIN: Final = 8
"""Records of a component from which it is remembered: in smaller ones a look costs as much as a score."""
RECORDS_MAX: Final = 16_384
PAIRS_MAX: Final = 131_072
"""With the records, some 25 MB."""
WEIGHTS_MAX: Final = 64

Pair = tuple[int, int, int]
"""Version of the weights and the numbers of two records, the lower first."""


class Remembered:
    """Numbers of records as they were stored, and bits of their pairs; the oldest make room."""

    def __init__(self, records_max: int = RECORDS_MAX, pairs_max: int = PAIRS_MAX) -> None:
        self._records: dict[str, tuple[bytes, int]] = {}
        self._records_max, self._pairs_max = records_max, pairs_max
        self._last = 0
        self._weights: dict[int, tuple[Weights, int]] = {}
        self.bits: dict[Pair, float] = {}

    def version_of(self, weights: Weights) -> int:
        """Return a number for these very weights; their name alone would not do, learnt ones are a tenant's."""
        held = self._weights.get(id(weights))
        if held is None:
            self._last += 1
            held = self._weights[id(weights)] = weights, self._last  # held, so that no others get its id
            while len(self._weights) > WEIGHTS_MAX:
                del self._weights[next(iter(self._weights))]
        return held[1]

    def numbers(
        self,
        records: Iterable[str],
        stored: Mapping[str, bytes],
        parts: Mapping[str, Parts],
        shared: AbstractSet[str],
    ) -> dict[str, int]:
        """Return a number for each record, another one when it says something else.

        None for those not stored yet, and for those of which a value is shared now: what it weighs may change back.
        """
        found: dict[str, int] = {}
        for one in records:
            said = stored.get(one)
            if said is None or (shared and _has_any(parts[one], shared)):
                continue
            held = self._records.get(one)
            if held is None or held[0] != said:
                self._last += 1
                held = self._records[one] = said, self._last
            found[one] = held[1]
        self._bound()
        return found

    def _bound(self) -> None:
        while len(self._records) > self._records_max:
            del self._records[next(iter(self._records))]
        while len(self.bits) > self._pairs_max:
            del self.bits[next(iter(self.bits))]


def _has_any(parts: Parts, shared: AbstractSet[str]) -> bool:
    """Say whether a value of a record is shared, of those that may be."""
    return (
        not shared.isdisjoint(parts.phones)
        or not shared.isdisjoint(parts.domains)
        or any(box.address in shared for box in parts.mailboxes)
    )
