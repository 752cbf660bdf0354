"""One entity made again from the events of its records. Pure.

Facts are registers that the later time wins, so what events leave of a record does not hang on the order in which they were
projected: reading them again in the order of the log gives what a rebuild of the whole tenant would. Where a record belongs
is not decided again: that is identity's.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import structs

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.facts import merge_facts
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.log import START, LogEvent, Position, RecordKey, bulk_side
from headwater.sync.domain.projecting import AuditNote, Resolutions, Workspace
from headwater.sync.domain.reading import Reading, RecordReading, with_entities
from headwater.sync.domain.respelling import respelt
from headwater.sync.domain.states import EntityState, RecordState

ACTION: Final = "entity_rebuilt"
"""What the audit calls it."""
DELETED: Final = "#deleted"
"""In place of a field: when a record was deleted."""

Reference = tuple[str, uuid.UUID]
"""Field and the entity that it refers to."""


@dataclass(frozen=True, slots=True)
class History:
    """An entity as it is stored, and what the log says of its records, at one moment.

    Args:
        entity: None where its row is not there.
        references: as stored.
        events: those that are projected, in the order of the log; of other records too, as far as they name one of these.
        suppressions: number of the newest suppression.
    """

    entity: EntityState | None
    members: Sequence[RecordState]
    references: frozenset[Reference]
    events: Sequence[LogEvent]
    suppressions: int


@dataclass(frozen=True, slots=True)
class Missing:
    """What a record says by an event that the log does not hold."""

    record: RecordKey
    field: str

    def __str__(self) -> str:
        key = self.record
        return f"{key.source}/{key.object}/{key.external_id}: {self.field}"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came out.

    Args:
        workspace: holds what is to be written.
        records: that came out otherwise than they are stored.
        changes: values of the entity that did, as the audit tells them.
        references: True when the stored ones are not those of its values.
        missing: what the stored records say by events that the log does not hold; gone in what came out.
    """

    workspace: Workspace
    records: tuple[RecordKey, ...]
    changes: tuple[Mapping[str, Any], ...]
    references: bool
    missing: tuple[Missing, ...]

    @property
    def changed(self) -> bool:
        """Whether anything of the entity itself came out otherwise."""
        return self.references or bool(self.workspace.entities_changed)


def is_projected(event: LogEvent, cursors: Mapping[int, Position]) -> bool:
    """Say whether *event* is behind the cursor of its side of its shard."""
    side = bulk_side(event.shard) if event.is_bulk else event.shard
    return event.position <= cursors.get(side, START)


def concerning(readings: Iterable[Reading], keys: Collection[RecordKey]) -> Iterable[RecordReading]:
    """Yield the readings that say something of one of these records."""
    for reading in readings:
        if isinstance(reading, RecordReading) and (
            reading.subject.key in keys
            or any(subject.key in keys for subject, _ in reading.participants.values())
        ):
            yield reading


def rebuild(
    policy: PolicyDocument,
    entity: EntityState,
    history: History,
    readings: Sequence[Reading],
    resolved: Resolutions,
    actor: str,
    now: dt.datetime,
) -> Rebuilt:
    """Return the entity and its records as *readings* make them.

    Args:
        policy: the one in force.
        entity: as it is stored; an empty one where it is not. It is changed.
        readings: of the history's events (one at least), in the same order.
        resolved: entities of what the entity's own records refer to.
        actor: on whose behalf, for the audit.
        now: since when CRMs lack what changed.
    """
    stored = {item.key: item for item in history.members}
    made = _made(policy, entity, history, readings, resolved)
    workspace = Workspace({entity.tenant_id: policy})
    workspace.load([entity], made.values())
    differing = tuple(key for key, item in made.items() if _differs(stored[key], item))
    workspace.records_changed.update({key: made[key] for key in differing})
    cause = structs.replace(history.events[-1], record_time=now, trace=None)
    workspace.recompute(entity, cause, ACTION)
    changes = tuple(change for note in workspace.audit for change in note.changes)
    workspace.audit = [_note(policy, entity, cause, actor, (_count(differing), *changes))]
    workspace.marks = {
        key: structs.replace(mark, lane=Lane.BACKFILL) for key, mark in workspace.marks.items()
    }
    refers = {(name, target) for _, _, name, target in _references(workspace, entity)}
    missing = _missing(history, made)
    return Rebuilt(workspace, differing, changes, refers != history.references, tuple(missing))


def _made(
    policy: PolicyDocument,
    entity: EntityState,
    history: History,
    readings: Sequence[Reading],
    resolved: Resolutions,
) -> dict[RecordKey, RecordState]:
    made = {
        item.key: RecordState(item.key, item.entity_id, home_seq=item.home_seq) for item in history.members
    }
    earliest = policy.attribution.first if policy.attribution is not None else None
    for found in concerning(readings, made):
        event, own = found.event, made.get(found.subject.key)
        if own is not None:
            staged = policy.share is not None
            reading = respelt(policy.of(entity.entity_id, event.object), found) if staged else found
            fields = with_entities(reading, resolved)
            merge_facts(own, fields, event, reading.raw, deleted=reading.deleted, earliest=earliest)
        for subject, contact in found.participants.values():
            if (named := made.get(subject.key)) is not None:
                merge_facts(named, contact, event, {}, deleted=False, earliest=earliest)
    return made


def _differs(stored: RecordState, made: RecordState) -> bool:
    return (stored.fields, stored.deleted, stored.delete_time) != (
        made.fields,
        made.deleted,
        made.delete_time,
    )


def _references(workspace: Workspace, entity: EntityState) -> list[tuple[str, uuid.UUID, str, uuid.UUID]]:
    return workspace.references(entity) if workspace.may_refer(entity) else []


def _missing(history: History, made: Mapping[RecordKey, RecordState]) -> Iterable[Missing]:
    known = {event.event_key for event in history.events}
    for item in history.members:
        for name, fact in sorted(item.fields.items()):
            if fact.event_key not in known:
                yield Missing(item.key, name)
        deleted = made[item.key].delete_time
        if item.delete_time is not None and (deleted is None or deleted < item.delete_time):
            yield Missing(item.key, DELETED)


def _count(differing: Sequence[RecordKey]) -> dict[str, Any]:
    return {"field": "#records", "before": None, "after": len(differing), "rule": ACTION}


def _note(
    policy: PolicyDocument,
    entity: EntityState,
    cause: LogEvent,
    actor: str,
    changes: tuple[dict[str, Any], ...],
) -> AuditNote:
    version = policy.of(entity.entity_id, entity.object).version
    return AuditNote(entity.tenant_id, ACTION, actor, entity.entity_id, cause.event_key, changes, version)
