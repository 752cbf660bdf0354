"""What rebuilding an entity needs of the store, in its own words. Methods raise Unavailable, StoreRaced, StoreRefused."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.rebuilding import History, Rebuilt
from headwater.sync.domain.states import EntityKey
from headwater.sync.projector.moments import RecordedPolicy

RECORDS_MAX: Final = 500
"""Records of one entity that are made again in one transaction."""
EVENTS_MAX: Final = 10_000
"""Events of one entity that are made into it in one transaction, under its lock: a fraction of a second, for which the whole
log waits.
"""
NOTHING: Final[Mapping[uuid.UUID, LogEvent]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Standing:
    """What may stand in the way.

    Args:
        rebuilding: the whole log is being projected again.
        erasure: state of the newest erasure of the entity; empty for none.
        chain: the entity and those that it was merged into, in order; empty where nothing is known of it.
    """

    rebuilding: bool
    erasure: str
    chain: tuple[uuid.UUID, ...]


class HistoryTooLong(Exception):
    """More records or events than are read in one transaction."""


class RebuildUnit(Protocol):
    """One entity in one transaction, under its lock."""

    async def standing(self) -> Standing:
        """Return what stands in the way."""
        ...

    async def history(self, known: Mapping[uuid.UUID, LogEvent] = NOTHING) -> History:
        """Return the entity and its events. Raises: HistoryTooLong.

        Args:
            known: event key to event: what is not to be read again.
        """
        ...

    async def write(self, rebuilt: Rebuilt) -> None:
        """Write what came out otherwise, references too, and the audit's entry."""
        ...


class RebuildStore(Protocol):
    """Where entities and their events are."""

    def looking(self, tenant_id: str, entity_id: uuid.UUID) -> AbstractAsyncContextManager[RebuildUnit]:
        """Begin a transaction that sees one moment, locks nothing and can write nothing."""
        ...

    def taken(self, entity: EntityKey, object_name: str) -> AbstractAsyncContextManager[RebuildUnit]:
        """Begin a transaction that holds an entity: nothing of it is projected until it ends."""
        ...

    async def policies(self, tenant_id: str) -> Sequence[RecordedPolicy]:
        """Return the tenant's policies in the order of the log."""
        ...

    async def homes(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, uuid.UUID]:
        """Return the entities of those of *keys* that are projected."""
        ...

    async def now(self) -> dt.datetime:
        """Return the time: that of the database."""
        ...
