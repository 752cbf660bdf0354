"""How good a partition is against the truth: pairwise, B-cubed, sizes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rates:
    """Precision and recall; 1 where there was nothing to get wrong."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def pairwise(predicted: Mapping[str, str], truth: Mapping[str, str]) -> Rates:
    """Compare all pairs that a group holds."""
    both = sum(map(_pairs, Counter((predicted[r], truth[r]) for r in truth).values()))
    found = sum(map(_pairs, Counter(predicted[r] for r in truth).values()))
    true = sum(map(_pairs, Counter(truth.values()).values()))
    return Rates(_ratio(both, found), _ratio(both, true))


def b_cubed(predicted: Mapping[str, str], truth: Mapping[str, str]) -> Rates:
    """Compare each record's group with its true one, averaged over records."""
    joint = Counter((predicted[r], truth[r]) for r in truth)
    found = Counter(predicted[r] for r in truth)
    true = Counter(truth.values())
    precision = sum(n * n / found[group] for (group, _), n in joint.items())
    recall = sum(n * n / true[group] for (_, group), n in joint.items())
    return Rates(_ratio(precision, len(truth)), _ratio(recall, len(truth)))


def wrong_merges(predicted: Mapping[str, str], truth: Mapping[str, str]) -> int:
    """Return how many unions of different things the groups hold: a group of three things holds two."""
    return len({(predicted[r], truth[r]) for r in truth}) - len({predicted[r] for r in truth})


def largest(groups: Mapping[str, str]) -> int:
    """Return the size of the largest group."""
    return max(Counter(groups.values()).values(), default=0)


def identical(one: Iterable[Sequence[str]], other: Iterable[Sequence[str]]) -> float:
    """Return the share of groups of either side that the other has too."""
    left, right = {frozenset(g) for g in one}, {frozenset(g) for g in other}
    return _ratio(2 * len(left & right), len(left) + len(right))
