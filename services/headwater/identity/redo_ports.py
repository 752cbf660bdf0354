"""What groups by former ids, going over records again and scans of a tenant need of the world. Protocols only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from headwater.identity.domain.records import GroupId, RecordId, RecordRef
from headwater.identity.domain.redoing import Redo, Rewriting, Said, Step
from headwater.identity.ports import Transaction
from headwater.kernel.ids import EntityId, TenantId


class RedoTransaction(Transaction, Protocol):
    """A transaction in which nobody else of the tenant resolves, merges or splits."""

    async def list_said(self, after: RecordId, rows_max: int) -> Sequence[Said]:
        """Return records behind one, in the order of their ids, with what they said."""
        ...

    async def rewrite(self, rewriting: Rewriting) -> None:
        """Write what records say by later rules; their groups and entities are left as they are."""
        ...

    async def forget_generic(self) -> None:
        """Forget which values identify nobody: comparing finds it anew."""
        ...

    async def advance(self, redo: Redo, step: Step, now: dt.datetime, until: dt.datetime) -> bool:
        """Note how far it is and lengthen the lease; False when somebody else has taken over."""
        ...


class RedoStore(Protocol):
    """Where the going over of records is kept."""

    def alone(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AbstractAsyncContextManager[RedoTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        ...

    async def list_due(self, version: int, tenants_max: int) -> Sequence[TenantId]:
        """Return tenants that have records by older rules, or that are not through."""
        ...

    async def take(
        self, tenant_id: TenantId, version: int, holder: str, now: dt.datetime, until: dt.datetime
    ) -> Redo | None:
        """Lease a tenant's going over, beginning it where none is under way; None when somebody else has it."""
        ...

    async def start(self, tenant_id: TenantId, version: int, now: dt.datetime) -> None:
        """Ask for one, unless it is under way."""
        ...

    async def release(self, redo: Redo, now: dt.datetime) -> None:
        """Give the lease back, so that another process goes on at once."""
        ...

    async def find(self, tenant_id: TenantId) -> Redo | None:
        """Return how far it is, or None where there never was one."""
        ...

    async def has_older(self, tenant_id: TenantId, version: int) -> bool:
        """Say whether a tenant has records by older rules."""
        ...

    async def list_said(self, tenant_id: TenantId, after: RecordId, rows_max: int) -> Sequence[Said]:
        """Return records behind one, in the order of their ids, with what they said; nothing is locked."""
        ...


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A record of a group."""

    ref: RecordRef
    entity_id: EntityId


class GroupStore(Protocol):
    """Where groups are kept, and what they were."""

    def snapshot(self) -> AbstractAsyncContextManager[GroupStore]:
        """Open the store as of one moment."""
        ...

    async def list_ever(
        self, tenant_id: TenantId, group_id: GroupId, rows_max: int
    ) -> Mapping[RecordId, GroupId]:
        """Return, of every record that is or was in a group, the group that it is in now."""
        ...

    async def list_group(
        self, tenant_id: TenantId, group_id: GroupId, rows_max: int
    ) -> Sequence[GroupMember]:
        """Return the records that are in a group."""
        ...


class SurveyTransaction(Transaction, Protocol):
    """A transaction in which nobody else of the tenant resolves, merges or splits."""

    async def list_asked(self, entities: Sequence[EntityId]) -> frozenset[frozenset[EntityId]]:
        """Return pairs of *entities* that a person is asked about."""
        ...


class SurveyStore(Protocol):
    """Where records are kept, with what they said."""

    def snapshot(self) -> AbstractAsyncContextManager[SurveyStore]:
        """Open the store as of one moment."""
        ...

    def alone(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AbstractAsyncContextManager[SurveyTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        ...

    async def list_said(self, tenant_id: TenantId, after: RecordId, rows_max: int) -> Sequence[Said]:
        """Return records behind one, in the order of their ids, with what they said."""
        ...
