"""Resolving batches of records. Owns the order lock, read, decide, write; must not know SQL or gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headwater.identity.domain.keys import derive
from headwater.identity.domain.locking import stripe_locks
from headwater.identity.domain.records import RecordId, RecordRef, record_id_of
from headwater.identity.domain.resolving import Incoming, Resolution, keys_to_look_up, plan_batch
from headwater.identity.ports import IdentityStore
from headwater.kernel.clock import Clock
from headwater.kernel.ids import EventKey, TenantId

RECENT_MAX: Final = 65_536
"""Records that a process remembers to have resolved: about 10 MB."""


@dataclass(frozen=True, slots=True)
class RecordToResolve:
    """A record with its raw attributes; match_only: never found an entity for it."""

    ref: RecordRef
    event_key: EventKey
    attributes: Mapping[str, str]
    match_only: bool = False


class Recent:
    """Records that this process has resolved of late: a guess at what is known already, never a fact."""

    def __init__(self, records_max: int = RECENT_MAX) -> None:
        self._records: dict[RecordId, None] = {}
        self._records_max = records_max

    def holds_all(self, records: Sequence[RecordId]) -> bool:
        """Say whether all of *records* are among them."""
        return all(record in self._records for record in records)

    def add(self, records: Iterable[RecordId]) -> None:
        """Add *records*; the oldest make room."""
        self._records.update(dict.fromkeys(records))
        while len(self._records) > self._records_max:
            del self._records[next(iter(self._records))]


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves records to entities.

    Args:
        key_entities_max: a key that more entities share joins nobody.
    """

    store: IdentityStore
    clock: Clock
    key_entities_max: int
    recent: Recent = field(default_factory=Recent)

    async def resolve(
        self, tenant_id: TenantId, records: Sequence[RecordToResolve], timeout_s: float | None
    ) -> Sequence[Resolution]:
        """Assign each record to an entity, creating entities where none matches; idempotent.

        Args:
            records: in log order.
            timeout_s: what is left of the caller's deadline.

        Cancellation: nothing is written, unless the commit was under way; sending again is safe.
        """
        incoming = [_incoming(tenant_id, record) for record in records]
        ids = list(dict.fromkeys(record.record_id for record in incoming))
        if self.recent.holds_all(ids) and (recalled := await self._recall(tenant_id, ids, incoming)):
            return recalled
        keys = {key for record in incoming for key in record.identifiers.keys if not key.blocked_by}
        async with self.store.resolving(
            tenant_id, stripe_locks(tenant_id, ids, keys), timeout_s
        ) as transaction:
            known = await transaction.list_known(ids)
            holders = await transaction.list_holders(keys_to_look_up(incoming, known))
            plan = plan_batch(incoming, known, holders, self.key_entities_max)
            await transaction.write(plan, self.clock.now())
        self.recent.add(ids)
        return plan.resolutions

    async def _recall(
        self, tenant_id: TenantId, ids: Sequence[RecordId], incoming: Sequence[Incoming]
    ) -> Sequence[Resolution] | None:
        """Return the answers when all records are resolved and say nothing new, so that nothing is locked.

        The answers are as of one moment, as if the batch had had its locks just then.
        """
        known = await self.store.list_known(tenant_id, ids)
        if len(known) < len(ids) or keys_to_look_up(incoming, known):
            return None
        plan = plan_batch(incoming, known, {}, self.key_entities_max)
        return None if plan.writes else plan.resolutions


def _incoming(tenant_id: TenantId, record: RecordToResolve) -> Incoming:
    return Incoming(
        record_id_of(tenant_id, record.ref),
        record.ref,
        record.event_key,
        derive(record.ref.object, record.attributes),
        record.match_only,
    )
