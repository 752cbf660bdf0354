"""Calls let in: in whose name, for which tenant, and for how long."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from tests.integration.kernel.security.serving import STREAM, Seen, pause, serving
from tests.integration.security.credentials import OTHER_TENANT, TENANT, Credentials, Signer

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.rpc import CallSettings, open_channel
from headwater.kernel.security.keys import PAUSE_S
from headwater.kernel.security.scopes import ROLES
from headwater.load.plan import Plan, encode_line
from headwater.load.raw import open_raw
from headwater.load.supply import Mixture

pytestmark = pytest.mark.anyio
OPERATOR = tuple(ROLES["operator"])


@asynccontextmanager
async def _talking(
    made: Credentials, monotonic: Callable[[], float] = time.monotonic, **changed: str
) -> AsyncIterator[tuple[Seen, grpc.aio.Channel]]:
    async with (
        serving(made.settings | changed, monotonic) as seen,
        open_channel(f"127.0.0.1:{seen.port}", retries=False, security=made.trusting()) as channel,
    ):
        yield seen, channel


async def test_the_actor_is_the_one_who_proved_himself(tmp_path: Path) -> None:
    """Whatever name the request gives."""
    made = Credentials(tmp_path)
    text, entry = made.token(scopes=OPERATOR)
    async with _talking(made) as (seen, channel):
        for claimed in (
            event_pb2.Actor(),
            event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="somebody else", display_name="Else"),
        ):
            await pause(channel, text, tenant_id=TENANT, actor=claimed)
        await pause(channel, made.signer.sign(), tenant_id=TENANT, actor=event_pb2.Actor())
    program = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_SERVICE, id=entry.principal.subject)
    person = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="ann")
    assert [request.actor for request in seen.requests] == [program, program, person]


async def test_a_service_may_name_the_person_it_calls_for(tmp_path: Path) -> None:
    """And is itself the actor where it names nobody."""
    made = Credentials(tmp_path)
    text, entry = made.token()
    person = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="ann")
    async with _talking(made) as (seen, channel):
        for named in (person, event_pb2.Actor()):
            await pause(channel, text, tenant_id=TENANT, actor=named)
    assert seen.requests[0].actor == person
    assert seen.requests[1].actor.id == entry.principal.subject


async def test_a_request_without_a_tenant_is_for_the_only_one(tmp_path: Path) -> None:
    """With two the request has to say which."""
    made = Credentials(tmp_path)
    one, _ = made.token(scopes=OPERATOR)
    two, _ = made.token(scopes=OPERATOR, tenants=(TENANT, OTHER_TENANT))
    async with _talking(made) as (seen, channel):
        await pause(channel, one)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await pause(channel, two)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [request.tenant_id for request in seen.requests] == [TENANT]


async def test_a_denial_is_counted_by_method_and_reason(tmp_path: Path) -> None:
    """Failed access is visible."""
    made = Credentials(tmp_path)
    text, _ = made.token(tenants=(OTHER_TENANT,))
    async with _talking(made) as (seen, channel):
        for token in (text, text, "hwt_0_0"):
            with pytest.raises(grpc.aio.AioRpcError):
                await pause(channel, token, tenant_id=TENANT)
    told = {reason: count for (_, reason), count in seen.security.denials.counts.items()}
    assert told == {"TENANT_DENIED": 2, "TOKEN_UNKNOWN": 1}
    assert not seen.requests


async def test_a_revoked_token_ends_an_open_stream(tmp_path: Path) -> None:
    """At the next message after the file was seen; what came before was taken."""
    made = Credentials(tmp_path)
    text, entry = made.token()
    async with _talking(made) as (seen, channel):
        call = _stream(channel, text)
        await call.write(ingest_pb2.StreamEventsRequest(batch_number=1, tenant_id=TENANT))
        assert (await call.read()).batch_number == 1
        made.tokens.revoke(entry.token_id, made.now)
        await seen.security.refresh()
        await call.write(ingest_pb2.StreamEventsRequest(batch_number=2, tenant_id=TENANT))
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
    assert [request.batch_number for request in seen.requests] == [1]


async def test_every_message_of_a_stream_is_for_the_credentials_tenant(tmp_path: Path) -> None:
    """Not the first one only."""
    made = Credentials(tmp_path)
    text, _ = made.token()
    async with _talking(made) as (seen, channel):
        call = _stream(channel, text)
        await call.write(ingest_pb2.StreamEventsRequest(batch_number=1))
        assert (await call.read()).batch_number == 1
        await call.write(ingest_pb2.StreamEventsRequest(batch_number=2, tenant_id=OTHER_TENANT))
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
    assert [request.tenant_id for request in seen.requests] == [TENANT]


async def test_the_load_generator_shows_what_it_is_given(tmp_path: Path) -> None:
    """Its own channels, handed to senders in a line of JSON, bring token and TLS as every other."""
    made = Credentials(tmp_path)
    text, entry = made.token()
    async with serving(made.settings) as seen:
        plan = Plan(f"127.0.0.1:{seen.port}", "12345678", Mixture(), security=made.trusting(token=text))
        handed = msgspec.json.decode(encode_line(plan), type=Plan)
        async with open_raw(handed.address, 1, handed.security) as (raw,):
            call = raw.stream(timeout_s=10)
            await call.write(ingest_pb2.StreamEventsRequest(batch_number=1).SerializeToString())
            await call.read()
            await call.done_writing()
    assert seen.principals == [entry.principal]


async def test_a_new_token_is_taken_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """What is believed stays what it was until there is something better."""
    made = Credentials(tmp_path)
    first, _ = made.token(scopes=OPERATOR)
    async with _talking(made) as (seen, channel):
        second, _ = made.token(scopes=OPERATOR)
        await seen.security.refresh()
        await pause(channel, second)
        made.tokens_file.write_text("broken", encoding="ascii")
        await seen.security.refresh()
        await pause(channel, first)
    assert len(seen.requests) == 2


async def test_a_providers_new_key_is_fetched_when_a_token_names_it(tmp_path: Path) -> None:
    """Over HTTP, without waiting for the keys to be old."""
    made = Credentials(tmp_path)
    made.token()
    second, now = Signer.make("second"), [1_000.0]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = made.jwks.read_bytes()
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    provider = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with provider:
        url = f"http://127.0.0.1:{provider.sockets[0].getsockname()[1]}/keys"
        async with _talking(made, lambda: now[0], HEADWATER_OIDC_JWKS=url) as (seen, channel):
            await pause(channel, made.signer.sign(), tenant_id=TENANT)
            made.publish(second)
            with pytest.raises(grpc.aio.AioRpcError):
                await pause(channel, second.sign(), tenant_id=TENANT)
            now[0] += PAUSE_S
            await pause(channel, second.sign(), tenant_id=TENANT)
            with pytest.raises(grpc.aio.AioRpcError):
                await pause(channel, made.signer.sign(), tenant_id=TENANT)
    assert len(seen.requests) == 2
    assert json.loads(made.jwks.read_text(encoding="ascii"))["keys"][0]["kid"] == "second"


async def test_one_caller_leaves_room_for_others(tmp_path: Path) -> None:
    """Who has its share of calls under way is told to come back; another is served; a call that ends makes room."""
    made = Credentials(tmp_path)
    text, entry = made.token()
    async with (
        serving(made.settings, calls=CallSettings(calls_max=4)) as seen,
        open_channel(f"127.0.0.1:{seen.port}", retries=False, security=made.trusting()) as channel,
    ):
        held = [_stream(channel, text) for _ in range(2)]
        for call in held:
            await call.write(ingest_pb2.StreamEventsRequest(tenant_id=TENANT, batch_number=1))
            assert (await call.read()).batch_number == 1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await pause(channel, text, tenant_id=TENANT)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"2 calls of {entry.principal.subject!r}" in str(refused.value.details())
        await pause(channel, made.signer.sign(), tenant_id=TENANT, actor=event_pb2.Actor())
        await held[0].done_writing()
        assert await held[0].read() is grpc.aio.EOF
        await held[0].code()
        await pause(channel, text, tenant_id=TENANT)
        held[1].cancel()


def _stream(channel: grpc.aio.Channel, token: str) -> Any:
    open_call = channel.stream_stream(
        STREAM,
        ingest_pb2.StreamEventsRequest.SerializeToString,
        ingest_pb2.StreamEventsResponse.FromString,
    )
    return open_call(metadata=(("authorization", f"Bearer {token}"),), timeout=10)
