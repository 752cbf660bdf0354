"""The operations API on a database of the test's own, served over gRPC, with rows put in by hand."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import grpc
import msgspec
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tests.unit.sync.tenant import NOON, TENANT, key, policy

from headwater.event.v1 import event_pb2
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.rpc import RpcServer, ServerSettings, open_channel
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import policy_digest
from headwater.policy.writing import Approval
from headwater.sync.rpc import SERVICE_NAME, SyncServicer
from headwater.sync.rpc.approvals import APPROVALS_NAME, ApprovalServicer
from headwater.sync.rpc.deletes import DELETES_NAME, DeleteServicer
from headwater.sync.rpc.policies import POLICIES_NAME, PolicyServicer
from headwater.sync.rpc.provenance import PROVENANCE_NAME, ProvenanceServicer
from headwater.sync.rpc.quality import QUALITY_NAME, QualityServicer
from headwater.sync.store.approvals import PostgresApprovals
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.provenance import PostgresProvenance
from headwater.sync.store.quality import PostgresQuality
from headwater.sync.store.removals import PostgresRemovals
from headwater.sync.store.replays import PostgresReplays
from headwater.sync.store.versions import PostgresVersions
from headwater.sync.store.workbench import PostgresWorkbench
from headwater.sync.usecases.approvals import Approvals
from headwater.sync.usecases.deletes import Deletes
from headwater.sync.usecases.operations import Operations
from headwater.sync.usecases.provenance import Provenance
from headwater.sync.usecases.quality import Quality
from headwater.sync.usecases.versions import Versions
from headwater.sync.usecases.workbench import Workbench
from headwater.sync.v1 import (
    approvals_pb2_grpc,
    deletes_pb2_grpc,
    policies_pb2_grpc,
    provenance_pb2_grpc,
    quality_pb2_grpc,
    sync_pb2_grpc,
)

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

OTHER: Final = "other"
"""A second tenant with the same policy."""
ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")


APPROVAL: Final = {
    "careful": Approval(approvers=("jo",), reason="new people"),
    "strict": Approval(approvers=("ann",)),
}
"""Approvals of the tenant; no actor runs here, so nothing asks by itself."""


class FixedPolicies:
    """Policies that do not change."""

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy."""
        careful = policy().model_copy(update={"approval": APPROVAL})
        return MappingProxyType({TENANT: careful, OTHER: policy()})


@dataclass(slots=True)
class FixedReviews:
    """Port `Reviews`: three pairs wait, unless identity is away."""

    away: bool = False

    async def open_count(self, tenant_id: str) -> int:
        """Return three."""
        assert tenant_id
        if self.away:
            raise Unavailable("identity is away")
        return 3


ENTITIES_MAX: Final = 700
"""Entities that a look ahead computes one by one in these tests."""


@dataclass(slots=True)
class World:
    """A served API, and the database under it."""

    stub: sync_pb2_grpc.SyncServiceAsyncStub
    policies: policies_pb2_grpc.PolicyServiceAsyncStub
    provenance: provenance_pb2_grpc.ProvenanceServiceAsyncStub
    quality: quality_pb2_grpc.QualityServiceAsyncStub
    pool: Pool
    clock: SteppedClock
    address: str
    reviews: FixedReviews
    _counter: list[int] = field(default_factory=lambda: [1000])

    async def time(self) -> dt.datetime:
        """Return the clock's time, as workers ask for it."""
        return self.clock.now()

    async def insert(self, table: str, **columns: Any) -> Any:
        """Insert one row into a table of sync."""
        names = ", ".join(columns)
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        statement = f"insert into sync.{table} ({names}) values ({places})"  # noqa: S608 - names are the tests'
        await self.pool.execute(statement, *columns.values())

    async def add_event(self, number: int, rule: str = "projected", **columns: Any) -> None:
        """Put a projected event in."""
        row: dict[str, Any] = {
            "tenant_id": TENANT,
            "event_key": key(number),
            "rule": rule,
            "superseded": rule not in {"projected", "poisoned"},
            "poisoned": rule == "poisoned",
            "entity_ids": [],
            "versions": [],
            "xid": 1,
            "seq": number,
            "trace_id": f"{number:032x}",
        }
        await self.insert("projection", **{**row, **columns})

    async def add_entity(self, number: int, **columns: Any) -> uuid.UUID:
        """Put an entity in."""
        row: dict[str, Any] = {
            "tenant_id": TENANT,
            "entity_id": key(number),
            "object": "contact",
            "state": "active",
            "version": 1,
            "fields": {},
        }
        await self.insert("entity", **{**row, **columns})
        return key(number)

    async def enforce(self, text: str, number: int = 1) -> uuid.UUID:
        """Put a policy in force by event *number*, as ingest keeps it."""
        payload = msgspec.json.encode({"document": text, "digest": policy_digest(text)})
        await self.pool.execute(
            "insert into ingest.policy as held (tenant_id, event_key, xid, seq, payload)"
            " values ($1, $2, '1', $3, $4) on conflict (tenant_id) do update"
            " set event_key = excluded.event_key, seq = excluded.seq, payload = excluded.payload",
            TENANT,
            key(number),
            number,
            payload,
        )
        return key(number)

    async def add_record(
        self, number: int, source: str, external_id: str, *, at: float = 1, **fields: Any
    ) -> None:
        """Put a contact's record of entity *number* in, whose fields were stated *at* seconds after 1970."""
        deleted = fields.pop("deleted", False)
        packed = {name: [value, int(at * 1e6), str(key(9000 + number))] for name, value in fields.items()}
        await self.insert(
            "record",
            tenant_id=TENANT,
            object="contact",
            source=source,
            external_id=external_id,
            entity_id=key(number),
            fields=packed,
            deleted=deleted,
        )

    async def add_delivery(
        self, number: int, state: int = 1, connector: str = "salesforce", **columns: Any
    ) -> uuid.UUID:
        """Put a delivery of entity *number* in, and in line where its state says so."""
        due_time = columns.pop("due_time", NOON)
        row: dict[str, Any] = {
            "tenant_id": TENANT,
            "connector": connector,
            "entity_id": key(number),
            "object": "contact",
            "state": state,
            "desired_version": 1,
            "event_key": key(number),
            "dirty_time": NOON,
        }
        row |= columns
        await self.insert("delivery", **row)
        if state in {1, 3, 4}:
            place = {name: row[name] for name in ("tenant_id", "connector", "entity_id")}
            await self.insert("due", lane=1, due_time=due_time, **place)
        return key(number)

    async def add_attempt(self, number: int, outcome: str, **columns: Any) -> None:
        """Put an attempt for entity *number* in."""
        row: dict[str, Any] = {
            "tenant_id": TENANT,
            "connector": "salesforce",
            "entity_id": key(number),
            "object": "contact",
            "attempt_number": 1,
            "version": 1,
            "event_key": key(number),
            "start_time": NOON,
            "end_time": NOON + dt.timedelta(milliseconds=20),
            "outcome": outcome,
        }
        await self.insert("attempt", **{**row, **columns})

    async def add_audit(self, action: str, **columns: Any) -> None:
        """Put an audit entry in."""
        row: dict[str, Any] = {"tenant_id": TENANT, "action": action, "actor": "site"}
        await self.insert("audit", **{**row, **columns})

    async def audit_actions(self, tenant_id: str = TENANT) -> list[str]:
        """Return the actions of the audit, oldest first."""
        rows = await self.pool.fetch(
            "select action from sync.audit where tenant_id = $1 order by audit_id", tenant_id
        )
        return [row["action"] for row in rows]


@asynccontextmanager
async def served(database_url: str) -> AsyncIterator[World]:
    """Serve the API on *database_url*."""
    clock = SteppedClock(NOON)
    async with await open_pool(database_url, application_name="test", size_max=4) as pool:
        store, policies = PostgresOperations(pool), FixedPolicies()
        desk = Workbench(PostgresWorkbench(pool), PostgresReplays(pool), store, policies, clock)
        servicer = SyncServicer(Operations(store, policies, clock), desk)

        reviews = FixedReviews()
        quality = QualityServicer(Quality(PostgresQuality(pool), reviews, policies, clock))
        versions = PolicyServicer(Versions(PostgresVersions(pool), store, clock, ENTITIES_MAX))
        provenance = ProvenanceServicer(Provenance(PostgresProvenance(pool)))
        approvals = ApprovalServicer(Approvals(PostgresApprovals(pool), policies))
        deletes = DeleteServicer(Deletes(PostgresRemovals(pool), policies))

        def add(server: grpc.aio.Server) -> Sequence[str]:
            sync_pb2_grpc.add_SyncServiceServicer_to_server(servicer, server)
            policies_pb2_grpc.add_PolicyServiceServicer_to_server(versions, server)
            provenance_pb2_grpc.add_ProvenanceServiceServicer_to_server(provenance, server)
            quality_pb2_grpc.add_QualityServiceServicer_to_server(quality, server)
            approvals_pb2_grpc.add_ApprovalServiceServicer_to_server(approvals, server)
            deletes_pb2_grpc.add_DeleteServiceServicer_to_server(deletes, server)
            return (
                SERVICE_NAME, POLICIES_NAME, PROVENANCE_NAME, QUALITY_NAME, APPROVALS_NAME, DELETES_NAME,
            )  # fmt: skip

        async with (
            RpcServer(ServerSettings(drain_s=1.0), add).serving() as port,
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield World(
                sync_pb2_grpc.SyncServiceStub(channel),
                policies_pb2_grpc.PolicyServiceStub(channel),
                provenance_pb2_grpc.ProvenanceServiceStub(channel),
                quality_pb2_grpc.QualityServiceStub(channel),
                pool,
                clock,
                f"127.0.0.1:{port}",
                reviews,
            )


def refusal(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str, list[str]]:
    """Return code, reason and the fields with violations of a refused call."""
    status = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
    return error.code(), info.reason, [item.field for item in bad.field_violations]
