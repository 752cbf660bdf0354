"""What readings change: records, entities, references, audit and delivery marks. Pure.

A `Workspace` holds the state of the records and entities that a batch touches; `apply` changes it
event by event and notes what to write. Applying the same log to an empty state gives the same
values whatever the batches were.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.outbound import select_target
from headwater.policy.survivorship import survive
from headwater.sync.domain.attributing import TouchFact, touch_of
from headwater.sync.domain.correcting import actor_of, attached_entity, is_attached
from headwater.sync.domain.enriching import concerns
from headwater.sync.domain.facts import Merged, idle_rule, merge_facts, value_changes
from headwater.sync.domain.following import Follow, followed
from headwater.sync.domain.lanes import Lane, told_lane
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.reading import IdentityReading, RecordReading, with_entities
from headwater.sync.domain.respelling import respell, respelt
from headwater.sync.domain.states import EntityKey, EntityState, RecordState, Tended

Resolutions = Mapping[RecordKey, uuid.UUID]
"""What identity answered; records it left alone are absent."""

PROJECTED: Final = "projected"
_REFERRING: Final = frozenset({"reference", "participants"})
"""Types of field whose values are other entities."""


class AuditNote(msgspec.Struct, frozen=True):
    """One change to put into the audit."""

    tenant_id: str
    action: str
    actor: str
    entity_id: uuid.UUID
    event_key: uuid.UUID
    changes: tuple[dict[str, Any], ...]
    policy_version: str


class Mark(msgspec.Struct, frozen=True):
    """A connector account that should hold a newer version of an entity."""

    tenant_id: str
    connector: str
    entity_id: uuid.UUID
    object: str
    version: int
    event: LogEvent
    lane: Lane


class FetchMark(msgspec.Struct, frozen=True):
    """A record of a CRM that is to be read anew."""

    tenant_id: str
    connector: str
    crm_object: str
    crm_id: str


class Effect(msgspec.Struct, frozen=True):
    """How an event ended, and the versions it made.

    Args:
        rule: `projected`, or the rule that superseded the event.
    """

    event: LogEvent
    rule: str
    entities: tuple[EntityKey, ...]
    versions: tuple[int, ...]
    error: str = ""
    poisoned: bool = False

    @property
    def superseded(self) -> bool:
        """True when the event ended by a rule without an effect."""
        return self.rule != PROJECTED and not self.poisoned


@dataclass(slots=True)
class Workspace:
    """The state a batch works on, and what it has changed.

    Args:
        revisions: as of which change of identity a record's entity was told; none for those it was not asked about.
    """

    policies: Mapping[str, PolicyDocument]
    revisions: Mapping[RecordKey, int] = field(default_factory=dict)
    records: dict[RecordKey, RecordState] = field(default_factory=dict)
    entities: dict[EntityKey, EntityState] = field(default_factory=dict)
    members: dict[EntityKey, dict[RecordKey, RecordState]] = field(default_factory=dict)
    records_changed: dict[RecordKey, RecordState] = field(default_factory=dict)
    entities_changed: dict[EntityKey, EntityState] = field(default_factory=dict)
    audit: list[AuditNote] = field(default_factory=list)
    marks: dict[tuple[str, str, uuid.UUID], Mark] = field(default_factory=dict)
    follows: list[Follow] = field(default_factory=list)
    enriched: dict[EntityKey, EntityState] = field(default_factory=dict)
    """Entities that providers may have to be asked about."""
    tended: dict[EntityKey, Tended] = field(default_factory=dict)
    touches: list[TouchFact] = field(default_factory=list)
    identity_changes: list[IdentityReading] = field(default_factory=list)
    fetches: dict[FetchMark, None] = field(default_factory=dict)

    def load(self, entities: Iterable[EntityState], records: Iterable[RecordState]) -> None:
        """Take state from the store."""
        for entity in entities:
            self.entities[entity.key] = entity
        for record in records:
            self._place(record, record.entity_id)

    def _place(self, record: RecordState, entity_id: uuid.UUID) -> None:
        tenant_id = record.key.tenant_id
        self.members.setdefault((tenant_id, record.entity_id), {}).pop(record.key, None)
        record.entity_id = entity_id
        self.records[record.key] = record
        self.members.setdefault((tenant_id, entity_id), {})[record.key] = record

    def canonical(self, tenant_id: str, entity_id: uuid.UUID) -> uuid.UUID:
        """Follow merges from *entity_id* to the entity that stands for it; of a ring, which later changes open, to one."""
        passed: list[uuid.UUID] = []
        while entity_id not in passed:
            entity = self.entities.get((tenant_id, entity_id))
            if entity is None or entity.merged_into is None:
                return entity_id
            passed.append(entity_id)
            entity_id = entity.merged_into
        return min(passed[passed.index(entity_id) :])

    def _entity(self, tenant_id: str, entity_id: uuid.UUID, object_name: str) -> EntityState:
        key = (tenant_id, entity_id)
        if key not in self.entities:
            self.entities[key] = EntityState(tenant_id, entity_id, object_name)
        return self.entities[key]

    def may_refer(self, entity: EntityState) -> bool:
        """Say whether an entity can have references: whether a field of its object is of such a type."""
        policy = self.policies.get(entity.tenant_id)
        if policy is None:
            return False
        known = policy.of(entity.entity_id, entity.object).objects.get(cast("ObjectName", entity.object))
        return known is not None and any(item.type in _REFERRING for item in known.fields.values())

    def references(self, entity: EntityState) -> list[tuple[str, uuid.UUID, str, uuid.UUID]]:
        """Return tenant, entity, field and target of every reference among the entity's values."""
        document = self.policies[entity.tenant_id].of(entity.entity_id, entity.object)
        policy = document.objects[cast("ObjectName", entity.object)]
        found: dict[tuple[str, uuid.UUID], None] = {}
        for name, chosen in entity.fields.items():
            field_type = policy.fields[name].type if name in policy.fields else ""
            if field_type == "reference":
                found[(name, uuid.UUID(chosen.value))] = None
            elif field_type == "participants":
                found.update(
                    ((name, uuid.UUID(i["entity_id"])), None) for i in chosen.value if i.get("entity_id")
                )
        return [(entity.tenant_id, entity.entity_id, name, target) for name, target in found]

    def apply_record(self, reading: RecordReading, resolved: Resolutions) -> Effect:
        """Apply a change of a source record."""
        event = reading.event
        reading = self._as_staged(reading, resolved)
        touch = touch_of(self.policies[event.tenant_id], reading)
        if touch is not None:
            self.touches.append(touch)
        fields = with_entities(reading, resolved)
        touched: list[EntityState] = []
        rule = idle_rule(self.records.get(reading.subject.key), fields, event)
        touched += self._absorb(
            reading.subject.key, fields, event, resolved, deleted=reading.deleted, raw=reading.raw
        )
        rule = PROJECTED if touched else rule
        for subject, contact in reading.participants.values():
            if subject.key in resolved:
                touched += self._absorb(subject.key, contact, event, resolved)
        keys = tuple(entity.key for entity in touched)
        return Effect(event, rule, keys, tuple(entity.version for entity in touched))

    def _as_staged(self, reading: RecordReading, resolved: Resolutions) -> RecordReading:
        """Return *reading* in the spelling of its entity's policy: another one while a change is staged."""
        key = reading.subject.key
        policy = self.policies[key.tenant_id]
        if policy.share is None:
            return reading
        record = self.records.get(key)
        home = resolved.get(key) if record is None else record.entity_id
        return reading if home is None else respelt(policy.of(home, key.object), reading)

    def apply_identity(self, reading: IdentityReading) -> Effect:
        """Move the records of a merge or a split, and recompute all sides.

        Changes come in any order: of two that concern one record, or that end or restore one entity, the later by
        `seq` has the last word.
        """
        event, tenant_id = reading.event, reading.event.tenant_id
        winner = self._entity(tenant_id, reading.winner, reading.object)
        loser = self._entity(tenant_id, reading.loser, reading.object)
        merging = reading.change == "merged"
        sides = {winner.key: winner, loser.key: loser}
        for home in self._move(reading, winner if merging else loser):
            sides[home.key] = home
        if loser.state_seq < reading.seq:
            before = self.canonical(tenant_id, loser.entity_id)
            loser.state_seq = reading.seq
            loser.state = "merged" if merging else "active"
            loser.merged_into = reading.winner if merging else None
            for side in self._rehome_attached(self._entity(tenant_id, before, reading.object)):
                sides[side.key] = side
        for entity in sides.values():
            forced = entity is winner or entity is loser
            self._refresh(entity, event, f"identity_{reading.change}", force=forced)
        self.follows.extend(followed(self.policies[tenant_id], reading))
        if self.policies[tenant_id].timeline is not None:
            self.identity_changes.append(reading)
        return Effect(event, PROJECTED, tuple(sides), tuple(entity.version for entity in sides.values()))

    def _move(self, reading: IdentityReading, destination: EntityState) -> list[EntityState]:
        """Move the records that no later change has placed; return the entities that they leave.

        Of a record not heard of yet its place is noted: what identity is asked of it may be older than this change.
        """
        left: dict[EntityKey, EntityState] = {}
        for key in reading.moved:
            record = self.records.get(key)
            if record is None:
                record = RecordState(key, destination.entity_id, fresh=True)
                self._place(record, destination.entity_id)
            if record.home_seq >= reading.seq:
                continue
            record.home_seq = reading.seq
            self.records_changed[key] = record
            if record.entity_id != destination.entity_id:
                home = self._entity(key.tenant_id, record.entity_id, key.object)
                left[home.key] = home
                self._place(record, destination.entity_id)
        return list(left.values())

    def renew(self, entity: EntityState, event: LogEvent, action: str = "policy_changed") -> None:
        """Compute an entity anew, as another policy wants it, or because of another *action* on its records."""
        policy = self.policies[entity.tenant_id]
        self._respell(entity, policy.of(entity.entity_id, entity.object))
        self._refresh(entity, event, action)
        section = policy.enrichment
        if section is not None and section.existing and entity.object in section.objects:
            self.enriched[entity.key] = entity

    def recompute(self, entity: EntityState, event: LogEvent, action: str) -> None:
        """Compute an entity anew from its records, which something else than *event* has changed."""
        self._refresh(entity, event, action)

    def _respell(self, entity: EntityState, policy: PolicyDocument) -> None:
        """Bring what the entity's records said into the spelling that *policy* wants."""
        for record in self.members.get(entity.key, {}).values():
            respelt = respell(policy, record.key, record.fields)
            if respelt:
                record.fields = {**record.fields, **respelt}
                self.records_changed[record.key] = record

    def _rehome_attached(self, entity: EntityState) -> list[EntityState]:
        """Move attached records to whoever stands now for the entities that they name; return all concerned.

        Args:
            entity: has those that may have to move: it stood for whoever changed.
        """
        touched: dict[EntityKey, EntityState] = {}
        for key, record in list(self.members.get(entity.key, {}).items()):
            if is_attached(key):
                home = self.canonical(entity.tenant_id, attached_entity(key))
                if home != record.entity_id:
                    self._place(record, home)
                    self.records_changed[key] = record
                    for side in (entity, self._entity(entity.tenant_id, home, entity.object)):
                        touched[side.key] = side
        return list(touched.values())

    def _absorb(
        self,
        key: RecordKey,
        fields: Mapping[str, Any],
        event: LogEvent,
        resolved: Resolutions,
        *,
        deleted: bool = False,
        raw: Mapping[str, Any] = {},
    ) -> list[EntityState]:
        """Merge *fields* into the record; return its entity when anything but times has changed."""
        record = self.records.get(key)
        is_new = record is None or not record.speaks
        if record is None:
            record = self._found(key, resolved[key])
        attribution = self.policies[key.tenant_id].attribution
        earliest = attribution.first if attribution is not None else None
        merged = merge_facts(record, fields, event, raw, deleted=deleted, earliest=earliest)
        if merged is Merged.NOTHING and not is_new:
            return []
        self.records_changed[key] = record
        held = self.entities.get((key.tenant_id, record.entity_id))
        version = held.version if held else 0
        entity = self._recompute(key, event)
        return [entity] if is_new or merged is Merged.CHANGED or entity.version != version else []

    def _found(self, key: RecordKey, told: uuid.UUID) -> RecordState:
        """Return a new record in its entity: where identity says, or who stands for an entity that something else named."""
        revision = self.revisions.get(key)
        home = self.canonical(key.tenant_id, told) if revision is None else told
        record = RecordState(key, home, home_seq=revision or 0, fresh=True)
        self._place(record, home)
        return record

    def _recompute(self, key: RecordKey, event: LogEvent) -> EntityState:
        record = self.records[key]
        entity = self._entity(key.tenant_id, record.entity_id, key.object)
        self._refresh(entity, event, "entity_created" if entity.version == 0 else "field_changed")
        return entity

    def _refresh(self, entity: EntityState, event: LogEvent, action: str, *, force: bool = False) -> None:
        in_force = self.policies[entity.tenant_id]
        policy = in_force
        if (
            in_force.share is not None
        ):  # a change is staged: whose entity this is decides, for every record of it
            policy = in_force.of(entity.entity_id, entity.object)
            self._respell(entity, policy)
        members = self.members.get(entity.key, {})
        own = [record for key, record in members.items() if record.speaks and not is_attached(key)]
        if members and not own and not force:
            return  # an attached record makes no entity: it waits for the first one
        before, state_before = entity.fields, entity.state
        after = survive(
            policy.rules[cast("ObjectName", entity.object)], [m.as_member() for m in members.values()]
        )
        if entity.state != "merged":
            entity.state = "deleted" if own and all(m.deleted for m in own) else "active"
        entity.fields = after
        if after != before:
            self.entities_changed[entity.key] = entity
        changes = tuple(value_changes(before, after))
        if not (changes or force or entity.version == 0 or entity.state != state_before):
            return
        entity.version += 1
        entity.policy_version = policy.version
        self.entities_changed[entity.key] = entity
        key = (entity.entity_id, event.event_key)
        note = AuditNote(entity.tenant_id, action, actor_of(event), *key, changes, policy.version)
        self.audit.append(note)
        self._mark(policy, entity, event)
        if in_force.enrichment is not None and (
            force
            or entity.version == 1
            or concerns(in_force.enrichment, entity.object, (item["field"] for item in changes))
        ):
            self.enriched[entity.key] = entity
        if entity.object in in_force.tended:
            mark = Tended(*entity.key, entity.object, event.record_time, *event.position)
            self.tended.setdefault(entity.key, mark)

    def _mark(self, policy: PolicyDocument, entity: EntityState, event: LogEvent) -> None:
        values = {name: chosen.value for name, chosen in entity.fields.items()}
        lane = told_lane(_lane(policy, event.source), event.trace.tracestate if event.trace else "")
        for name, connector in policy.connectors.items():
            targets = connector.written.get(cast("ObjectName", entity.object), ())
            wanted = entity.state != "active" or select_target(targets, values) is not None
            if connector.enabled and targets and wanted:
                key = (entity.tenant_id, name, entity.entity_id)
                before = self.marks.get(key)
                urgent = lane if before is None else min(lane, before.lane)
                self.marks[key] = Mark(*key, entity.object, entity.version, event, urgent)


def _lane(policy: PolicyDocument, source: str) -> Lane:
    """Return in which line the changes of *source* stand; what is no system of the policy is live."""
    system = policy.systems.get(source)
    return Lane.LIVE if system is None else Lane[system.lane.upper()]
