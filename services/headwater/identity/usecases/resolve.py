"""Resolving batches of records. Owns the order lock, read, decide, write; must not know SQL or gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headwater.identity.domain.keys import derive
from headwater.identity.domain.locking import stripe_locks
from headwater.identity.domain.records import RecordRef, record_id_of
from headwater.identity.domain.resolving import Incoming, Resolution, keys_to_look_up, plan_batch
from headwater.identity.ports import IdentityStore
from headwater.kernel.clock import Clock
from headwater.kernel.ids import EventKey, TenantId


@dataclass(frozen=True, slots=True)
class RecordToResolve:
    """A record with its raw attributes; match_only: never found an entity for it."""

    ref: RecordRef
    event_key: EventKey
    attributes: Mapping[str, str]
    match_only: bool = False


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves records to entities.

    Args:
        key_entities_max: a key that more entities share joins nobody.
    """

    store: IdentityStore
    clock: Clock
    key_entities_max: int

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
        keys = {key for record in incoming for key in record.identifiers.keys if not key.blocked_by}
        async with self.store.resolving(
            tenant_id, stripe_locks(tenant_id, ids, keys), timeout_s
        ) as transaction:
            known = await transaction.list_known(ids)
            holders = await transaction.list_holders(keys_to_look_up(incoming, known))
            plan = plan_batch(incoming, known, holders, self.key_entities_max)
            await transaction.write(plan, self.clock.now())
        return plan.resolutions


def _incoming(tenant_id: TenantId, record: RecordToResolve) -> Incoming:
    return Incoming(
        record_id_of(tenant_id, record.ref),
        record.ref,
        record.event_key,
        derive(record.ref.object, record.attributes),
        record.match_only,
    )
