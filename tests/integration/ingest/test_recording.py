"""Recording through gRPC and Postgres: every outcome of an event at the door."""

from __future__ import annotations

import json

import anyio
import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tests.integration.ingest.world import (
    TENANT,
    Client,
    Outcomes,
    event,
    policy_event,
    read_numbers,
    service,
    stamp,
)

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

pytestmark = pytest.mark.anyio
ACCEPTED = ingest_pb2.DISPOSITION_ACCEPTED
DUPLICATE = ingest_pb2.DISPOSITION_DUPLICATE
QUARANTINED = ingest_pb2.DISPOSITION_QUARANTINED
REFUSED = ingest_pb2.DISPOSITION_REFUSED


def _fates(outcomes: Outcomes) -> list[int]:
    return [item.disposition for item in outcomes]


async def _failure(caller: Client, item: event_pb2.Event, tenant: str = TENANT) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.record(item, tenant)
    return caught.value


def _details(error: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo, set[str]]:
    status = rpc_status.from_call(error)
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(request)
    return info, {item.field for item in request.field_violations}


async def test_an_event_is_accepted_once(migrated_database_url: str) -> None:
    """The first sending is accepted, the second is a duplicate under the same key, one row is kept."""
    async with service(migrated_database_url) as caller:
        first = await caller.record(event(1))
        again = await caller.record(event(1))
        assert (first.disposition, again.disposition) == (ACCEPTED, DUPLICATE)
        assert first.event_key == again.event_key
        assert await caller.counts() == {ACCEPTED: 1}


async def test_another_spelling_of_the_payload_is_a_duplicate(migrated_database_url: str) -> None:
    """Order of keys and white space do not make another event."""
    async with service(migrated_database_url) as caller:
        await caller.record(event(1, payload={"email": "a@example.com", "name": "A"}))
        spelled = event(1)
        spelled.payload = b'{ "name" : "A",\n "email":"a@example.com" }'
        assert (await caller.record(spelled)).disposition == DUPLICATE


async def test_the_same_request_id_with_another_content_is_refused(migrated_database_url: str) -> None:
    """A unary caller gets ALREADY_EXISTS with both hashes, a batch gets REFUSED; the first stays."""
    async with service(migrated_database_url) as caller:
        first = await caller.record(event(1, request_id="r-1"))
        other = event(1, payload={"email": "other@example.com"}, request_id="r-1")
        error = await _failure(caller, other)
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        assert (error.details() or "").count("content hash") == 2
        assert _details(error)[0].reason == "PAYLOAD_CONFLICT"
        (outcome,) = await caller.batch([other])
        assert (outcome.disposition, outcome.reason) == (REFUSED, "PAYLOAD_CONFLICT")
        kept = await caller.get(first.event_key)
        assert json.loads(kept.event.event.payload)["email"] == "p1@example.com"


async def test_each_event_of_a_batch_has_its_own_outcome(migrated_database_url: str) -> None:
    """Duplicates, contradictions, broken and malformed events of one batch do not hold up the rest."""
    async with service(migrated_database_url) as caller:
        outcomes = await caller.batch(
            [
                event(1),
                event(1),
                event(2, request_id="r"),
                event(3, request_id="r"),
                event(4, payload={"name": "without an address"}),
                event(5, external_id=""),
                event(6),
            ]
        )
        assert _fates(outcomes) == [
            ACCEPTED, DUPLICATE, ACCEPTED, REFUSED, QUARANTINED, REFUSED, ACCEPTED,
        ]  # fmt: skip
        assert outcomes[5].reason == "MALFORMED"
        assert await caller.counts() == {ACCEPTED: 3, QUARANTINED: 1}


async def test_a_malformed_event_names_every_broken_rule(migrated_database_url: str) -> None:
    """INVALID_ARGUMENT lists all fields at once."""
    async with service(migrated_database_url) as caller:
        bad = event_pb2.Event(source="Web Shop", object="thing", external_id="a\nb", payload=b"[1]")
        error = await _failure(caller, bad)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        info, fields = _details(error)
        assert info.reason == "MALFORMED"
        assert fields == {
            "event.source", "event.object", "event.external_id", "event.event_time", "event.payload",
        }  # fmt: skip


async def test_clock_skew_is_the_policys(migrated_database_url: str) -> None:
    """An event time further ahead than the system's clock_skew_s is refused."""
    async with service(migrated_database_url) as caller:
        async with anyio.create_task_group():
            ahead = event(1, event_time=stamp(4_000_000_000))
        assert _details(await _failure(caller, ahead))[1] == {"event.event_time"}


async def test_a_tenant_without_a_policy_is_told_what_to_do(migrated_database_url: str) -> None:
    """NO_POLICY names the command."""
    async with service(migrated_database_url, policy=None) as caller:
        error = await _failure(caller, event(1))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert _details(error)[0].reason == "NO_POLICY"
        assert "headwater policy apply" in (error.details() or "")


async def test_a_broken_policy_is_refused_with_its_faults(migrated_database_url: str) -> None:
    """A policy that could not be applied never enters the log."""
    async with service(migrated_database_url, policy=None) as caller:
        error = await _failure(caller, policy_event("format: headwater/v1\nversion: '1'\nsystems: 3\n"))
        info, fields = _details(error)
        assert info.reason == "POLICY_REFUSED"
        assert {"policy.systems", "policy.objects"} <= fields
        assert (await _failure(caller, event(1))).code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_only_headwater_may_send_policies(migrated_database_url: str) -> None:
    """A source cannot change the rules that it is held to."""
    async with service(migrated_database_url) as caller:
        assert "event.object" in _details(await _failure(caller, event(1, object="policy")))[1]


async def test_an_identity_event_bypasses_the_contract(migrated_database_url: str) -> None:
    """Merges and splits are recorded without a mapping of their source."""
    async with service(migrated_database_url) as caller:
        merge = event(1, payload={"merge": ["a", "b"]}, source="headwater", object="identity")
        assert (await caller.record(merge)).disposition == ACCEPTED


async def test_a_delete_needs_no_payload(migrated_database_url: str) -> None:
    """A delete is accepted without fields, and refused with some."""
    async with service(migrated_database_url) as caller:
        delete = event(1, operation=event_pb2.OPERATION_DELETE)
        assert (await caller.batch([delete]))[0].reason == "MALFORMED"
        delete.payload = b""
        assert (await caller.record(delete)).disposition == ACCEPTED


async def test_an_object_may_refuse_instead_of_quarantine(migrated_database_url: str) -> None:
    """on_violation: refuse keeps the event out."""
    async with service(migrated_database_url) as caller:
        (outcome,) = await caller.batch([event(1, object="lead", payload={"email": "none"})])
        assert (outcome.disposition, outcome.reason) == (REFUSED, "CONTRACT_BROKEN")
        assert [item.rule for item in outcome.violations] == ["format.email"]


async def test_hostile_values_reach_the_ledger_or_a_violation(migrated_database_url: str) -> None:
    """NUL characters, huge numbers and lone surrogates break neither the flush nor their neighbours."""
    async with service(migrated_database_url) as caller:
        hostile = [
            event(1, payload={"email": "nul\x00@example.com", "name": "\x00"}),
            event(2, payload={"email": "a@example.com", "age": 10**400}),
            event(3, actor=event_pb2.Actor(id="a\x00b")),
            event(4),
        ]
        surrogate = event(5)
        surrogate.payload = b'{"email":"b@example.com","name":"\\ud800 x"}'
        outcomes = await caller.batch([*hostile, surrogate])
        assert _fates(outcomes) == [REFUSED, QUARANTINED, REFUSED, ACCEPTED, REFUSED]


async def test_two_thousand_events_twice_are_two_thousand(migrated_database_url: str) -> None:
    """Everything sent again is a duplicate and nothing is lost."""
    async with service(migrated_database_url) as caller:
        batches = [[event(n) for n in range(start, start + 500)] for start in range(0, 2000, 500)]
        first = [fate for batch in batches for fate in _fates(await caller.batch(batch))]
        again = [fate for batch in batches for fate in _fates(await caller.batch(batch))]
        assert (set(first), set(again)) == ({ACCEPTED}, {DUPLICATE})
        assert await caller.counts() == {ACCEPTED: 2000}


async def test_concurrent_senders_across_two_services_record_once(migrated_database_url: str) -> None:
    """Of eight senders of the same keys through two processes' worth of services one wins each key."""
    async with service(migrated_database_url) as one, service(migrated_database_url, policy=None) as two:
        answers: list[list[int]] = []

        async def send(caller: Client, turn: int) -> None:
            items = [event(number) for number in range(300)]
            shuffled = items[turn * 37 :] + items[: turn * 37]
            outcomes = await caller.batch(shuffled)
            fates = dict(zip((item.external_id for item in shuffled), _fates(outcomes), strict=True))
            answers.append([fates[item.external_id] for item in items])

        async with anyio.create_task_group() as tasks:
            for turn in range(8):
                tasks.start_soon(send, (one, two)[turn % 2], turn)
        for fates in zip(*answers, strict=True):
            assert sorted(fates) == [ACCEPTED] + [DUPLICATE] * 7
        connection = await asyncpg.connect(migrated_database_url)
        rows = await connection.fetchval("SELECT count(*) FROM ingest.event WHERE object = 'contact'")
        counted = await connection.fetchval("SELECT ingest.count_accepted($1)", TENANT)
        await connection.close()
        assert (rows, counted) == (300, 301)


async def test_a_stream_acknowledges_batches_in_order(migrated_database_url: str) -> None:
    """Each batch's number comes back in order with its outcomes, before the sender has finished."""
    async with service(migrated_database_url) as caller:
        call = caller.stub.StreamEvents()
        for number in range(20):
            events = [event(number * 50 + item) for item in range(50)]
            await call.write(
                ingest_pb2.StreamEventsRequest(batch_number=number, tenant_id=TENANT, events=events)
            )
        numbers = await read_numbers(call, 20)
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF
        assert numbers == list(range(20))
        assert await caller.counts() == {ACCEPTED: 1000}


async def test_a_malformed_message_ends_the_stream_after_what_came_before(migrated_database_url: str) -> None:
    """A batch without a tenant ends the call with INVALID_ARGUMENT; the batch before is acknowledged."""
    async with service(migrated_database_url) as caller:
        call = caller.stub.StreamEvents()
        good = ingest_pb2.StreamEventsRequest(batch_number=1, tenant_id=TENANT, events=[event(1)])
        await call.write(good)
        await call.write(ingest_pb2.StreamEventsRequest(batch_number=2, events=[event(2)]))
        answer = await call.read()
        assert isinstance(answer, ingest_pb2.StreamEventsResponse)
        assert answer.outcomes[0].disposition == ACCEPTED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_new_policy_holds_for_the_next_event_everywhere(migrated_database_url: str) -> None:
    """The process that accepted it applies it at once; another one when it is told."""
    async with service(migrated_database_url) as one, service(migrated_database_url, policy=None) as two:
        assert (await two.record(event(1))).disposition == ACCEPTED
        stricter = "  lead:\n    on_violation: refuse"
        text = (await _policy_text(one)).replace("require_any: [[email]]", "require_any: [[email], [age]]")
        assert stricter in text
        await one.record(policy_event(text, number=1))
        assert (await one.record(event(2))).disposition == QUARANTINED
        with anyio.fail_after(5):
            number = 3
            while (await two.record(event(number))).disposition != QUARANTINED:
                number += 1


async def _policy_text(caller: Client) -> str:
    request = ingest_pb2.ListEventsRequest(tenant_id=TENANT)
    listed = await caller.stub.ListEvents(request)
    policy = next(item for item in listed.events if item.event.object == "policy")
    return str(json.loads(policy.event.payload)["document"])
