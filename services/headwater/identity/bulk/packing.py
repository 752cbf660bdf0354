"""Pairs by connected records, packed into tasks of about one size. Pure, deterministic."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Task:
    """Pairs that one worker takes.

    Args:
        whole: the pairs are those of whole components, so that they can be linked; else they are only scored.
        all_pairs: every candidate pair of its components is there, those below the threshold too.
        bits: of each pair, where they are known; empty where they are not.
    """

    whole: bool
    all_pairs: bool = False
    low: array[int] = field(default_factory=lambda: array("q"))
    high: array[int] = field(default_factory=lambda: array("q"))
    bits: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.low)


class Components:
    """Which records pairs connect, by number."""

    def __init__(self, records: int) -> None:
        self._parent = array("q", range(records))

    def join(self, one: int, other: int) -> None:
        """Connect two records; a component is called by its smallest."""
        one, other = self.of(one), self.of(other)
        if one != other:
            self._parent[max(one, other)] = min(one, other)

    def of(self, record: int) -> int:
        """Return the component of a record."""
        parent = self._parent
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record


def pack(
    low: Sequence[int],
    high: Sequence[int],
    bits: Sequence[float],
    records: int,
    pairs_max: int,
    *,
    cut: bool,
) -> list[Task]:
    """Return tasks that hold all pairs, about *pairs_max* each.

    Args:
        low, high: of each pair; numbers below *records*.
        bits: of each pair, or nothing.
        cut: components of more than *pairs_max* pairs are cut; else they stay whole too.
    """
    components = Components(records)
    for one, other in zip(low, high, strict=True):
        components.join(one, other)
    sizes: dict[int, int] = {}
    for one in low:
        root = components.of(one)
        sizes[root] = sizes.get(root, 0) + 1
    task_of = _assigned(sizes, pairs_max, cut=cut)
    tasks = [Task(whole=True) for _ in range(max(task_of.values(), default=-1) + 1)]
    rest = Task(whole=False)
    for at, one in enumerate(low):
        place = task_of.get(components.of(one))
        task = rest if place is None else tasks[place]
        task.low.append(one)
        task.high.append(high[at])
        if bits:
            task.bits.append(bits[at])
    return [*_slices(rest, pairs_max), *tasks]


def _assigned(sizes: dict[int, int], pairs_max: int, *, cut: bool) -> dict[int, int]:
    """Return the task of each component that stays whole, in order of the components."""
    task_of: dict[int, int] = {}
    task, held = 0, 0
    for root in sorted(sizes):
        if cut and sizes[root] > pairs_max:
            continue
        if held and held + sizes[root] > pairs_max:
            task, held = task + 1, 0
        task_of[root] = task
        held += sizes[root]
    return task_of


def _slices(task: Task, pairs_max: int) -> Iterator[Task]:
    for start in range(0, len(task), pairs_max):
        stop = start + pairs_max
        yield Task(whole=False, low=task.low[start:stop], high=task.high[start:stop])
