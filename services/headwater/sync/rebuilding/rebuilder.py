"""Makes one entity again from its own history. Orders effects; holds no state but policies that it has read.

What may take long is done first, without a lock: events are read, and what the records refer to is found. Then the entity
is held, the same is read again, and what came in meanwhile is looked at before anything is written. So no
transaction waits for another service, and no event is lost or counted twice.

NotFound             UNKNOWN_ENTITY
PreconditionFailed   NO_POLICY, ENTITY_MERGED, ENTITY_ERASED, NO_EVENTS, EVENTS_MISSING, HISTORY_TOO_LONG, REBUILD_RUNS
Conflict             OUTRUN
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from headwater.kernel.errors import Conflict, NotFound, PreconditionFailed
from headwater.kernel.tenancy import every_tenant
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import PolicyRefused, load_policy
from headwater.sync.domain.correcting import attached_entity, is_attached
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.reading import Reading, RecordReading, Subject
from headwater.sync.domain.rebuilding import History, Rebuilt, rebuild
from headwater.sync.domain.states import EntityState
from headwater.sync.ports import Policies, Resolver, StoreRaced
from headwater.sync.projector.echoes import Echoes
from headwater.sync.projector.moments import RecordedPolicy, in_force_at, read_by
from headwater.sync.projector.suppressing import Suppressions
from headwater.sync.rebuilding.ports import NOTHING, HistoryTooLong, RebuildStore, RebuildUnit, Standing

TRIES_MAX: Final = 8
"""Times that what came in meanwhile is looked at before it is given up."""
MISSING_SHOWN: Final = 10
"""Values without an event that an error names."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rebuild found.

    Args:
        rebuilt: what came out.
        events: that were read.
        records: of the entity.
        written: whether it is in force.
    """

    entity: EntityState
    rebuilt: Rebuilt
    events: int
    records: int
    written: bool = False


@dataclass(slots=True)
class _Draft:
    """What is known before the entity is held.

    Args:
        readings: event key to what it says.
        resolved: entities of what the readings refer to.
    """

    policy: PolicyDocument
    now: dt.datetime
    readings: dict[uuid.UUID, Reading] = field(default_factory=dict)
    resolved: dict[RecordKey, uuid.UUID] = field(default_factory=dict)
    suppressions: int = 0

    @property
    def events(self) -> dict[uuid.UUID, LogEvent]:
        """The events that were read."""
        return {key: reading.event for key, reading in self.readings.items()}

    def covers(self, history: History) -> bool:
        """Say whether nothing came in since."""
        return history.suppressions <= self.suppressions and all(
            event.event_key in self.readings for event in history.events
        )

    def of(self, history: History) -> list[Reading]:
        """Return the readings of a history's events, in order."""
        return [self.readings[event.event_key] for event in history.events]


class EntityRebuilder:
    """Rebuilds entities of any tenant."""

    def __init__(
        self,
        store: RebuildStore,
        echoes: Echoes,
        suppressions: Suppressions,
        resolver: Resolver,
        policies: Policies,
    ) -> None:
        self._store = store
        self._echoes = echoes
        self._suppressions = suppressions
        self._resolver = resolver
        self._policies = policies

    async def preview(self, tenant_id: str, entity_id: uuid.UUID) -> Outcome:
        """Return what a rebuild would change. Raises: NotFound, PreconditionFailed, Unavailable."""
        with (
            every_tenant()
        ):  # as the projector: what is made of the log is no call's to read whole, or to write
            history = await self._look(tenant_id, entity_id)
            draft = await self._draft(self._policy(tenant_id), history)
        return _outcome(draft, history, entity_id, "")

    async def rebuild(
        self, tenant_id: str, entity_id: uuid.UUID, actor: str, *, drop_missing: bool = False
    ) -> Outcome:
        """Make an entity again.

        Args:
            drop_missing: let go of what the log holds no event of.

        Raises:
            NotFound, PreconditionFailed, Conflict: see the module; nothing was written.
            Unavailable: the database or identity did not answer; of the database, it may have been written.
        """
        with every_tenant():
            history = await self._look(tenant_id, entity_id)
            for _ in range(TRIES_MAX):
                draft = await self._draft(self._policy(tenant_id), history)
                try:
                    async with self._store.taken((tenant_id, entity_id), _object_of(history)) as unit:
                        history = await _history(unit, tenant_id, entity_id, draft.events)
                        if draft.covers(history):
                            found = _outcome(draft, history, entity_id, actor)
                            if found.rebuilt.missing and not drop_missing:
                                raise _missing(entity_id, found.rebuilt)
                            await unit.write(found.rebuilt)
                            return replace(found, written=True)
                except StoreRaced:
                    continue
        message = f"entity {entity_id} changed each time that it was to be written: try again"
        raise Conflict(message, reason="OUTRUN")

    async def _look(self, tenant_id: str, entity_id: uuid.UUID) -> History:
        async with self._store.looking(tenant_id, entity_id) as unit:
            return await _history(unit, tenant_id, entity_id)

    def _policy(self, tenant_id: str) -> PolicyDocument:
        policy = self._policies.current().get(tenant_id)
        if policy is None:
            raise PreconditionFailed(f"tenant {tenant_id} has no policy yet", reason="NO_POLICY")
        return policy

    async def _draft(self, policy: PolicyDocument, history: History) -> _Draft:
        """Read the events of a history as the projector does when it reads them again, and ask identity."""
        tenant_id = history.members[0].key.tenant_id
        recorded, documents = await self._store.policies(tenant_id), _Documents()
        readings: list[Reading] = [
            read_by(in_force_at(recorded, event.position, documents.read), policy, event)
            for event in history.events
        ]
        readings, number = await self._suppressions.apply({tenant_id: policy}, readings)
        readings = await self._echoes.recall({tenant_id: policy}, readings)
        keys = {item.key for item in history.members}
        resolved = await self._resolve(tenant_id, [item for item in readings if _is_own(item, keys)])
        told = {reading.event.event_key: reading for reading in readings}
        return _Draft(policy, await self._store.now(), told, resolved, number)

    async def _resolve(self, tenant_id: str, readings: Sequence[Reading]) -> dict[RecordKey, uuid.UUID]:
        """Return the entities of what records refer to; identity is asked about those alone that are not projected.

        So it is told nothing again: a rebuild is no new evidence of who is who, and a preview leaves no trace.
        """
        homes: dict[RecordKey, uuid.UUID] = {}
        wanted: dict[RecordKey, tuple[Subject, uuid.UUID]] = {}
        for reading in readings:
            for subject in reading.subjects[1:] if isinstance(reading, RecordReading) else ():
                if is_attached(subject.key):
                    homes[subject.key] = attached_entity(subject.key)
                    continue
                held = wanted.get(subject.key)
                if held is None or len(held[0].attributes) < len(subject.attributes):
                    wanted[subject.key] = (subject, reading.event.event_key)
        if wanted:
            homes.update(await self._store.homes(sorted(wanted)))
        if unknown := [item for key, item in wanted.items() if key not in homes]:
            answers = await self._resolver.resolve(tenant_id, unknown)
            homes.update(answers.homes)
        return homes


class _Documents:
    """Policies of moments, read once each."""

    def __init__(self) -> None:
        self._read: dict[str, PolicyDocument | None] = {}

    def read(self, item: RecordedPolicy) -> PolicyDocument | None:
        """Return a policy; None for one that this release cannot read."""
        if item.digest not in self._read:
            try:
                self._read[item.digest] = load_policy(item.document)
            except PolicyRefused:
                self._read[item.digest] = None
        return self._read[item.digest]


async def _history(
    unit: RebuildUnit,
    tenant_id: str,
    entity_id: uuid.UUID,
    known: Mapping[uuid.UUID, LogEvent] = NOTHING,
) -> History:
    """Return an entity's history. Raises: NotFound, PreconditionFailed: nothing can be made of it."""
    standing = await unit.standing()
    metadata = {"entity_id": str(entity_id)}
    if standing.rebuilding:
        message = "the whole log is being projected again: every entity is made anew by that"
        raise PreconditionFailed(message, reason="REBUILD_RUNS")
    if len(standing.chain) > 1:
        home = standing.chain[-1]
        message = f"entity {entity_id} was merged into {home}: rebuild that one"
        raise PreconditionFailed(message, reason="ENTITY_MERGED", metadata={"entity_id": str(home)})
    try:
        history = await unit.history(known)
    except HistoryTooLong as error:
        message = f"entity {entity_id} cannot be rebuilt by itself: {error}; rebuild its tenant instead"
        raise PreconditionFailed(message, reason="HISTORY_TOO_LONG", metadata=metadata) from error
    _refuse_erased(standing, history, entity_id)
    if not standing.chain and not history.members:
        message = f"no entity {entity_id} of tenant {tenant_id} is projected"
        raise NotFound(message, reason="UNKNOWN_ENTITY", metadata=metadata)
    if not history.members or not history.events:
        message = f"the log holds no event of entity {entity_id}: restore the archived days that it is of"
        raise PreconditionFailed(message, reason="NO_EVENTS", metadata=metadata)
    return history


def _refuse_erased(standing: Standing, history: History, entity_id: uuid.UUID) -> None:
    under_way = standing.erasure not in {"", "done"}
    if under_way or (standing.erasure and not history.members):
        message = f"the person of entity {entity_id} was erased: nothing of it is made again"
        raise PreconditionFailed(message, reason="ENTITY_ERASED", metadata={"entity_id": str(entity_id)})


def _outcome(draft: _Draft, history: History, entity_id: uuid.UUID, actor: str) -> Outcome:
    tenant_id = history.members[0].key.tenant_id
    entity = history.entity or EntityState(tenant_id, entity_id, _object_of(history))
    rebuilt = rebuild(draft.policy, entity, history, draft.of(history), draft.resolved, actor, draft.now)
    return Outcome(entity, rebuilt, len(history.events), len(history.members))


def _missing(entity_id: uuid.UUID, rebuilt: Rebuilt) -> PreconditionFailed:
    named = "; ".join(str(item) for item in rebuilt.missing[:MISSING_SHOWN])
    message = (
        f"the log holds no event of {len(rebuilt.missing)} values of entity {entity_id} ({named}): restore the archived"
        " days that they are of, or let them go (--drop-missing)"
    )
    metadata = {"entity_id": str(entity_id), "missing": str(len(rebuilt.missing))}
    return PreconditionFailed(message, reason="EVENTS_MISSING", metadata=metadata)


def _object_of(history: History) -> str:
    return history.entity.object if history.entity is not None else history.members[0].key.object


def _is_own(reading: Reading, keys: set[RecordKey]) -> bool:
    return isinstance(reading, RecordReading) and reading.subject.key in keys
