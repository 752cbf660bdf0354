"""Deadlines of recording calls: required, unless a setting says otherwise."""

from __future__ import annotations

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tests.integration.ingest.world import TENANT, event, service

from headwater.ingest.v1 import ingest_pb2

pytestmark = pytest.mark.anyio


async def test_a_call_without_a_deadline_is_refused_with_a_remedy(migrated_database_url: str) -> None:
    """INVALID_ARGUMENT, DEADLINE_REQUIRED, and how to set one; nothing is recorded."""
    async with service(migrated_database_url) as caller:
        single = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=event(1))
        many = ingest_pb2.BatchRecordEventsRequest(tenant_id=TENANT, events=[event(1)])
        for call in (caller.stub.RecordEvent(single), caller.stub.BatchRecordEvents(many)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "timeout=" in (caught.value.details() or "")
            status = rpc_status.from_call(caught.value)
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            assert info.reason == "DEADLINE_REQUIRED"
        assert await caller.counts() == {}


async def test_a_tool_that_cannot_state_one_may_be_let_in(migrated_database_url: str) -> None:
    """By the setting; the default deadline holds then."""
    async with service(migrated_database_url, deadline_required=False) as caller:
        request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=event(1))
        outcome = (await caller.stub.RecordEvent(request)).outcome
        assert outcome.disposition == ingest_pb2.DISPOSITION_ACCEPTED


async def test_no_deadline_is_longer_than_the_bound(migrated_database_url: str) -> None:
    """A caller with patience of an hour is told after the longest wait, while the log stands still."""
    async with service(migrated_database_url, deadline_max_s=0.5) as caller:
        holder: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(migrated_database_url)
        await holder.execute("BEGIN; LOCK TABLE ingest.event IN SHARE MODE")
        request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=event(1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.stub.RecordEvent(request, timeout=3600)
        await holder.execute("COMMIT")
        await holder.close()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
