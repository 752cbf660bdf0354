"""The identity service as a history's clients reach it: its use cases in this process, or its process by gRPC.

Owns translating calls and answers. The only place here that wires the service's inside.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import grpc
from tests.identity_histories.calls import (
    Absent,
    Answer,
    Call,
    GetEntity,
    GetRecord,
    Merge,
    Merged,
    Refused,
    Resolve,
    Resolved,
    Restored,
    Split,
    View,
)
from tests.identity_histories.people import OBJECT, SOURCE, attributes_of

from headwater.event.v1 import event_pb2
from headwater.identity.app import limits_of
from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordRef
from headwater.identity.domain.resolving.values import Limits
from headwater.identity.settings import IdentitySettings
from headwater.identity.store import PostgresIdentityStore, PostgresWeightsStore
from headwater.identity.store.session import Sessions
from headwater.identity.usecases.asking import Questions
from headwater.identity.usecases.merging import Merger
from headwater.identity.usecases.resolve import RecordToResolve, Resolver
from headwater.identity.usecases.telling import Telling
from headwater.identity.usecases.weighing import ActiveWeights
from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.v1 import identity_pb2_grpc
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import NotFound, PreconditionFailed, Unavailable
from headwater.kernel.ids import EntityId, EventKey, TenantId
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans

if TYPE_CHECKING:  # the name exists for type checkers only
    from headwater.kernel.pg.pool import Pool

CALL_S: Final = 20.0
"""Deadline of a call."""
AWAY_S_MAX: Final = 60.0
"""From a kill until the service answers again, on a busy machine."""
AGAIN_S: Final = 0.05
CONNECTIONS: Final = 16
REPLICAS: Final = 4
"""Of the service in one process: each gathers its calls by itself, and they meet in the database only."""
_ACTOR: Final = Actor(event_pb2.ACTOR_TYPE_USER, "reviewer", "")
_EVENTS: Final = uuid.UUID("6b0e0f7e-7d0f-4a53-9c3a-0d9f5f0c2b11")
_UNSURE: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}


class Service(Protocol):
    """The identity service."""

    async def answer(self, tenant: str, call: Call) -> Answer | None:
        """Ask; None when nobody knows whether it took effect."""
        ...

    async def recovered(self) -> None:
        """Return when the service answers again."""
        ...


@dataclass(frozen=True, slots=True)
class Replica:
    """One process's use cases."""

    resolver: Resolver
    merger: Merger
    questions: Questions


@dataclass(frozen=True, slots=True)
class InProcess:
    """Replicas of the use cases, without wire and server; they take turns.

    Args:
        limits: those that all of them resolve by.
    """

    replicas: Sequence[Replica]
    limits: Limits
    _turns: count[int] = field(default_factory=count)

    @property
    def replica(self) -> Replica:
        """The one whose turn it is."""
        return self.replicas[next(self._turns) % len(self.replicas)]

    async def answer(self, tenant: str, call: Call) -> Answer | None:
        """Ask; None when the database broke off."""
        try:
            return await self._answer(TenantId(tenant), call)
        except NotFound:
            return Absent()
        except PreconditionFailed:
            return Refused()
        except Unavailable:
            return None

    async def recovered(self) -> None:
        """Nothing is away for long: the next call waits for a connection."""

    async def _answer(self, tenant_id: TenantId, call: Call) -> Answer:
        replica = self.replica
        if isinstance(call, Resolve):
            found = await replica.resolver.resolve(tenant_id, _to_resolve(call.records), CALL_S)
            return Resolved(tuple(str(one.entity_id) for one in found))
        if isinstance(call, Merge):
            ids = EntityId(uuid.UUID(call.winner)), EntityId(uuid.UUID(call.loser))
            merge = await replica.merger.merge(tenant_id, *ids, _ACTOR, "", CALL_S, call.request)
            return Merged(str(merge.merge_id), merge.moved_count)
        if isinstance(call, Split):
            merge_id = uuid.UUID(call.merge)
            restored, moved = await replica.merger.split(tenant_id, merge_id, _ACTOR, CALL_S)
            return Restored(str(restored), moved)
        subject = (
            RecordRef(SOURCE, OBJECT, call.record)
            if isinstance(call, GetRecord)
            else EntityId(uuid.UUID(call.entity))
        )
        view = await replica.questions.get_entity(tenant_id, subject)
        into = view.state.merged_into
        members = frozenset(one.ref.external_id for one in view.members)
        return View(str(view.state.entity_id), "" if into is None else str(into), members)


class _NobodyListens:
    """No relay runs: changes stay in the outbox."""

    def notify(self) -> None:
        """Wake nobody."""


def _to_resolve(records: Sequence[str]) -> list[RecordToResolve]:
    return [
        RecordToResolve(
            RecordRef(SOURCE, OBJECT, one), EventKey(uuid.uuid5(_EVENTS, one)), attributes_of(one)
        )
        for one in records
    ]


def in_process(
    pool: Pool, store: type[PostgresIdentityStore] = PostgresIdentityStore, replicas: int = REPLICAS
) -> InProcess:
    """Wire the use cases as the service's app does.

    Args:
        store: what keeps the entities; a weaker one shows what a check is worth.
    """
    settings = IdentitySettings.model_construct(database_url="")
    limits = limits_of(settings)
    sessions = Sessions(pool, Spans.off(), settings.pool_acquire_timeout_s)
    weights = ActiveWeights(PostgresWeightsStore(sessions), 1)
    telling, bell = Telling(SystemClock(), uuid.uuid4, lambda: None), _NobodyListens()

    def replica() -> Replica:
        kept = store(sessions, limits, settings.statement_timeout_s)
        return Replica(
            Resolver(kept, telling, bell, weights, limits),
            Merger(kept, telling, bell, weights, limits),
            Questions(kept, weights),
        )

    return InProcess([replica() for _ in range(replicas)], limits)


@asynccontextmanager
async def service_on(
    database_url: str,
    connections: int = CONNECTIONS,
    store: type[PostgresIdentityStore] = PostgresIdentityStore,
    replicas: int = REPLICAS,
) -> AsyncIterator[InProcess]:
    """Open the use cases on a migrated database."""
    pool = await open_pool(
        database_url, application_name="identity", size_max=connections, session_reset=False
    )
    async with pool:
        yield in_process(pool, store, replicas)


@dataclass(frozen=True, slots=True)
class OverGrpc:
    """The service's process; calls wait for it while it is away, and are never sent twice."""

    stub: identity_pb2_grpc.IdentityServiceAsyncStub

    async def answer(self, tenant: str, call: Call) -> Answer | None:
        """Ask; None when the connection broke or the deadline came."""
        try:
            return await self._answer(tenant, call)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return Absent()
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                return Refused()
            if error.code() in _UNSURE:
                return None
            raise

    async def recovered(self) -> None:
        """Ask for something harmless until it is answered.

        Raises:
            TimeoutError: the service stays away.
        """
        question = pb.GetIdentityStatusRequest(tenant_id="nobody")
        with anyio.fail_after(AWAY_S_MAX):
            while True:
                try:
                    await self.stub.GetIdentityStatus(question, timeout=CALL_S, wait_for_ready=True)
                except grpc.aio.AioRpcError:
                    await anyio.sleep(AGAIN_S)
                else:
                    return

    async def _answer(self, tenant: str, call: Call) -> Answer:
        waiting: dict[str, Any] = {"timeout": CALL_S, "wait_for_ready": True}
        actor = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="reviewer")
        if isinstance(call, Resolve):
            batch = pb.ResolveBatchRequest(tenant_id=tenant, records=[_message(one) for one in call.records])
            found = await self.stub.ResolveBatch(batch, **waiting)
            return Resolved(tuple(one.entity_id for one in found.resolutions))
        if isinstance(call, Merge):
            merge = await self.stub.Merge(
                pb.MergeRequest(
                    tenant_id=tenant,
                    winner_entity_id=call.winner,
                    loser_entity_id=call.loser,
                    actor=actor,
                    request_id=call.request,
                ),
                **waiting,
            )
            return Merged(merge.merge_id, merge.moved_count)
        if isinstance(call, Split):
            request = pb.SplitRequest(tenant_id=tenant, merge_id=call.merge, actor=actor)
            split = await self.stub.Split(request, **waiting)
            return Restored(split.restored_entity_id, split.moved_count)
        entity = (await self.stub.GetEntity(_question(tenant, call), **waiting)).entity
        members = frozenset(one.record.external_id for one in entity.members)
        return View(entity.entity_id, entity.merged_into, members)


def _ref(record: str) -> event_pb2.RecordRef:
    return event_pb2.RecordRef(source=SOURCE, object=OBJECT, external_id=record)


def _message(record: str) -> pb.ResolveRecord:
    return pb.ResolveRecord(
        record=_ref(record), event_key=str(uuid.uuid5(_EVENTS, record)), attributes=attributes_of(record)
    )


def _question(tenant: str, call: GetRecord | GetEntity) -> pb.GetEntityRequest:
    if isinstance(call, GetEntity):
        return pb.GetEntityRequest(tenant_id=tenant, entity_id=call.entity)
    return pb.GetEntityRequest(tenant_id=tenant, record=_ref(call.record))
