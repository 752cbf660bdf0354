"""Which entities a batch may touch, and locking and loading them all before any of its readings is applied."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from headwater.sync.domain.correcting import attached_entity, is_attached
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.projecting import Resolutions, Workspace
from headwater.sync.domain.reading import IdentityReading, Reading, RecordReading
from headwater.sync.domain.states import EntityKey
from headwater.sync.ports import ProjectionUnit, StoreRaced

_CLOSURE_MAX: Final = 100
"""Rounds of following merges while loading."""


async def load_workspace(
    unit: ProjectionUnit, workspace: Workspace, readings: Sequence[Reading], resolved: Resolutions
) -> None:
    """Lock and load every entity that the batch may touch, merges followed, with all its records."""
    keys = list(dict.fromkeys(key for reading in readings for key in _record_keys(reading)))
    loaded = await unit.load({key: resolved.get(key) for key in keys}, dict(_sides(readings)))
    workspace.load(loaded.entities, loaded.members)
    objects = {entity.key: entity.object for entity in loaded.entities}
    found = loaded.moved
    for _ in range(_CLOSURE_MAX):
        # a record that was loaded stays where it is: its entity is locked; only the others may have moved
        known = {key: held.entity_id for key in keys if (held := workspace.records.get(key)) is not None}
        wanted = dict(_entities(readings, resolved, {**found, **known}))
        for key, entity in workspace.entities.items():
            if entity.merged_into is not None:
                wanted[(key[0], entity.merged_into)] = entity.object
        for record in filter(is_attached, workspace.records):  # their homes, for merges and splits
            wanted[(record.tenant_id, attached_entity(record))] = record.object
        fresh = {key: name for key, name in wanted.items() if key not in objects}
        if not fresh:
            return
        objects.update(fresh)
        entities = await unit.lock_entities(fresh)
        workspace.load(entities, await unit.read_members([item.key for item in entities]))
        unseen = [key for key in keys if key not in workspace.records]
        found = await unit.find_records(unseen) if unseen else {}
    raise StoreRaced("entities kept moving while they were locked")


def _sides(readings: Sequence[Reading]) -> Iterable[tuple[EntityKey, str]]:
    for reading in readings:
        if isinstance(reading, IdentityReading):
            yield (reading.event.tenant_id, reading.winner), reading.object
            yield (reading.event.tenant_id, reading.loser), reading.object


def _record_keys(reading: Reading) -> Iterable[RecordKey]:
    if isinstance(reading, RecordReading):
        yield reading.subject.key
        yield from (subject.key for subject, _ in reading.participants.values())
    elif isinstance(reading, IdentityReading):
        yield from reading.moved


def _entities(
    readings: Sequence[Reading], resolved: Resolutions, known: Mapping[RecordKey, uuid.UUID]
) -> Iterable[tuple[EntityKey, str]]:
    yield from _sides(readings)
    for reading in readings:
        for key in _record_keys(reading):
            entity_id = known.get(key) or resolved.get(key)
            if entity_id is not None:
                yield (reading.event.tenant_id, entity_id), key.object
