"""The service without one of its safeguards each, put in by constructor: what shows that a check can fail.

Must not be imported by anything but checks of checks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

import asyncpg
from tests.identity_histories.calls import Answer, Call
from tests.identity_histories.services import Service

from headwater.identity.domain.merging import Actor, Change, Merge
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.resolving.values import KnownRecord
from headwater.identity.store import PostgresIdentityStore
from headwater.identity.store.transaction import PostgresTransaction
from headwater.kernel.ids import TenantId


class NoLock(PostgresIdentityStore):
    """Nobody has a tenant alone."""

    @asynccontextmanager
    async def alone(self, tenant_id: TenantId, timeout_s: float | None) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction that locks nothing."""
        del timeout_s
        async with self.sessions.transaction() as session:
            yield PostgresTransaction(session, tenant_id, self.limits)


class NoSnapshot(PostgresIdentityStore):
    """Each look of a question sees another moment."""

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Open the store as it is from look to look."""
        yield self


class StaleMemory(PostgresIdentityStore):
    """Answers for known records out of what was read of them before."""

    @cached_property
    def _read(self) -> dict[tuple[TenantId, RecordId], KnownRecord]:
        return {}

    async def list_known(
        self, tenant_id: TenantId, told: Mapping[RecordId, int | None]
    ) -> Mapping[RecordId, KnownRecord]:
        """Return records as they stood when they were read first."""
        found = await PostgresIdentityStore.list_known(self, tenant_id, told)
        return {one: self._read.setdefault((tenant_id, one), known) for one, known in found.items()}


class _HalfSplit(PostgresTransaction):
    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        await PostgresTransaction.write_split(self, merge, records[:1], actor, change)


class SplitsHalf(PostgresIdentityStore):
    """A split gives only the first record back."""

    @asynccontextmanager
    async def alone(self, tenant_id: TenantId, timeout_s: float | None) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction that splits badly."""
        async with PostgresIdentityStore.alone(self, tenant_id, timeout_s) as transaction:
            yield _HalfSplit(transaction.session, tenant_id, self.limits)


class _ForgetsNoMove(PostgresTransaction):
    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        last = replace(merge, seq=2**62)
        await PostgresTransaction.write_split(self, last, records, actor, change)


class RemembersUndoneMoves(PostgresIdentityStore):
    """A split does not take the moves out of the merges on top of it, which then give back what is not theirs."""

    @asynccontextmanager
    async def alone(self, tenant_id: TenantId, timeout_s: float | None) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction that splits without a memory."""
        async with PostgresIdentityStore.alone(self, tenant_id, timeout_s) as transaction:
            yield _ForgetsNoMove(transaction.session, tenant_id, self.limits)


WEAKENED: Final[Mapping[str, type[PostgresIdentityStore]]] = {
    "no lock of the tenant": NoLock,
    "no snapshot for questions": NoSnapshot,
    "known records out of a stale memory": StaleMemory,
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
