"""Plans a batch: which entity and group each record belongs to, and what is to be written. Pure.

The batch is taken as a whole: its records are compared with each other and with whom they meet, so the
order in which they stand decides nothing but which of them founds an entity.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from headwater.identity.domain.clustering.tiers import Tier
from headwater.identity.domain.identifying import COMPARED, Identified, combine
from headwater.identity.domain.records import GroupId, RecordId, entity_id_of
from headwater.identity.domain.resolving.comparing import Comparison
from headwater.identity.domain.resolving.grouping import Grouping, group
from headwater.identity.domain.resolving.placing import Match, Placing
from headwater.identity.domain.resolving.values import (
    UNMATCHED,
    Incoming,
    Limits,
    Looked,
    Near,
    NewMember,
    Plan,
    Resolution,
    Wanted,
)
from headwater.identity.domain.scoring.weights import Weights
from headwater.kernel.ids import EntityId

NewId = Callable[[], uuid.UUID]


@dataclass(slots=True)
class Batch:
    """A batch with what it meets, compared.

    Args:
        records: in log order; a record may come more than once.
        again: the records say nothing new, they are compared and grouped anew, each as it stands: the rules have
            changed. What their new keys do not support goes.
    """

    records: Sequence[Incoming]
    looked: Looked
    weights: Mapping[str, Weights]
    limits: Limits
    fresh: dict[RecordId, Incoming] = field(default_factory=dict)
    """Records that are new or say something new, each with all that it says."""
    comparisons: list[Comparison] = field(default_factory=list)
    again: bool = False

    def __post_init__(self) -> None:
        """Fold what the batch says of each record into one, and compare."""
        for record in self.records:
            self._fold(record)
        self._compare()

    def wanted(self) -> list[Wanted]:
        """Return the neighbourhoods that decide the batch, one for each object: no edge leads from one to another."""
        return [wanted for one in self.comparisons if (wanted := one.wanted()).size]

    @property
    def needs_keys(self) -> bool:
        """Whether a key crowds, so that the keys of its holders decide which edges stand."""
        return any(one.crowds for one in self.comparisons)

    def without(self, homeless: Iterable[RecordId]) -> Batch:
        """Return the batch as if records that are to be found only had not come."""
        gone = set(homeless)
        return replace(
            self,
            records=[one for one in self.records if one.record_id not in gone],
            fresh={},
            comparisons=[],
        )

    def _fold(self, record: Incoming) -> None:
        known = self.looked.known.get(record.record_id)
        before = self.fresh.get(record.record_id)
        if self.again:
            if known is not None:
                self.fresh[record.record_id] = replace(record, identified=known.identified)
            return
        if before is not None:
            told = combine(before.identified, record.identified)
            found = before.match_only and record.match_only
            digest = record.digest if told is not before.identified else before.digest
            self.fresh[record.record_id] = replace(before, identified=told, match_only=found, digest=digest)
        elif known is None:
            self.fresh[record.record_id] = record
        elif (told := combine(known.identified, record.identified)) is not known.identified:
            self.fresh[record.record_id] = replace(record, identified=told)

    def _compare(self) -> None:
        by_object: dict[str, dict[RecordId, Identified]] = {}
        for one in self.fresh.values():
            if one.ref.object in COMPARED:
                by_object.setdefault(one.ref.object, {})[one.record_id] = one.identified
        for name, fresh in by_object.items():
            comparison = Comparison(name, fresh, self.looked, self.weights[name], self.limits, self.again)
            comparison.run()
            self.comparisons.append(comparison)


def plan_batch(batch: Batch, near: Near, new_id: NewId) -> Plan:
    """Decide a whole batch.

    Args:
        near: the neighbourhoods that `batch.wanted()` names, together.
        new_id: makes the id of a group that is parted from another.
    """
    placings = [_place(batch, comparison, near) for comparison in batch.comparisons]
    homeless = set[RecordId]().union(*(one.homeless for one in placings), _lone_visitors(batch))
    if homeless:
        plan = plan_batch(batch.without(homeless), near, new_id)
        plan.resolutions = _with_homeless(batch, plan.resolutions, homeless)
        return plan
    plan = Plan(revision=batch.looked.revision)
    answers: dict[RecordId, Resolution] = {}
    for placing in placings:
        _write_object(plan, placing, answers, new_id)
    for one in batch.fresh.values():
        if one.ref.object not in COMPARED and one.record_id not in batch.looked.known:
            _found_alone(plan, one, answers)
    _order_founders(plan, batch)
    written = {one.record.record_id for one in plan.members} | {one.record_id for one in plan.known}
    told = ((one.record_id, one.said) for one in batch.records if one.said and one.record_id in written)
    plan.said = list(dict.fromkeys(told))
    plan.resolutions = _answers(batch, plan, answers)
    return plan


def replan(
    near: Near, weights: Mapping[str, Weights], limits: Limits, object_name: str, new_id: NewId
) -> Plan:
    """Return what becomes of groups when a person has merged or split entities; places nobody."""
    grouping = group(Comparison(object_name, {}, Looked(), weights[object_name], limits), near)
    plan = Plan()
    _write_groups(plan, grouping, grouping.group_of_each(new_id))
    return plan


def _place(batch: Batch, comparison: Comparison, near: Near) -> Placing:
    incoming = {one: batch.fresh[one] for one in comparison.fresh}
    placing = Placing(group(comparison, near), incoming, batch.limits)
    placing.run()
    return placing


def _lone_visitors(batch: Batch) -> set[RecordId]:
    """Return the records to be found only that can match nobody: those of objects that are never compared."""
    return {
        one.record_id
        for one in batch.fresh.values()
        if one.match_only and one.ref.object not in COMPARED and one.record_id not in batch.looked.known
    }


def _with_homeless(
    batch: Batch, resolutions: Iterable[Resolution], homeless: set[RecordId]
) -> list[Resolution]:
    rest = iter(resolutions)
    return [UNMATCHED if one.record_id in homeless else next(rest) for one in batch.records]


def _write_object(plan: Plan, placing: Placing, answers: dict[RecordId, Resolution], new_id: NewId) -> None:
    grouping = placing.grouping
    group_of = grouping.group_of_each(new_id)
    members_of = {one: members for members in grouping.groups.groups for one in members}
    known = grouping.compared.looked.known
    for one, record in placing.incoming.items():
        entity, group_id = placing.entity_of[one], group_of[one]
        match = placing.match(one, members_of[one])
        joined = one not in placing.founded
        rule = match.rule if match is not None and joined else ""
        if one in known:
            if not grouping.compared.again:
                plan.known.append(record)
            answers[one] = Resolution(entity, "known", group_id=group_id)
        else:
            plan.members.append(NewMember(record, entity, group_id, rule))
            answers[one] = _answer(placing, entity, group_id, match, joined=joined)
        _write_keys(plan, grouping.compared, one, entity)
    plan.founders.extend((entity_id_of(one), grouping.compared.object) for one in placing.founded)
    plan.uses.extend(grouping.compared.uses.items())
    plan.barred.extend(grouping.compared.barred)
    plan.merges.extend(placing.merges)
    plan.candidates.extend(placing.candidates)
    _write_groups(plan, grouping, group_of)


def _answer(
    placing: Placing, entity: EntityId, group_id: GroupId, match: Match | None, *, joined: bool
) -> Resolution:
    if match is None:
        return Resolution(entity, "matched" if joined else "created", "", None, group_id, Tier.NEW)
    if not joined:
        return Resolution(entity, "created", "", None, group_id, match.tier, match.bits)
    ref = placing.ref(match.record_id)
    return Resolution(entity, "matched", match.rule, ref, group_id, match.tier, match.bits)


def _write_keys(plan: Plan, compared: Comparison, record: RecordId, entity: EntityId) -> None:
    told = compared.fresh[record]
    before = compared.looked.known.get(record)
    if before is not None:
        gained = set(told.keys).difference(before.identified.keys, compared.barred)
        plan.keys.extend((key, record) for key in gained)
    if told.exclusive:
        plan.held.extend((key, entity) for key in told.exclusive_keys)


def _write_groups(plan: Plan, grouping: Grouping, group_of: Mapping[RecordId, GroupId]) -> None:
    number = grouping.weights_number
    plan.edges.extend((pair, bits, number) for pair, bits in grouping.rescored.items())
    plan.gone.extend(grouping.gone)
    plan.moved.extend(
        (one, group_of[one])
        for one, stands in grouping.standing()
        if one in group_of and group_of[one] != stands.group_id
    )


def _found_alone(plan: Plan, record: Incoming, answers: dict[RecordId, Resolution]) -> None:
    entity, group_id = entity_id_of(record.record_id), GroupId(uuid.UUID(record.record_id))
    plan.founders.append((entity, record.ref.object))
    plan.members.append(NewMember(record, entity, group_id, ""))
    answers[record.record_id] = Resolution(entity, "created", group_id=group_id, tier=Tier.NEW)


def _order_founders(plan: Plan, batch: Batch) -> None:
    """Put entities and members in the order of the batch: the older entity wins a tie later."""
    place = {one: number for number, one in enumerate(batch.fresh)}
    plan.members.sort(key=lambda one: place[one.record.record_id])
    plan.founders.sort(key=lambda one: place[RecordId(str(one[0]))])


def _answers(batch: Batch, plan: Plan, answers: Mapping[RecordId, Resolution]) -> list[Resolution]:
    """Return one answer per record, merges done; a record that comes again is known by then."""
    merged = {one.loser_id: one.winner_id for one in plan.merges}
    moved = dict(plan.moved)
    seen: set[RecordId] = set()
    found: list[Resolution] = []
    for record in batch.records:
        one = record.record_id
        answer = answers.get(one)
        if answer is None:
            known = batch.looked.known[one]
            entity = merged.get(known.entity_id, known.entity_id)
            answer = Resolution(entity, "known", group_id=moved.get(one, known.group_id))
        elif one in seen:
            answer = Resolution(answer.entity_id, "known", group_id=answer.group_id)
        seen.add(one)
        found.append(answer)
    return found
