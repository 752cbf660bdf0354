"""A server's limits and its end, over real connections."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import grpc
import pytest
from google.protobuf import wrappers_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from headwater.kernel.errors import EndIncomplete, StartRefused
from headwater.kernel.rpc import CallSettings, ConnectionSettings, RpcServer, ServerSettings

pytestmark = pytest.mark.anyio

SERVICE = "test.v1.Limits"
CALL_S = 10.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
"""The client's preface and an empty settings frame (RFC 9113, section 3.4)."""
PING = bytes.fromhex("000008060000000000") + b"12345678"
HEADERS_TYPE = 1
GOAWAY_TYPE = 7
FRAME_HEADER_BYTES = 9


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def _begun(stream: int) -> bytes:
    """Return the headers of a call that hangs, none of them indexed (RFC 7541, section 6.2.2)."""

    def text(said: bytes) -> bytes:
        return bytes((len(said),)) + said

    path, kind = f"/{SERVICE}/Hang".encode(), b"application/grpc"
    named = b"\x04" + text(path) + b"\x01" + text(b"test") + b"\x0f\x10" + text(kind)
    return _frame(1, 0x4, stream, b"\x83\x86" + named + b"\x00" + text(b"te") + text(b"trailers"))


def _reset(stream: int) -> bytes:
    """Return the frame that takes a call back."""
    return _frame(3, 0, stream, (8).to_bytes(4, "big"))


async def _echo(request: wrappers_pb2.StringValue, _context: Any) -> wrappers_pb2.StringValue:
    return request


async def _hang(_request: wrappers_pb2.StringValue, context: Any) -> wrappers_pb2.StringValue:
    await context.send_initial_metadata(())
    await anyio.sleep_forever()
    raise AssertionError


async def _hang_in_stream(requests: Any, context: Any) -> None:
    async for request in requests:
        await context.write(request)


def _add(server: grpc.aio.Server) -> Sequence[str]:
    codec: Any = (wrappers_pb2.StringValue.FromString, wrappers_pb2.StringValue.SerializeToString)
    handlers: dict[str, Any] = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo, *codec),
        "Hang": grpc.unary_unary_rpc_method_handler(_hang, *codec),
        "Stream": grpc.stream_stream_rpc_method_handler(_hang_in_stream, *codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return (SERVICE,)


@asynccontextmanager
async def _called(settings: ServerSettings) -> AsyncIterator[tuple[grpc.aio.Channel, int]]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with (
        RpcServer(settings, _add).serving() as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel,
    ):
        yield channel, port


def _details(error: grpc.aio.AioRpcError) -> tuple[str, float]:
    """Return reason and pause of a status."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        for kind in (info, retry):
            if detail.Is(kind.DESCRIPTOR):
                detail.Unpack(kind)
    return str(info.reason), retry.retry_delay.ToMilliseconds() / 1000


async def _echoed(channel: grpc.aio.Channel, request: bytes = b"", **given: Any) -> Any:
    call: Any = channel.unary_unary(f"/{SERVICE}/Echo")
    return await call(request, timeout=CALL_S, **given)


async def test_too_many_calls_are_told_when_to_come_back() -> None:
    """RESOURCE_EXHAUSTED with RetryInfo; a call that ends makes room again."""
    settings = ServerSettings(calls=CallSettings(calls_max=2, retry_after_s=0.5))
    async with _called(settings) as (channel, _):
        hang: Any = channel.unary_stream(f"/{SERVICE}/Hang")  # only this one shows headers
        held = [hang(b"", timeout=CALL_S) for _ in range(2)]
        for call in held:
            await call.initial_metadata()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _echoed(channel)
        for call in held:
            call.cancel()
        answered = None
        with anyio.fail_after(CALL_S):
            while answered is None:  # the server hears of the end a little later
                with contextlib.suppress(grpc.aio.AioRpcError):
                    answered = await _echoed(channel)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert _details(refused.value) == ("TOO_MANY_CALLS", 0.5)


async def test_bytes_that_are_no_message_are_the_callers_error() -> None:
    """INVALID_ARGUMENT, for a unary call and on a stream."""
    async with _called(ServerSettings()) as (channel, _):
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await _echoed(channel, b"\xff\xff\xff")
        opened: Any = channel.stream_stream(f"/{SERVICE}/Stream")
        call = opened(timeout=CALL_S)
        await call.write(b"\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as streamed:
            await call.read()
    for error in (unary.value, streamed.value):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert _details(error)[0] == "MALFORMED_MESSAGE"


async def test_a_request_that_does_not_come_is_given_up() -> None:
    """A unary call that is begun and brings nothing is told so; it does not wait for ever."""
    settings = ServerSettings(calls=CallSettings(request_s=0.2, sweep_s=0.05))
    async with _called(settings) as (channel, _):
        stalled: Any = channel.stream_unary(f"/{SERVICE}/Echo")
        call = stalled(timeout=CALL_S)
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await call
        answered = await _echoed(channel, b"\x0a\x01x")
    assert told.value.code() is grpc.StatusCode.UNAVAILABLE
    assert _details(told.value)[0] == "REQUEST_STALLED"
    assert answered == b"\x0a\x01x"


async def test_metadata_is_bounded() -> None:
    """Headers above the bound refuse the call, and the connection goes on."""
    settings = ServerSettings(connections=ConnectionSettings(metadata_bytes_max=2_048))
    async with _called(settings) as (channel, _):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _echoed(channel, metadata=(("x-filler", "x" * 4_000),))
        answered = await _echoed(channel)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answered == b""


async def test_messages_are_bounded() -> None:
    """A message above the bound is refused before it is read, packed or not: it counts as it is unpacked."""
    large = wrappers_pb2.StringValue(value="x" * 2_000).SerializeToString()
    async with _called(ServerSettings(message_bytes_max=1_024)) as (channel, _):
        for packing in (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _echoed(channel, large, compression=packing)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        small = wrappers_pb2.StringValue(value="x" * 1_000).SerializeToString()
        assert await _echoed(channel, small, compression=grpc.Compression.Gzip) == small


async def test_connections_are_bounded() -> None:
    """Beyond the bound a connection is closed as it comes; one that leaves makes room."""
    settings = ServerSettings(connections=ConnectionSettings(connections_max=3))
    async with _called(settings) as (channel, port):
        await _echoed(channel)
        held = [await _connected(port) for _ in range(2)]
        refused = await _connected(port)
        await _hung_up(refused)
        for one in (*held, refused):
            await one.aclose()


async def test_a_peer_that_does_not_answer_pings_is_hung_up() -> None:
    """A half-open connection is found by the server's own pings."""
    settings = ServerSettings(connections=ConnectionSettings(ping_s=1.0, ping_timeout_s=0.3))
    async with _called(settings) as (_, port):
        silent = await _connected(port)
        await silent.send(PREFACE)
        await _hung_up(silent)
        await silent.aclose()


async def test_a_flood_of_pings_ends_its_connection() -> None:
    """GOAWAY, and the connection of another goes on."""
    async with _called(ServerSettings()) as (channel, port):
        flooding = await _connected(port)
        await flooding.send(PREFACE + PING * 20)
        received = b""
        with anyio.fail_after(CALL_S):
            while GOAWAY_TYPE not in _frame_types(received):
                received += await flooding.receive()
        await flooding.aclose()
        assert await _echoed(channel) == b""


async def test_calls_that_are_begun_and_reset_hold_no_place() -> None:
    """Rapid reset (CVE-2023-44487): taken back as soon as they are served, and others are served all the while."""
    async with _called(ServerSettings(calls=CallSettings(calls_max=50))) as (channel, port):
        flooding = await _connected(port)
        await flooding.send(PREFACE)
        for first in range(1, 400, 20):
            streams = range(first, first + 20, 2)
            await flooding.send(b"".join(_begun(one) + _frame(0, 0x1, one, bytes(5)) for one in streams))
            received = b""
            with anyio.fail_after(CALL_S):
                while _frame_types(received).count(HEADERS_TYPE) < len(streams):
                    received += await flooding.receive()
            await flooding.send(b"".join(map(_reset, streams)))
            assert await _echoed(channel) == b""
        await flooding.aclose()


async def test_a_flood_of_calls_that_are_reset_at_once_keeps_nobody_waiting() -> None:
    """Rapid reset as it was first seen: a call's begin and its end in one packet, thousands of them."""
    async with _called(ServerSettings(calls=CallSettings(calls_max=50))) as (channel, port):
        flooding = await _connected(port)
        await flooding.send(PREFACE)
        for first in range(1, 8_000, 400):
            await flooding.send(b"".join(_begun(one) + _reset(one) for one in range(first, first + 400, 2)))
            assert await _echoed(channel) == b""
        await flooding.aclose()


async def test_a_client_that_says_nothing_is_hung_up() -> None:
    """The handshake is bounded: a connection without a settings frame ends."""
    settings = ServerSettings(connections=ConnectionSettings(handshake_s=0.3))
    async with _called(settings) as (_, port):
        mute = await _connected(port)
        await _hung_up(mute)
        await mute.aclose()


async def test_an_old_connection_is_closed_gently() -> None:
    """GOAWAY tells the client to connect anew, to whichever process takes it then."""
    settings = ServerSettings(connections=ConnectionSettings(age_s=0.2, age_grace_s=0.5))
    async with _called(settings) as (_, port):
        old = await _connected(port)
        await old.send(PREFACE)
        received = b""
        with anyio.fail_after(CALL_S):
            while GOAWAY_TYPE not in _frame_types(received):
                received += await old.receive()
        await old.aclose()


async def test_calls_that_outlast_the_drain_are_told_and_the_end_is_incomplete() -> None:
    """UNAVAILABLE with SHUTTING_DOWN; whoever ends the process learns of it."""
    server = RpcServer(ServerSettings(drain_s=0.2), _add)
    async with contextlib.AsyncExitStack() as running:
        port = await running.enter_async_context(server.serving())
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        hang: Any = channel.unary_stream(f"/{SERVICE}/Hang")  # only this one shows headers
        call = hang(b"", timeout=CALL_S)
        await call.initial_metadata()
        with pytest.raises(EndIncomplete):
            await running.aclose()
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await call.read()
    await channel.close()
    assert told.value.code() is grpc.StatusCode.UNAVAILABLE
    assert _details(told.value)[0] == "SHUTTING_DOWN"


async def test_health_says_what_it_is_told() -> None:
    """NOT_SERVING and SERVING again, for the server and for each service."""
    server = RpcServer(ServerSettings(), _add)
    seen = []
    async with server.serving() as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        check: Any = health_pb2_grpc.HealthStub(channel).Check
        for serving in (True, False, True):
            await server.set_serving(serving)
            for name in ("", SERVICE):
                answer = await check(health_pb2.HealthCheckRequest(service=name), timeout=CALL_S)
                seen.append(answer.status == health_pb2.HealthCheckResponse.SERVING)
    assert seen == [True, True, False, False, True, True]


async def test_two_servers_share_a_port_and_a_third_that_does_not_is_refused() -> None:
    """Sharing is asked for, never by chance."""
    async with RpcServer(ServerSettings(share_port=True), _add).serving() as port:
        address = f"127.0.0.1:{port}"
        async with RpcServer(ServerSettings(address, share_port=True), _add).serving() as second:
            with socket.socket() as third, pytest.raises(OSError, match="in use"):
                third.bind(("127.0.0.1", port))
    assert second == port


async def _hung_up(stream: anyio.abc.SocketStream) -> None:
    """Return when the server has closed the connection."""
    with anyio.fail_after(CALL_S), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            await stream.receive()


async def _connected(port: int) -> anyio.abc.SocketStream:
    return await anyio.connect_tcp("127.0.0.1", port)


def _frame_types(received: bytes) -> list[int]:
    """Return the types of the whole frames in *received* (RFC 9113, section 4.1)."""
    types = []
    while len(received) >= FRAME_HEADER_BYTES:
        types.append(received[3])
        received = received[FRAME_HEADER_BYTES + int.from_bytes(received[:3], "big") :]
    return types


async def test_reflection_tells_what_is_served_where_it_is_asked_for() -> None:
    """Off by default; on, the services' names and health."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    told = {}
    for is_on in (False, True):
        async with _called(ServerSettings(reflection=is_on)) as (channel, _):
            asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([request]), timeout=CALL_S
            )
            try:
                told[is_on] = {
                    one.name async for answer in asked for one in answer.list_services_response.service
                }
            except grpc.aio.AioRpcError as error:
                told[is_on] = {error.code().name}
    own = "grpc.reflection.v1alpha.ServerReflection"
    assert told == {False: {"UNIMPLEMENTED"}, True: {SERVICE, "grpc.health.v1.Health", own}}


async def test_reflection_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is left out in production; who turns reflection on all the same reads what is missing."""
    monkeypatch.setitem(sys.modules, "grpc_reflection.v1alpha.reflection", None)
    with pytest.raises(StartRefused, match=r"headwater\[reflection\]"):
        RpcServer(ServerSettings(reflection=True), _add)
