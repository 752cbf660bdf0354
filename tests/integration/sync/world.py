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
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tests.unit.sync.tenant import NOON, TENANT, key, policy

from headwater.event.v1 import event_pb2
from headwater.kernel.clock import SteppedClock
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.rpc import RpcServer, ServerSettings, open_channel
from headwater.policy.document import PolicyDocument
from headwater.sync.rpc import SERVICE_NAME, SyncServicer
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.replays import PostgresReplays
from headwater.sync.store.workbench import PostgresWorkbench
from headwater.sync.usecases.operations import Operations
from headwater.sync.usecases.workbench import Workbench
from headwater.sync.v1 import sync_pb2_grpc

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

OTHER: Final = "other"
"""A second tenant with the same policy."""
ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")


class FixedPolicies:
    """Policies that do not change."""

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy."""
        return MappingProxyType({TENANT: policy(), OTHER: policy()})


@dataclass(slots=True)
class World:
    """A served API, and the database under it."""

    stub: sync_pb2_grpc.SyncServiceAsyncStub
    pool: Pool
    clock: SteppedClock
    address: str
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

        def add(server: grpc.aio.Server) -> Sequence[str]:
            sync_pb2_grpc.add_SyncServiceServicer_to_server(servicer, server)
            return (SERVICE_NAME,)

        async with (
            RpcServer(ServerSettings(drain_s=1.0), add).serving() as port,
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield World(sync_pb2_grpc.SyncServiceStub(channel), pool, clock, f"127.0.0.1:{port}")


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
