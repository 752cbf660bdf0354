"""The service without one of its safeguards each, put in by constructor: what shows that a check can fail.

Must not be imported by anything but checks of checks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

import asyncpg
from headwater.identity.store.merging import PostgresMergeTransaction
from tests.identity_histories.calls import Answer, Call
from tests.identity_histories.services import Service

from headwater.identity.domain.merging import Actor, Change, Merge
from headwater.identity.domain.records import RecordId
from headwater.identity.store import PostgresIdentityStore
from headwater.identity.store.resolving import PostgresResolveTransaction
from headwater.kernel.ids import TenantId


class NoKeyLocks(PostgresIdentityStore):
    """Resolving locks neither keys nor records."""

    @asynccontextmanager
    async def resolving(
        self, tenant_id: TenantId, locks: Sequence[int], timeout_s: float | None
    ) -> AsyncIterator[PostgresResolveTransaction]:
        """Open a transaction without the locks that were asked for."""
        del locks
        async with PostgresIdentityStore.resolving(self, tenant_id, [], timeout_s) as transaction:
            yield transaction


class NoTenantLock(PostgresIdentityStore):
    """A merge or a split does not have its tenant alone."""

    @asynccontextmanager
    async def merging(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresMergeTransaction]:
        """Open a transaction that locks nothing."""
        del timeout_s
        async with self.sessions.transaction() as session:
            yield PostgresMergeTransaction(session, tenant_id)


class NoSnapshot(PostgresIdentityStore):
    """Each look of a question sees another moment."""

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Open the store as it is from look to look."""
        yield self


class _HalfSplit(PostgresMergeTransaction):
    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        await PostgresMergeTransaction.write_split(self, merge, records[:1], actor, change)


class SplitsHalf(PostgresIdentityStore):
    """A split gives only the first record back."""

    @asynccontextmanager
    async def merging(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresMergeTransaction]:
        """Open a transaction that splits badly."""
        async with PostgresIdentityStore.merging(self, tenant_id, timeout_s) as transaction:
            yield _HalfSplit(transaction.session, tenant_id)


class _ForgetsNoMove(PostgresMergeTransaction):
    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        last = replace(merge, seq=2**62)
        await PostgresMergeTransaction.write_split(self, last, records, actor, change)


class RemembersUndoneMoves(PostgresIdentityStore):
    """A split does not take the moves out of the merges on top of it, which then give back what is not theirs."""

    @asynccontextmanager
    async def merging(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresMergeTransaction]:
        """Open a transaction that splits without a memory."""
        async with PostgresIdentityStore.merging(self, tenant_id, timeout_s) as transaction:
            yield _ForgetsNoMove(transaction.session, tenant_id)


WEAKENED: Final[Mapping[str, type[PostgresIdentityStore]]] = {
    "no locks of keys and records": NoKeyLocks,
    "no lock of the tenant": NoTenantLock,
    "no snapshot for questions": NoSnapshot,
}


@dataclass(frozen=True, slots=True)
class Forgiving:
    """A service whose faults count as calls that nobody knows the outcome of: a weakened one runs into many."""

    service: Service

    async def answer(self, tenant: str, call: Call) -> Answer | None:
        """Ask; None when the database refused what the service wanted of it."""
        try:
            return await self.service.answer(tenant, call)
        except (asyncpg.PostgresError, RuntimeError):
            return None

    async def recovered(self) -> None:
        """Nothing is away."""
