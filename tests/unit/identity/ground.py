"""Identity's tables in memory, for tests of planning: what a plan reads and writes, as Postgres would hold it."""

from __future__ import annotations

import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headwater.identity.domain.clustering.memory import Keyed
from headwater.identity.domain.identifying import NOTHING, Identified, identify
from headwater.identity.domain.records import GroupId, RecordId, RecordRef, record_id_of
from headwater.identity.domain.resolving.plan import Batch, plan_batch
from headwater.identity.domain.resolving.values import (
    Incoming,
    KeyUse,
    KnownRecord,
    Limits,
    Looked,
    Near,
    Pair,
    Plan,
    Resolution,
    Standing,
    Wanted,
    together,
)
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.stored import dump
from headwater.identity.domain.scoring.weights import Weights
from headwater.kernel.ids import EntityId, EventKey, TenantId

TENANT = TenantId("acme")
WEIGHTS = {name: shipped(name) for name in ("contact", "lead", "account")}


def incoming(
    external_id: str,
    source: str = "crm",
    object_name: str = "contact",
    *,
    match_only: bool = False,
    **attributes: str,
) -> Incoming:
    """Describe a record."""
    ref = RecordRef(source, object_name, external_id)
    told = identify(object_name, {name: value for name, value in attributes.items() if value})
    return Incoming(record_id_of(TENANT, ref), ref, EventKey(uuid.UUID(int=1)), told, match_only)


def keyed(record: Incoming) -> Keyed:
    """Return a record as the driver in memory takes it."""
    return Keyed(record.record_id, record.identified.parts, record.identified.keys)


@dataclass(slots=True)
class Member:
    """A row of `member`."""

    ref: RecordRef
    entity_id: EntityId
    group_id: GroupId
    told: Identified = NOTHING
    rule: str = ""


@dataclass(slots=True)
class Ground:
    """A tenant's tables."""

    limits: Limits = field(default_factory=Limits)
    members: dict[RecordId, Member] = field(default_factory=dict)
    holders: dict[int, list[RecordId]] = field(default_factory=lambda: defaultdict(list))
    uses: dict[int, KeyUse] = field(default_factory=dict)
    edges: dict[Pair, float] = field(default_factory=dict)
    exclusive: dict[int, EntityId] = field(default_factory=dict)
    ages: dict[EntityId, int] = field(default_factory=dict)
    apart: set[Pair] = field(default_factory=set)
    plans: list[Plan] = field(default_factory=list)
    weights: Mapping[str, Weights] = field(default_factory=lambda: WEIGHTS)
    scored_with: dict[Pair, int] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def resolve(self, *records: Incoming) -> list[Resolution]:
        """Resolve a batch as the service does."""
        ids = list(dict.fromkeys(one.record_id for one in records))
        looked = self.look_up(ids, {key for one in records for key in one.identified.keys})
        batch = Batch(records, looked, self.weights, self.limits)
        near = [self.load_near(one, self.limits.near_max * len(records)) for one in batch.wanted()]
        plan = plan_batch(batch, together(near), self.new_id)
        self.write(plan)
        return plan.resolutions

    def new_id(self) -> uuid.UUID:
        """Return an id that nobody has."""
        return uuid.UUID(int=next(self._ids))

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Return all groups as they stand."""
        found: dict[GroupId, list[str]] = defaultdict(list)
        for record, member in self.members.items():
            found[member.group_id].append(record)
        return tuple(sorted(tuple(sorted(group)) for group in found.values()))

    def look_up(self, records: Sequence[RecordId], keys: set[int]) -> Looked:
        """Do as the function `look_up` does."""
        known = {
            one: KnownRecord(row.entity_id, row.group_id, row.told)
            for one in records
            if (row := self.members.get(one)) is not None
        }
        wanted = keys.union(*(row.identified.keys for row in known.values()))
        holders = {key: self.holders[key] for key in wanted if self.holders.get(key)}
        found = {one: dump(self.members[one].told.parts) for held in holders.values() for one in held}
        uses = {key: self.uses[key] for key in wanted if key in self.uses}
        return Looked(known, holders, found, uses, self._generic(found))

    def load_near(self, wanted: Wanted, near_max: int) -> Near:
        """Do as the function `load_near` does, keys always among what it returns."""
        near = set(wanted.seeds | wanted.turned)
        near |= {one for pair in self.edges if not wanted.turned.isdisjoint(pair) for one in pair}
        frontier = set(near)
        while frontier and len(near) < near_max:
            groups = {self.members[one].group_id for one in frontier}
            reached = {one for one, row in self.members.items() if row.group_id in groups}
            bits_min = wanted.bits_min
            for pair, bits in self.edges.items():
                if bits >= bits_min and not frontier.isdisjoint(pair):
                    reached.update(pair)
            frontier = reached - near
            near |= frontier
        rows = {one: self.members[one] for one in near}
        return Near(
            {
                one: Standing(
                    row.ref, row.entity_id, row.group_id, dump(row.told.parts), frozenset(row.told.keys)
                )
                for one, row in rows.items()
            },
            self.ages,
            {pair: bits for pair, bits in self.edges.items() if pair[0] in near},
            frozenset(
                self.uses[k].value for r in rows.values() for k in r.told.keys if self._is(k, "generic")
            ),
            frozenset(k for r in rows.values() for k in r.told.keys if self._is(k, "crowded")),
            frozenset(self.apart),
            whole=len(near) < near_max,
            edge_weights={
                pair: number for pair, number in self.scored_with.items() if pair[0] in near and number
            },
        )

    def _generic(self, records: Iterable[RecordId]) -> frozenset[str]:
        keys = {key for one in records for key in self.members[one].told.strong_keys}
        return frozenset(self.uses[key].value for key in keys if self._is(key, "generic"))

    def _is(self, key: int, what: str) -> bool:
        return key in self.uses and bool(getattr(self.uses[key], what))

    def write(self, plan: Plan) -> None:  # noqa: C901, PLR0912 - one branch a table
        """Do as the functions `write_plan` and `write_merge` do."""
        self.plans.append(plan)
        for entity, _ in plan.founders:
            self.ages[entity] = len(self.ages)
        for known in plan.known:
            self.members[known.record_id].told = known.identified
        for record, group in plan.moved:
            self.members[record].group_id = group
        for one in plan.members:
            self.members[one.record.record_id] = Member(
                one.record.ref, one.entity_id, one.group_id, one.record.identified, one.rule
            )
            for key in one.record.identified.keys:
                if key not in plan.barred:
                    self.holders[key].append(one.record.record_id)
        for key, use in plan.uses:
            self.uses[key] = use
            if use.crowded:
                self.holders.pop(key, None)
        for key, record in plan.keys:
            self.holders[key].append(record)
        for pair in plan.gone:
            self.edges.pop(pair)
            self.scored_with.pop(pair)
        self.edges.update({pair: bits for pair, bits, _ in plan.edges})
        self.scored_with.update({pair: number for pair, _, number in plan.edges})
        for key, entity in plan.held:
            self.exclusive.setdefault(key, entity)
        for merge in plan.merges:
            for row in self.members.values():
                if row.entity_id == merge.loser_id:
                    row.entity_id = merge.winner_id
