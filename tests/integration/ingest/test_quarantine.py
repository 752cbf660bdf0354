"""Quarantine through gRPC and Postgres: the task list, release and discard."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from tests.integration.ingest.world import (
    ACTOR,
    POLICY,
    TENANT,
    Client,
    event,
    policy_event,
    service,
)

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

pytestmark = pytest.mark.anyio
GOOD = json.dumps({"email": "right@example.com"}).encode()


async def _quarantined(caller: Client, number: int = 1) -> str:
    outcome = await caller.record(event(number, payload={"email": "wrong", "token": "s3cret"}))
    assert outcome.disposition == ingest_pb2.DISPOSITION_QUARANTINED
    assert {item.rule for item in outcome.violations} == {"format.email", "type.integer", "require_any"}
    return outcome.event_key


async def _release(caller: Client, key: str, payload: bytes = b"") -> str:
    request = ingest_pb2.ReleaseQuarantinedRequest(
        tenant_id=TENANT, event_key=key, payload=payload, actor=ACTOR
    )
    return (await caller.stub.ReleaseQuarantined(request)).released_as


async def _discard(caller: Client, key: str, actor: event_pb2.Actor = ACTOR) -> None:
    request = ingest_pb2.DiscardQuarantinedRequest(
        tenant_id=TENANT, event_key=key, discard_reason="test data", actor=actor
    )
    await caller.stub.DiscardQuarantined(request)


async def _entries(caller: Client, *, include_closed: bool = False) -> list[ingest_pb2.QuarantinedEvent]:
    request = ingest_pb2.ListQuarantineRequest(tenant_id=TENANT, include_closed=include_closed)
    return list((await caller.stub.ListQuarantine(request)).events)


async def test_quarantined_events_are_grouped_by_what_they_break(migrated_database_url: str) -> None:
    """By rule, field and source, with counts, samples and the source's owner; what is closed is left out."""
    async with service(migrated_database_url) as caller:
        keys = [await _quarantined(caller, number) for number in (1, 2, 3)]
        await _discard(caller, keys[0])
        request = ingest_pb2.ListQuarantineGroupsRequest(tenant_id=TENANT)
        groups = {item.rule: item for item in (await caller.stub.ListQuarantineGroups(request)).groups}
        assert set(groups) == {"format.email", "type.integer", "require_any"}
        email = groups["format.email"]
        assert (email.field, email.event_count) == ("event.payload.email", 2)
        assert list(email.sample_event_keys) == keys[1:]
        assert email.owner
        assert email.first_seen_time.ToNanoseconds() < email.last_seen_time.ToNanoseconds()


async def test_the_task_list_shows_one_group_when_asked(migrated_database_url: str) -> None:
    """By rule, field and source together: another source's or another rule's are left out."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        (group, *_) = (
            await caller.stub.ListQuarantineGroups(ingest_pb2.ListQuarantineGroupsRequest(tenant_id=TENANT))
        ).groups
        wanted: dict[str, Any] = {"rule": group.rule, "field": group.field, "source": group.source}
        for changed, shown in (({}, [key]), ({"rule": "x"}, []), ({"field": "x"}, []), ({"source": "x"}, [])):
            request = ingest_pb2.ListQuarantineRequest(tenant_id=TENANT, **{**wanted, **changed})
            found = [item.event.event_key for item in (await caller.stub.ListQuarantine(request)).events]
            assert found == shown


async def test_a_quarantined_event_is_on_the_task_list(migrated_database_url: str) -> None:
    """It waits with every broken rule, the secret's value not shown, and counts as open."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        (entry,) = await _entries(caller)
        assert entry.event.event_key == key
        assert entry.state == ingest_pb2.QUARANTINE_STATE_OPEN
        assert {item.value for item in entry.violations} == {"wrong", ""}
        status = await caller.stub.GetIngestStatus(ingest_pb2.GetIngestStatusRequest(tenant_id=TENANT))
        assert status.quarantine_open == 1
        assert (await caller.get(key)).quarantine == entry


async def test_a_corrected_payload_releases_into_the_log(migrated_database_url: str) -> None:
    """The release is a new accepted event that names the old one, and leaves the task list."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        released = (await caller.get(await _release(caller, key, GOOD))).event
        assert released.disposition == ingest_pb2.DISPOSITION_ACCEPTED
        assert released.released_from == key
        assert released.event.request_id == f"release:{key}"
        assert released.event.payload == GOOD
        assert await _entries(caller) == []
        (closed,) = await _entries(caller, include_closed=True)
        assert closed.released_as == released.event_key
        assert closed.event.event.payload != GOOD


async def test_release_is_idempotent(migrated_database_url: str) -> None:
    """Releasing again returns the same key and records nothing."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        assert await _release(caller, key, GOOD) == await _release(caller, key)
        assert await caller.counts() == {
            ingest_pb2.DISPOSITION_ACCEPTED: 1,
            ingest_pb2.DISPOSITION_QUARANTINED: 1,
        }


async def test_a_release_that_still_breaks_the_contract_lists_why(migrated_database_url: str) -> None:
    """FAILED_PRECONDITION with every violation; the entry stays open."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        for payload in (b"", b'{"email": "still wrong"}', b"no json"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _release(caller, key, payload)
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "event.payload" in (caught.value.details() or "")
        assert len(await _entries(caller)) == 1


async def test_a_laxer_policy_lets_the_recorded_payload_out(migrated_database_url: str) -> None:
    """Without a corrected payload the recorded one is judged by the policy now in force."""
    async with service(migrated_database_url) as caller:
        outcome = await caller.record(event(1, payload={"name": "No address"}))
        await caller.record(policy_event(POLICY.replace("    require_any: [[email]]\n", ""), number=1))
        released = await caller.get(await _release(caller, outcome.event_key))
        assert json.loads(released.event.event.payload) == {"name": "No address"}


async def test_a_discarded_event_is_closed_with_its_reason(migrated_database_url: str) -> None:
    """Discarding is idempotent, and a discarded event cannot be released."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        await _discard(caller, key)
        await _discard(caller, key)
        (closed,) = await _entries(caller, include_closed=True)
        assert closed.discard_reason == "test data"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _release(caller, key, GOOD)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_released_event_cannot_be_discarded(migrated_database_url: str) -> None:
    """It is in the log already."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        await _release(caller, key, GOOD)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _discard(caller, key)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_whoever_decides_must_be_named(migrated_database_url: str) -> None:
    """A release or discard without an actor is malformed."""
    async with service(migrated_database_url) as caller:
        key = await _quarantined(caller)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _discard(caller, key, event_pb2.Actor())
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_task_list_is_paged_oldest_first(migrated_database_url: str) -> None:
    """Pages join to the whole list without a gap or a repetition."""
    async with service(migrated_database_url) as caller:
        keys = [await _quarantined(caller, number) for number in range(5)]
        seen: list[str] = []
        token = ""
        while True:
            request = ingest_pb2.ListQuarantineRequest(tenant_id=TENANT, page_size=2, page_token=token)
            page = await caller.stub.ListQuarantine(request)
            seen += [item.event.event_key for item in page.events]
            token = page.next_page_token
            if not token:
                break
        assert seen == keys
