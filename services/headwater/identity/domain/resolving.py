"""Plans a batch: which entity each record belongs to, and what is to be written. Pure.

Records are taken in the order of the batch, each seeing what those before it did.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headwater.identity.domain.keys import Identifiers
from headwater.identity.domain.matching import Choice, Match, choose
from headwater.identity.domain.records import Age, Evidence, Holder, Key, RecordId, RecordRef, entity_id_of
from headwater.kernel.ids import EntityId, EventKey

ResolutionKind = Literal["known", "matched", "created", "unmatched"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record to resolve.

    Args:
        match_only: leave it unplaced when nothing matches, instead of founding an entity.
    """

    record_id: RecordId
    ref: RecordRef
    event_key: EventKey
    identifiers: Identifiers
    match_only: bool = False


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """A record that was resolved before, as it stands now."""

    holder: Holder
    keys: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which entity a record belongs to, and why; none when it stays unplaced."""

    entity_id: EntityId | None
    kind: ResolutionKind
    rule: str = ""
    matched: RecordRef | None = None


@dataclass(frozen=True, slots=True)
class NewMember:
    """A record resolved for the first time."""

    record_id: RecordId
    ref: RecordRef
    entity_id: EntityId
    rule: str
    event_key: EventKey
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class NewCandidate:
    """Two entities that one record ties together, to be reviewed."""

    record_id: RecordId
    entity_id: EntityId
    other_record_id: RecordId
    other_entity_id: EntityId
    object: str
    rule: str
    blocked_by: str


@dataclass(slots=True)
class Plan:
    """What a batch comes to: answers in the order of the records, rows to write."""

    resolutions: list[Resolution] = field(default_factory=list)
    founders: list[tuple[EntityId, str]] = field(default_factory=list)
    """New entities: id and object."""
    members: dict[RecordId, NewMember] = field(default_factory=dict)
    keys: list[tuple[RecordId, Key]] = field(default_factory=list)
    evidence: dict[RecordId, Evidence] = field(default_factory=dict)
    """Known records whose evidence changed."""
    candidates: dict[frozenset[uuid.UUID], NewCandidate] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.founders or self.members or self.keys or self.evidence or self.candidates)


def keys_to_look_up(records: Iterable[Incoming], known: Mapping[RecordId, KnownRecord]) -> set[Key]:
    """Return the keys whose holders decide the batch: all that may join and are new to their record."""
    wanted: set[Key] = set()
    for record in records:
        mine = known.get(record.record_id)
        for key in record.identifiers.keys:
            if not key.blocked_by and (mine is None or key not in mine.keys):
                wanted.add(key)
    return wanted


def plan_batch(
    records: Sequence[Incoming],
    known: Mapping[RecordId, KnownRecord],
    holders: Mapping[Key, Sequence[Holder]],
    entities_max: int,
) -> Plan:
    """Decide a whole batch.

    Args:
        records: in log order; a record may come more than once.
        known: those of them that were resolved before.
        holders: records of the database by key, for `keys_to_look_up`.
        entities_max: a key that more entities share joins nobody.
    """
    planner = _Planner(dict(known), {key: list(own) for key, own in holders.items()}, entities_max)
    for record in records:
        planner.take(record)
    return planner.plan


class _Planner:
    """Holds what the batch has changed so far."""

    def __init__(
        self, known: dict[RecordId, KnownRecord], index: dict[Key, list[Holder]], entities_max: int
    ) -> None:
        self.plan = Plan()
        self._known = known
        self._index = index
        self._entities_max = entities_max

    def take(self, record: Incoming) -> None:
        """Resolve one record."""
        known = self._known.get(record.record_id)
        if known is None:
            self._admit(record)
        else:
            self._learn(record, known)

    def _admit(self, record: Incoming) -> None:
        wanted = record.identifiers
        choice = choose(wanted.keys, wanted.evidence, self._index, self._entities_max)
        won = choice.winner
        if won is None and record.match_only:
            self.plan.resolutions.append(Resolution(None, "unmatched"))
            return
        if won is None:
            age = Age(1, len(self.plan.founders))
            entity_id = entity_id_of(record.record_id)
            self.plan.founders.append((entity_id, record.ref.object))
            self.plan.resolutions.append(Resolution(entity_id, "created"))
        else:
            age, entity_id = won.holder.age, won.entity_id
            self.plan.resolutions.append(Resolution(entity_id, "matched", won.rule, won.holder.ref))
        rule = "" if won is None else won.rule
        self.plan.members[record.record_id] = NewMember(
            record.record_id, record.ref, entity_id, rule, record.event_key, wanted.evidence
        )
        holder = Holder(record.record_id, record.ref, entity_id, age, wanted.evidence)
        self._suggest(holder, choice)
        self._hold(holder, wanted.keys, frozenset())

    def _learn(self, record: Incoming, known: KnownRecord) -> None:
        self.plan.resolutions.append(Resolution(known.holder.entity_id, "known"))
        fresh = [key for key in record.identifiers.keys if key not in known.keys]
        evidence = known.holder.evidence.updated_by(record.identifiers.evidence)
        if not fresh and evidence == known.holder.evidence:
            return
        holder = known.holder
        if evidence != holder.evidence:
            holder = Holder(holder.record_id, holder.ref, holder.entity_id, holder.age, evidence)
            self._note_evidence(holder)
        self._suggest(holder, choose(fresh, evidence, self._index, self._entities_max))
        self._hold(holder, fresh, known.keys)

    def _note_evidence(self, holder: Holder) -> None:
        member = self.plan.members.get(holder.record_id)
        if member is None:
            self.plan.evidence[holder.record_id] = holder.evidence
            return
        self.plan.members[holder.record_id] = NewMember(
            member.record_id, member.ref, member.entity_id, member.rule, member.event_key, holder.evidence
        )

    def _hold(self, holder: Holder, keys: Sequence[Key], had: frozenset[Key]) -> None:
        for key in keys:
            self.plan.keys.append((holder.record_id, key))
            if not key.blocked_by:
                self._index.setdefault(key, []).append(holder)
        self._known[holder.record_id] = KnownRecord(holder, had.union(keys))

    def _suggest(self, holder: Holder, choice: Choice) -> None:
        for match in choice.others if choice.winner is None else (choice.winner, *choice.others):
            if match.entity_id != holder.entity_id:
                pair: frozenset[uuid.UUID] = frozenset((match.entity_id, holder.entity_id))
                self.plan.candidates.setdefault(pair, _candidate(holder, match))


def _candidate(holder: Holder, match: Match) -> NewCandidate:
    return NewCandidate(
        holder.record_id,
        holder.entity_id,
        match.holder.record_id,
        match.entity_id,
        match.key.object,
        match.rule,
        match.blocked_by,
    )
