"""The records of one object in a batch, compared with each other and with whom they meet by their keys. Pure.

Owns: which keys crowd, which values turn generic, the bits of the new pairs. Must not group or place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from headwater.identity.domain.clustering.sharing import is_generic, named, watched
from headwater.identity.domain.identifying import Identified, watched_hash
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.resolving.values import KeyUse, Limits, Looked, Pair, Wanted, pair_of
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.stored import load
from headwater.identity.domain.scoring.weights import Weights

NOT_COMMON = KeyUse()


@dataclass(slots=True)
class Comparison:
    """What comparing gave.

    Args:
        fresh: records that are new or say something new. again: they stand as they are, and are compared anew.
        edges: bits of the pairs that say more than one never compared; silent: the others.
        turned: holders of each value that has turned generic. crowds: holders of each key that crowds now.
        barred: keys that bring nobody together, now or before.
    """

    object: str
    fresh: Mapping[RecordId, Identified]
    looked: Looked
    weights: Weights
    limits: Limits
    again: bool = False
    parts: dict[RecordId, Parts] = field(default_factory=dict)
    edges: dict[Pair, float] = field(default_factory=dict)
    silent: set[Pair] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    uses: dict[int, KeyUse] = field(default_factory=dict)
    turned: list[tuple[RecordId, ...]] = field(default_factory=list)
    crowds: dict[int, tuple[RecordId, ...]] = field(default_factory=dict)
    barred: set[int] = field(default_factory=set)
    _buckets: dict[int, tuple[RecordId, ...]] = field(default_factory=dict)

    def run(self) -> None:
        """Compare."""
        self.parts.update({record: one.parts for record, one in self.fresh.items()})
        self.shared.update(use.value for use in self.looked.uses.values() if use.generic)
        self.shared.update(self.looked.generic)
        self._fill_buckets()
        for record, one in self.fresh.items():
            for kind, value in watched(one.parts):
                self._watch(kind, value, record)
        for record, one in self.fresh.items():
            self._compare(record, self._candidates(record, one))

    def parts_of(self, record: RecordId) -> Parts:
        """Return the parts of a record of the batch or of one it meets."""
        parts = self.parts.get(record)
        if parts is None:
            parts = self.parts[record] = load(self.looked.found[record])
        return parts

    def wanted(self) -> Wanted:
        """Return the neighbourhood that decides: whom the new pairs link, and the holders of what turned common.

        And whoever has an exclusive key of the batch, whatever else stands against it: a person must hear of it.
        """
        seeds = {one for one in self.fresh if one in self.looked.known}
        seeds.update(other for _, other in self.contested())
        bits_min = self.limits.rules.tie_bits_min(self.object)
        for (one, other), bits in self.edges.items():
            if bits >= bits_min:
                seeds.update((one, other))
        turned = {holder for holders in (*self.turned, *self.crowds.values()) for holder in holders}
        if self.again:
            turned.update(self.fresh)
        return Wanted(frozenset(self._stored(seeds)), frozenset(self._stored(turned)), bits_min)

    def contested(self) -> Iterator[tuple[RecordId, RecordId]]:
        """Yield each record of the batch with every other one that has an exclusive key of its."""
        for record, one in self.fresh.items():
            for key in one.exclusive_keys:
                yield from ((record, other) for other in self._buckets.get(key, ()) if other != record)

    def _stored(self, records: Collection[RecordId]) -> set[RecordId]:
        return {one for one in records if one not in self.fresh or one in self.looked.known}

    def _fill_buckets(self) -> None:
        by_key: dict[int, list[RecordId]] = defaultdict(list)
        for record, one in self.fresh.items():
            for key in one.keys:
                by_key[key].append(record)
        self.barred.update(key for key, use in self.looked.uses.items() if use.crowded)
        for key, fresh in by_key.items():
            if key in self.barred:
                continue
            before = self.looked.holders.get(key)
            bucket = tuple(dict.fromkeys((*before, *fresh))) if before else tuple(fresh)
            if len(bucket) > self.limits.key_rows_max:
                self.crowds[key] = bucket
                self.barred.add(key)
                self.uses[key] = replace(self.looked.uses.get(key, NOT_COMMON), crowded=True)
            elif len(bucket) > 1:
                self._buckets[key] = bucket

    def _watch(self, kind: str, value: str, record: RecordId) -> None:
        """Note who uses a value: more names than a household has, or more records than a key may have."""
        key = watched_hash(self.object, kind, value)
        before = self.uses.get(key) or self.looked.uses.get(key, NOT_COMMON)
        holders = self._buckets.get(key) or self.crowds.get(key) or (record,)
        if len(holders) == 1 and before is NOT_COMMON:
            return
        names = {name for one in holders if (name := named(self.parts_of(one)))}
        account = self.parts_of(record).account
        if not (before.generic or before.crowded or is_generic(kind, names, account=account)):
            return
        if value not in self.shared:
            self.shared.add(value)
            self.turned.append(holders)
        use = KeyUse(value, generic=True, crowded=before.crowded)
        if use != self.looked.uses.get(key):
            self.uses[key] = use

    def _candidates(self, record: RecordId, one: Identified) -> Collection[RecordId]:
        """Return whom a record is compared with; beyond the bound those that share strong keys, then most keys."""
        buckets = self._buckets
        found: dict[RecordId, None] = {}
        for key in one.keys:
            if key in buckets:
                found.update(dict.fromkeys(buckets[key]))
        found.pop(record, None)
        if len(found) <= self.limits.candidates_max:
            return found
        ranks: Counter[RecordId] = Counter()
        for number, key in enumerate(one.keys):
            for other in buckets.get(key, ()):
                ranks[other] += len(one.keys) if number < one.strong else 1
        del ranks[record]
        best = sorted(ranks, key=lambda other: (-ranks[other], other))
        return best[: self.limits.candidates_max]

    def _compare(self, record: RecordId, others: Iterable[RecordId]) -> None:
        missing_bits, fresh, ours = self.limits.rules.missing_bits, self.fresh, self.parts[record]
        for other in others:
            pair = pair_of(record, other)
            if other in fresh and (pair in self.edges or pair in self.silent):
                continue
            theirs = self.parts_of(other)
            two = (ours, theirs) if pair[0] == record else (theirs, ours)
            bits = score_bits(*two, self.weights, self.shared)
            if bits > missing_bits:
                self.edges[pair] = bits
            else:
                self.silent.add(pair)
