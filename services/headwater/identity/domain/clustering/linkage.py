"""Best-first average linkage: which records of a neighbourhood are one entity. Pure, order-free.

Owns: the partition of a set of records, given the scores of their pairs. Must not: score, look
anything up, or name entities.

Connected components would let one wrong pair glue two people's records together; an average over
all cross pairs, with pairs never compared counted against, needs most of the evidence to agree.
Pairs that an identifier names as one go first, then the best average; an id decides between equals only, since
the same records must end in the same groups whatever they are called.
Every merge needs a cross pair at or above the threshold, so components of such pairs can be
clustered apart: what is outside a component never changes what is inside.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Members = tuple[str, ...]
Edges = Mapping[str, Mapping[str, float]]
"""Bits of each compared pair, both ways round."""

MUST: Final = 1_000.0
"""Bits that stand for a must-link: no average of ordinary pairs outweighs it."""
CANNOT: Final = -1_000.0
"""Bits that stand for a veto."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When two groups of records become one.

    Args:
        bits_min: average over all cross pairs that a union needs. Source: identity research, table 4.
        people_tie_bits_min: people are grouped together where pairs of so many bits connect them; see `tie_bits_min`.
        missing_bits: what a pair that was never compared counts: only in components above `completed_max`.
        pair_bits_max: cap of one pair, so that one strong pair does not carry a crowd.
        pair_bits_min: floor of one pair, the same for contradictions.
        records_max: a union beyond this many records is refused and left to review.
        values_max: as many different values of one kind of strong key an entity may hold.
        completed_max: up to this many records, all pairs of a component are scored.
        margin_bits: by how much one of two entities that a person told apart must match better than the other.
    """

    bits_min: float = -1.0
    people_tie_bits_min: float = 1.0
    missing_bits: float = -4.0
    pair_bits_max: float = 12.0
    pair_bits_min: float = -6.0
    records_max: int = 50
    values_max: int = 5
    completed_max: int = 64
    margin_bits: float = 3.0

    def tie_bits_min(self, object_name: str) -> float:
        """Return the bits from which a pair puts two records into one neighbourhood; weaker ones count in averages.

        Strangers meet by a name's sound and a firm: with all pairs that reach `bits_min`, 740 of 30,000 made-up contacts
        hung together. Organisations meet by little else than their name, and two names alone may be worth no bit.
        """
        return self.bits_min if object_name == "account" else max(self.bits_min, self.people_tie_bits_min)

    def clamp(self, bits: float) -> float:
        """Return what a pair's score counts in an average."""
        if bits >= MUST or bits <= CANNOT:
            return bits
        return min(self.pair_bits_max, max(self.pair_bits_min, bits))


@dataclass(frozen=True, slots=True)
class Refused:
    """A union that the averages ask for and a guard refuses; a person should look."""

    left: Members
    right: Members
    reason: str


@dataclass(frozen=True, slots=True)
class Partition:
    """Groups of records, each in order of id, the groups in order of their first; and what was refused."""

    groups: tuple[Members, ...]
    refused: tuple[Refused, ...] = ()


Guard = Callable[[Members, Members], str]
"""Returns why two groups must stay apart, or nothing."""
Named = Callable[[str, str, float], bool]
"""Says whether an identifier names two records as one thing, given their bits; asked where these are not against it."""


def no_names(one: str, other: str, bits: float) -> bool:
    """Know of no identifiers."""
    del one, other, bits
    return False


def no_guard(left: Members, right: Members) -> str:
    """Keep nothing apart."""
    del left, right
    return ""


def partition(
    records: Iterable[str], edges: Edges, rules: Rules, guard: Guard = no_guard, named: Named = no_names
) -> Partition:
    """Group *records*; the same records and edges give the same groups, whatever their order."""
    groups: list[Members] = []
    refused: list[Refused] = []
    for component in components(sorted(records), edges, rules.bits_min):
        linked = link(component, edges, rules, guard, named)
        groups.extend(linked.groups)
        refused.extend(linked.refused)
    return Partition(tuple(sorted(groups)), tuple(refused))


def link(
    component: Members, edges: Edges, rules: Rules, guard: Guard = no_guard, named: Named = no_names
) -> Partition:
    """Group the records of one component, in order of id; the groups come in no order.

    Args:
        edges: one way round is enough, from the lower id.
        named: pairs that go first: two people who look alike must not part the records of one mailbox.
    """
    if len(component) == 1:
        return Partition((component,))
    if len(component) == _PAIR:
        return _link_pair(component, edges, rules, guard)
    linkage = _Linkage(component, edges, rules, guard, named)
    linkage.run()
    return Partition(tuple(linkage.groups()), tuple(linkage.refused))


_PAIR: Final = 2


def _link_pair(component: Members, edges: Edges, rules: Rules, guard: Guard) -> Partition:
    """Do what the linkage does with two records, as most components have."""
    left, right = component[:1], component[1:]
    if rules.clamp(edges[left[0]][right[0]]) < rules.bits_min:
        return Partition((left, right))
    reason = guard(left, right)
    return Partition((left, right), (Refused(left, right, reason),)) if reason else Partition((component,))


def components(records: Sequence[str], edges: Edges, bits_min: float) -> Iterator[Members]:
    """Yield the records that pairs of at least *bits_min* connect, in order of id."""
    unseen = set(records)
    for first in records:
        if first in unseen:
            yield tuple(sorted(_reach(first, unseen, edges, bits_min)))


def _reach(first: str, unseen: set[str], edges: Edges, bits_min: float) -> Collection[str]:
    unseen.discard(first)
    reached, frontier = {first}, [first]
    while frontier:
        for other, bits in edges.get(frontier.pop(), {}).items():
            if bits >= bits_min and other in unseen:
                unseen.discard(other)
                reached.add(other)
                frontier.append(other)
    return reached


_Sum = tuple[float, float, int, bool]
"""Bits of all compared pairs of two groups as they count, the same uncapped, how many, whether one is named."""
_NOTHING: Final[_Sum] = (0.0, 0.0, 0, False)


class _Linkage:
    """One component on its way from single records to groups."""

    def __init__(self, component: Members, edges: Edges, rules: Rules, guard: Guard, named: Named) -> None:
        self._rules, self._guard = rules, guard
        self._members: dict[str, Members] = {one: (one,) for one in component}
        self._sums: dict[str, dict[str, _Sum]] = {one: {} for one in component}
        self._heap: list[tuple[bool, float, float, str, str, int, int]] = []
        self.refused: list[Refused] = []
        all_sums, bits_min, floor, cap = self._sums, rules.bits_min, rules.pair_bits_min, rules.pair_bits_max
        for one, sums in all_sums.items():
            for other, bits in edges.get(one, {}).items():
                if one < other and other in all_sums:
                    counts = bits if floor <= bits <= cap else rules.clamp(bits)
                    entry = (counts, bits, 1, bits >= 0.0 and named(one, other, bits))
                    sums[other] = all_sums[other][one] = entry
                    if counts >= bits_min:
                        self._offer(one, other, entry)

    def run(self) -> None:
        """Unite the pair of groups with the best average until none reaches the threshold."""
        while self._heap:
            *_, left, right, left_size, right_size = heapq.heappop(self._heap)
            if not self._is_current(left, left_size) or not self._is_current(right, right_size):
                continue
            reason = self._guard(self._members[left], self._members[right])
            if reason:
                self.refused.append(Refused(self._members[left], self._members[right], reason))
            else:
                self._unite(left, right)

    def groups(self) -> list[Members]:
        """Return the groups as they stand."""
        return list(self._members.values())

    def _is_current(self, group: str, size: int) -> bool:
        members = self._members.get(group)
        return members is not None and len(members) == size

    def _offer(self, left: str, right: str, entry: _Sum) -> None:
        clamped, full, compared, named = entry
        sizes = len(self._members[left]), len(self._members[right])
        pairs = sizes[0] * sizes[1]
        missing = (pairs - compared) * self._rules.missing_bits
        average = (clamped + missing) / pairs
        if average >= self._rules.bits_min:
            if left > right:
                left, right, sizes = right, left, (sizes[1], sizes[0])
            best = not named, -round(average, 6), -round((full + missing) / pairs, 6)
            heapq.heappush(self._heap, (*best, left, right, *sizes))

    def _unite(self, left: str, right: str) -> None:
        """Put *right* into *left*, the smaller id: a group is named by its first record."""
        self._members[left] = tuple(sorted(self._members[left] + self._members.pop(right)))
        ours, theirs = self._sums[left], self._sums.pop(right)
        ours.pop(right, None)
        for other, entry in theirs.items():
            if other == left:
                continue
            before = ours.get(other, _NOTHING)
            ours[other] = (
                before[0] + entry[0],
                before[1] + entry[1],
                before[2] + entry[2],
                before[3] or entry[3],
            )
            del self._sums[other][right]
        bits_min, missing_bits, size = (
            self._rules.bits_min,
            self._rules.missing_bits,
            len(self._members[left]),
        )
        for other, entry in ours.items():
            self._sums[other][left] = entry
            pairs = size * len(self._members[other])
            if entry[0] + (pairs - entry[2]) * missing_bits >= bits_min * pairs:
                self._offer(left, other, entry)
