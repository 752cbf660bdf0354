"""What making timelines needs of the store, in its own words. Methods of `TimelineStore` raise Unavailable, StoreRaced."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.associating import Activity, Association
from headwater.sync.domain.attributing import TouchFact
from headwater.sync.domain.gathering import Homes, Key
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.states import EntityState

NOWHERE: Final = uuid.UUID(int=0)
"""Before every entity; of a merge or split that nothing was done about."""
BEGUN: Final = uuid.UUID(int=1)
"""Before every entity as well, of one that was begun."""


@dataclass(frozen=True, slots=True)
class Due:
    """Changed entities of one tenant, and an event that changed one of them."""

    tenant_id: str
    entities: tuple[uuid.UUID, ...]
    event_key: uuid.UUID


@dataclass(frozen=True, slots=True)
class Spread:
    """Activities to be looked at again, from behind *place* on."""

    tenant_id: str
    kind: str
    value: str
    event_key: uuid.UUID
    place: uuid.UUID


@dataclass(frozen=True, slots=True)
class Change:
    """A merge or a split that activities follow."""

    tenant_id: str
    event_key: uuid.UUID
    change: str
    winner_id: uuid.UUID
    loser_id: uuid.UUID
    place: uuid.UUID


@dataclass(frozen=True, slots=True)
class Written:
    """A page of activities, whole.

    Args:
        gone: activities of which nothing is kept any more.
        threads: id to thread, of ids that are new.
        former: thread to the one that takes it in.
    """

    activities: Sequence[Activity]
    associations: Mapping[uuid.UUID, Sequence[Association]]
    gone: Sequence[uuid.UUID] = ()
    threads: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)


class TimelineUnit(Protocol):
    """One page in one transaction, beside no other process's."""

    async def rebuilding(self) -> bool:
        """Say whether the log is being projected again."""
        ...

    async def renew_policies(self, digests: Mapping[str, str]) -> None:
        """Have every entity of tenants looked at whose words have changed; *digests* by tenant."""
        ...

    async def take_due(self, limit: int) -> Due | None:
        """Take the next changed entities; None when there are none."""
        ...

    async def first_change(self) -> Change | None:
        """Return the merge or split that is to be followed next."""
        ...

    async def first_spread(self) -> Spread | None:
        """Return what activities are to be looked at again for."""
        ...

    async def begin_change(self, change: Change) -> None:
        """Leave what refers to the entities of *change*, save activities, to be looked at first."""
        ...

    async def page_change(self, change: Change, limit: int) -> list[uuid.UUID]:
        """Return the next activities that concern an entity of *change*."""
        ...

    async def page_spread(self, spread: Spread, limit: int) -> list[uuid.UUID]:
        """Return the next activities of *spread*; of kind all, the next entities become due instead."""
        ...

    async def save_change(
        self, change: Change, place: uuid.UUID, examined: int, moved: int, *, done: bool
    ) -> None:
        """Store how far a merge or split is followed."""
        ...

    async def note_change(
        self, change: Change, changes: Sequence[Mapping[str, Any]], policy_version: str
    ) -> None:
        """Put a page of a merge or split into the audit."""
        ...

    async def save_spread(self, spread: Spread, place: uuid.UUID, *, done: bool) -> None:
        """Store how far a spread is."""
        ...

    async def begin_spreads(self, tenant_id: str, event_key: uuid.UUID, wanted: Collection[Key]) -> None:
        """Have activities looked at again, all from the first on."""
        ...

    async def read_entities(self, tenant_id: str, entities: Collection[uuid.UUID]) -> list[EntityState]:
        """Return entities as they stand."""
        ...

    async def homes_of(self, tenant_id: str, addresses: Collection[tuple[str, str]]) -> Homes:
        """Return the contacts that records of addresses are in, by source and address."""
        ...

    async def standing_of(
        self, tenant_id: str, entities: Collection[uuid.UUID]
    ) -> Mapping[uuid.UUID, uuid.UUID]:
        """Return who stands for entities now."""
        ...

    async def having(self, tenant_id: str, keys: Iterable[Key]) -> Mapping[Key, Collection[uuid.UUID]]:
        """Return the entities that have keys."""
        ...

    async def keys_of(
        self, tenant_id: str, entities: Collection[uuid.UUID]
    ) -> Mapping[uuid.UUID, frozenset[Key]]:
        """Return the keys of entities."""
        ...

    async def write_keys(self, tenant_id: str, keys: Mapping[uuid.UUID, Collection[Key]]) -> None:
        """Give entities keys, in place of those they had."""
        ...

    async def unplaced(self, tenant_id: str, mailboxes: Collection[str]) -> set[str]:
        """Return those of *mailboxes* that activities have without a contact."""
        ...

    async def threads_of(self, tenant_id: str, messages: Collection[str]) -> Mapping[str, str]:
        """Return the threads that messages are in."""
        ...

    async def associations_of(
        self, tenant_id: str, activities: Collection[uuid.UUID]
    ) -> Mapping[uuid.UUID, Sequence[Association]]:
        """Return whom activities concern, as it was written last."""
        ...

    async def write(self, tenant_id: str, page: Written) -> None:
        """Write a page, in place of what was known of its activities."""
        ...

    async def load_activities(
        self, policy: PolicyDocument, tenant_id: str, activities: Collection[uuid.UUID]
    ) -> Workspace:
        """Lock activities and return them with their records."""
        ...

    async def write_workspace(self, workspace: Workspace) -> None:
        """Write what was changed: records, entities, references, audit, marks with their notification."""
        ...


class TimelineStore(Protocol):
    """Where timelines are."""

    def alone(self) -> AbstractAsyncContextManager[TimelineUnit | None]:
        """Begin a transaction; None when another process has one."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which activities of an entity are asked for.

    Args:
        since: from then on.
        until: before then.
        before: time and activity of the last one seen; the next are older.
        thread_id: of one thread; empty for all.
    """

    since: dt.datetime
    until: dt.datetime
    before: tuple[dt.datetime, uuid.UUID]
    limit: int
    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    thread_id: str = ""
    confidence_min: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One activity of a timeline: what it was, how it concerns the entity asked about, and whom else."""

    activity: Activity
    thread_id: str
    reason: str
    confidence: float
    associations: Sequence[Association]


class TimelineDesk(Protocol):
    """Where timelines and touches are read. Every method raises Unavailable."""

    async def find(self, tenant_id: str, subject: uuid.UUID | RecordKey) -> uuid.UUID | None:
        """Return the entity that stands for what is named; None when there is none."""
        ...

    async def read(self, tenant_id: str, entity_id: uuid.UUID, wanted: Wanted) -> Sequence[Entry]:
        """Return the next activities that concern an entity, the newest first."""
        ...

    async def waiting(self, tenant_id: str) -> int:
        """Count what is not associated yet."""
        ...

    async def touches(self, tenant_id: str, entity_id: uuid.UUID, limit: int) -> Sequence[TouchFact]:
        """Return the touches of an entity, the first first."""
        ...

    async def page_events(
        self, tenant_id: str, after: uuid.UUID, limit: int
    ) -> Sequence[tuple[uuid.UUID, LogEvent | None]]:
        """Return the next projected events behind *after*, by key; None where the log has them no more."""
        ...

    async def kept(self, tenant_id: str, keys: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, TouchFact]:
        """Return the touches of events."""
        ...

    async def keep(self, touches: Sequence[TouchFact]) -> None:
        """Keep touches of events that have none."""
        ...
