"""Reading through gRPC and Postgres: one event, its fate, pages of events."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from tests.integration.ingest.world import CALL_S, TENANT, Client, event, service

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import NotFound
from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.sync.v1 import sync_pb2, sync_pb2_grpc

pytestmark = pytest.mark.anyio
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class _Sync(sync_pb2_grpc.SyncServiceServicer):
    """A sync service that has projected the events of one source version."""

    async def GetEventFate(  # noqa: N802
        self, request: sync_pb2.GetEventFateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> sync_pb2.GetEventFateResponse:
        del context
        if request.event_key.startswith("0"):
            return sync_pb2.GetEventFateResponse(fate=sync_pb2.EventFate(event_key=request.event_key))
        raise NotFound("not projected yet")


@asynccontextmanager
async def _sync_service() -> AsyncIterator[str]:
    def add(server: grpc.aio.Server) -> list[str]:
        sync_pb2_grpc.add_SyncServiceServicer_to_server(_Sync(), server)  # type: ignore[abstract]
        return ["headwater.sync.v1.SyncService"]

    async with RpcServer(ServerSettings(), add).serving() as port:
        yield f"127.0.0.1:{port}"


async def _list(caller: Client, **asked: Any) -> list[str]:
    keys: list[str] = []
    token = ""
    while True:
        request = ingest_pb2.ListEventsRequest(tenant_id=TENANT, page_token=token, **asked)
        page = await caller.stub.ListEvents(request)
        keys += [item.event_key for item in page.events]
        token = page.next_page_token
        if not token:
            return keys


async def test_an_event_comes_back_as_it_was_sent(migrated_database_url: str) -> None:
    """Every field survives, its own trace among them; position and record time are added."""
    async with service(migrated_database_url) as caller:
        sent = event(
            1,
            source_version="v7",
            request_id="r-1",
            operation=event_pb2.OPERATION_UPSERT,
            actor=event_pb2.Actor(type=event_pb2.ACTOR_TYPE_SERVICE, id="bot", display_name="Bot"),
            trace=event_pb2.TraceContext(traceparent=TRACE, tracestate="a=b"),
        )
        key = (await caller.record(sent)).event_key
        recorded = (await caller.get(key)).event
        assert recorded.event == sent
        assert recorded.tenant_id == TENANT
        assert recorded.position.xid > 0
        assert recorded.position.seq > 0
        assert recorded.record_time.seconds > 0


async def test_the_calls_trace_is_kept_where_the_event_has_none(migrated_database_url: str) -> None:
    """The context in the call's metadata is stored with the event."""
    async with service(migrated_database_url) as caller:
        request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=event(1))
        answer = await caller.stub.RecordEvent(request, metadata=(("traceparent", TRACE),), timeout=CALL_S)
        recorded = (await caller.get(answer.outcome.event_key)).event
        assert recorded.event.trace.traceparent == TRACE


async def test_an_unknown_key_is_not_found(migrated_database_url: str) -> None:
    """NOT_FOUND for a UUID nobody recorded, INVALID_ARGUMENT for what is no UUID."""
    async with service(migrated_database_url) as caller:
        for key, code in (
            (str(uuid.uuid4()), grpc.StatusCode.NOT_FOUND),
            ("17", grpc.StatusCode.INVALID_ARGUMENT),
            (uuid.uuid4().hex, grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await caller.get(key)
            assert caught.value.code() is code


async def test_an_event_is_found_by_the_id_that_the_log_gave_it(migrated_database_url: str) -> None:
    """The id finds the same event; another tenant's, an unknown one, and key and id together are refused."""
    async with service(migrated_database_url) as caller:
        outcomes = await caller.batch([event(1), event(2), event(3)])
        second = (await caller.get(outcomes[1].event_key)).event
        request = ingest_pb2.GetEventRequest(tenant_id=TENANT, event_id=second.position.seq)
        assert (await caller.stub.GetEvent(request, timeout=10)).event == second
        for wrong, code in (
            (ingest_pb2.GetEventRequest(tenant_id="other", event_id=second.position.seq), "NOT_FOUND"),
            (ingest_pb2.GetEventRequest(tenant_id=TENANT, event_id=10**9), "NOT_FOUND"),
            (ingest_pb2.GetEventRequest(tenant_id=TENANT, event_id=-1), "INVALID_ARGUMENT"),
            (
                ingest_pb2.GetEventRequest(tenant_id=TENANT, event_id=1, event_key=second.event_key),
                "INVALID_ARGUMENT",
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await caller.stub.GetEvent(wrong, timeout=10)
            assert refused.value.code().name == code


async def test_the_fate_is_asked_of_the_sync_service(migrated_database_url: str) -> None:
    """The fate is told where there is one, and NOT_PROJECTED where there is none yet."""
    async with (
        _sync_service() as address,
        service(migrated_database_url, sync_address=address) as caller,
    ):
        timed = (await caller.record(event(1))).event_key
        assert (await caller.get(timed, with_fate=True)).fate.event_key == timed
        number = 2
        while (hashed := (await caller.record(event(number, request_id=str(number)))).event_key)[0] == "0":
            number += 1
        answer = await caller.get(hashed, with_fate=True)
        assert (answer.HasField("fate"), answer.fate_missing_reason) == (False, "NOT_PROJECTED")


async def test_a_missing_sync_service_costs_the_fate_only(migrated_database_url: str) -> None:
    """The event is answered, with the reason why its fate is not."""
    given: dict[str, Any] = {"sync_address": "127.0.0.1:9", "fate_timeout_s": 0.3}
    async with service(migrated_database_url, **given) as caller:
        key = (await caller.record(event(1))).event_key
        answer = await caller.get(key, with_fate=True)
        assert answer.event.event_key == key
        assert answer.fate_missing_reason == "SYNC_UNAVAILABLE"


async def test_events_of_a_record_are_listed_newest_first(migrated_database_url: str) -> None:
    """Only that record's, all of them, over several pages."""
    async with service(migrated_database_url) as caller:
        keys = []
        for number in range(5):
            await caller.record(event(100 + number))
            outcome = await caller.record(event(number, external_id="the one"))
            keys.append(outcome.event_key)
        record = event_pb2.RecordRef(source="webshop", object="contact", external_id="the one")
        assert await _list(caller, record=record, page_size=2) == keys[::-1]


async def test_events_of_a_tenant_are_listed_newest_first(migrated_database_url: str) -> None:
    """Every event of the tenant, none of another's."""
    async with service(migrated_database_url) as caller:
        keys = [(await caller.record(event(number))).event_key for number in range(5)]
        listed = await _list(caller, page_size=4)
        assert listed[:5] == keys[::-1]
        assert len(listed) == 6
        request = ingest_pb2.ListEventsRequest(tenant_id="another")
        assert not (await caller.stub.ListEvents(request)).events


async def test_bad_pages_are_refused(migrated_database_url: str) -> None:
    """A size or token that cannot be is INVALID_ARGUMENT."""
    async with service(migrated_database_url) as caller:
        for asked in ({"page_size": 501}, {"page_size": -1}, {"page_token": "x"}, {"page_token": "9" * 40}):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _list(caller, **asked) if "page_size" in asked else await caller.stub.ListEvents(
                    ingest_pb2.ListEventsRequest(tenant_id=TENANT, page_token=str(asked["page_token"]))
                )
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
