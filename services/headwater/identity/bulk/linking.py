"""Scores pairs and links records, in a worker: the domain's scores, linkage, guards and tiers on one task's records.

A group depends only on the pairs at or above the threshold that connect its records, so components can
be linked apart. Pairs whose bound lies below the threshold connect nothing, and where a component is small
enough all its pairs are scored; in a larger one the pairs below count as well, so it is handed back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import floor
from pathlib import Path
from typing import Final

import msgspec

from headwater.identity.bulk.packing import Task
from headwater.identity.bulk.storing import PartsReader, write_lines, write_whole
from headwater.identity.domain.clustering.guards import Guards
from headwater.identity.domain.clustering.linkage import Members, Rules, components
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.tiers import (
    MERGE_BITS_MIN,
    REVIEW_BITS_MIN,
    Merging,
    mergeable,
)
from headwater.identity.domain.scoring.weights import load

LINKED, REFUSED, APART = "linked", "refused", "apart"

Member = tuple[int, str, str, float | None]
"""Number of a record, the ids that name its group and its merge part, and its best bits within the group.

Bits are missing where no key brought it together with another of the group.
"""
Doubt = tuple[str, str, float, str]
"""Ids of two records, their bits, and what became of them: `linked`, `refused:` why, or `apart`."""


@dataclass(slots=True)
class Summary:
    """What one task came to, besides members and doubts, which stand in files of their own.

    Args:
        bands: by whole bits, how many pairs were linked.
        low, high, bits: of a task that is not whole, the pairs at or above the threshold.
        large: components that need all candidate pairs, as numbers of their records.
        compared: pairs whose score was worked out because a key brought them together.
    """

    bands: dict[int, int] = field(default_factory=dict)
    low: list[int] = field(default_factory=list)
    high: list[int] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    large: list[list[int]] = field(default_factory=list)
    compared: int = 0


@dataclass(slots=True)
class Linked:
    """What one task came to: records in groups of two or more, pairs that a person may want to see, the rest."""

    members: list[Member] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)


@dataclass(frozen=True, slots=True)
class Linking:
    """How pairs are scored and linked: pickled into every worker.

    Args:
        weights: their serial form.
        shared: generic values.
    """

    scratch: Path
    chunk_records: int
    weights: bytes
    shared: tuple[str, ...]
    rules: Rules = field(default_factory=Rules)

    def begin(self) -> Callable[[str, Task], Summary]:
        """Return what works on a task and leaves its files under the task's key."""
        linker = Linker(self)

        def run(key: str, task: Task) -> Summary:
            linked = linker.run(task)
            write_lines(self.scratch / f"members-{key}.jsonl", linked.members)
            write_lines(self.scratch / f"doubts-{key}.jsonl", linked.doubts)
            write_whole(summary_path(self.scratch, key), msgspec.json.encode(linked.summary))
            return linked.summary

        return run


def summary_path(scratch: Path, key: str) -> Path:
    """Where a task's summary stands; the file is there when the task is complete."""
    return scratch / f"linked-{key}.json"


def read_summary(path: Path) -> Summary:
    """Read the summary of a complete task."""
    return msgspec.json.decode(path.read_bytes(), type=Summary)


class Linker:
    """Works on one task after another."""

    def __init__(self, how: Linking) -> None:
        self._how = how
        self._reader = PartsReader(how.scratch, how.chunk_records)
        self._weights = load(how.weights)

    def run(self, task: Task) -> Linked:
        """Score the pairs of a task, and link where its components are whole."""
        records = self._reader.read({*task.low, *task.high})
        memory = Memory(self._weights, self._how.rules)
        memory.shared.update(self._how.shared)
        memory.parts.update(records.values())
        found = Linked()
        if task.bits:
            for low, high, bits in zip(task.low, task.high, task.bits, strict=True):
                one, other = records[low][0], records[high][0]
                memory.edges[one][other] = memory.edges[other][one] = bits
        else:
            found.summary.compared = len(task)
            for low, high in zip(task.low, task.high, strict=True):
                memory.compare(records[low][0], records[high][0])
        if not task.whole:
            _hand_back(task, {number: name for number, (name, _) in records.items()}, memory, found)
            return found
        numbers = {name: number for number, (name, _) in records.items()}
        self._link(memory, numbers, found, all_pairs=task.all_pairs)
        return found

    def _link(self, memory: Memory, numbers: dict[str, int], found: Linked, *, all_pairs: bool) -> None:
        guards = Guards(memory.parts, memory.rules, shared=memory.shared)
        merging = Merging(memory.parts, memory.shared)
        for component in components(sorted(memory.parts), memory.edges, memory.tie_bits_min):
            if len(component) == 1:
                continue
            if len(component) > memory.rules.completed_max and not all_pairs:
                found.summary.large.append([numbers[one] for one in component])
                continue
            groups = memory.group_component(component, guards)
            refused = {
                (one, other): item.reason
                for item in groups.refused
                for one in item.left
                for other in item.right
            }
            for group in groups.groups:
                if len(group) > 1:
                    found.members.extend(_members(group, memory, merging, numbers))
            group_of = {one: group[0] for group in groups.groups for one in group}
            _note_pairs(component, memory, group_of, refused, found)


def _hand_back(task: Task, names: dict[int, str], memory: Memory, found: Linked) -> None:
    summary = found.summary
    for one, other in zip(task.low, task.high, strict=True):
        weight = memory.edges[names[one]].get(names[other], _BELOW)
        if weight >= memory.tie_bits_min:
            summary.low.append(one)
            summary.high.append(other)
            summary.bits.append(weight)


def _members(group: Members, memory: Memory, merging: Merging, numbers: dict[str, int]) -> Iterator[Member]:
    inside = set(group)
    for part in mergeable(group, memory.edges, merging):
        for one in part:
            best = max((bits for other, bits in memory.edges[one].items() if other in inside), default=None)
            yield numbers[one], group[0], part[0], best


def _note_pairs(
    component: Iterable[str],
    memory: Memory,
    group_of: dict[str, str],
    refused: dict[tuple[str, str], str],
    found: Linked,
) -> None:
    """Count linked pairs by band, and note the doubtful ones: linked on little, or apart on much."""
    for one in component:
        for other, bits in memory.edges[one].items():
            if other <= one or bits < memory.rules.bits_min or other not in group_of:
                continue  # another component: what joins two counts too little to tie them
            if group_of[one] == group_of[other]:
                band = floor(min(bits, _BAND_MAX))
                bands = found.summary.bands
                bands[band] = bands.get(band, 0) + 1
                if bits < REVIEW_BITS_MIN:
                    found.doubts.append((one, other, bits, LINKED))
                continue
            reason = refused.get((one, other)) or refused.get((other, one))
            if reason is not None and bits >= REVIEW_BITS_MIN:
                found.doubts.append((one, other, bits, f"{REFUSED}: {reason}"))
            elif bits >= REVIEW_BITS_MIN:
                found.doubts.append((one, other, bits, APART))


_BELOW: Final = -1_000.0
_BAND_MAX: Final = MERGE_BITS_MIN * 2
