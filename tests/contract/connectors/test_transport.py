"""The transport over real connections: each way in which a call ends, told as what it was."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.streams.tls
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headwater.connectors.base.transport import CONNECTIONS_MAX, HELD_BYTES_MAX, PooledTransport, transport_to

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NO_RETRY = {"connect": 5.0, "pool": 5.0, "write": 5.0, "read": 5.0}
Vendor = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def vendor(serve: Vendor) -> AsyncIterator[str]:
    """Serve on a free port; yield its authority."""

    async def closing(stream: SocketStream) -> None:
        async with stream:
            await serve(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not an ORM's
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, closing)
            yield f"127.0.0.1:{port}"
            tasks.cancel_scope.cancel()


async def call(
    transport: httpx.AsyncBaseTransport, url: str, content: bytes = b'{"a":1}', **waits_s: float
) -> tuple[int, bytes]:
    """Send one request and return its status and body."""
    extensions = {"timeout": {**NO_RETRY, **waits_s}}
    answer = await transport.handle_async_request(
        httpx.Request("POST", url, content=content, extensions=extensions)
    )
    try:
        return answer.status_code, b"".join([part async for part in answer.aiter_bytes()])
    finally:
        await answer.aclose()


async def failing(serve: Vendor, scheme: str = "http", **waits_s: float) -> httpx.TransportError:
    """Return how a call fails."""
    async with vendor(serve) as authority, PooledTransport(trusting()) as transport:
        with pytest.raises(httpx.TransportError) as failed:
            await call(transport, f"{scheme}://{authority}/", b"{}", **waits_s)
    return failed.value


def trusting(path: Path | None = None) -> ssl.SSLContext:
    """Return a client's settings that trust one certificate."""
    return ssl.create_default_context(cafile=path)


async def read_request(stream: SocketStream) -> bytes:
    """Return a whole request."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += await stream.receive()
    head, _, body = got.partition(b"\r\n\r\n")
    wanted = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < wanted:
        body += await stream.receive()
    return body


def reset(stream: SocketStream) -> None:
    """Make closing the connection a reset."""
    linger = struct.pack("ii", 1, 0)
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not an ORM's
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def test_head_and_body_arrive_together_and_the_connection_is_kept() -> None:
    """One packet a request, one connection for calls that follow each other."""
    seen: list[bytes] = []
    connections = 0

    async def serve(stream: SocketStream) -> None:
        nonlocal connections
        connections += 1
        async for part in stream:
            seen.append(part)
            await stream.send(ANSWER)

    async with vendor(serve) as authority, PooledTransport(trusting()) as transport:
        assert await call(transport, f"http://{authority}/a") == (200, b"{}")
        assert await call(transport, f"http://{authority}/b") == (200, b"{}")
    assert [part.endswith(b'{"a":1}') for part in seen] == [True, True]
    assert connections == 1


async def test_a_large_request_arrives_whole() -> None:
    """What is above the bound of one write goes in several."""
    large = bytes(range(256)) * (HELD_BYTES_MAX // 64)
    arrived: list[bytes] = []

    async def serve(stream: SocketStream) -> None:
        arrived.append(await read_request(stream))
        await stream.send(ANSWER)

    async with vendor(serve) as authority, PooledTransport(trusting()) as transport:
        assert await call(transport, f"http://{authority}/", large) == (200, b"{}")
    assert arrived == [large]


async def test_nobody_listens() -> None:
    """A refused connection is a connect error."""
    async with vendor(read_nothing) as authority:
        pass
    async with PooledTransport(trusting()) as transport:
        with pytest.raises(httpx.ConnectError):
            await call(transport, f"http://{authority}/")


async def read_nothing(_stream: SocketStream) -> None:
    """Take the connection, and nothing from it."""
    await anyio.sleep_forever()


async def test_no_answer_in_time() -> None:
    """A silent vendor is a read timeout."""
    assert isinstance(await failing(read_nothing, read=0.05), httpx.ReadTimeout)


async def test_closed_without_an_answer() -> None:
    """A vendor that hangs up is a protocol error, not an empty answer."""

    async def serve(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.aclose()

    assert isinstance(await failing(serve), httpx.RemoteProtocolError)


async def test_reset_in_the_middle_of_an_answer() -> None:
    """A broken body is a read error."""

    async def serve(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        reset(stream)
        await stream.aclose()

    assert isinstance(await failing(serve), httpx.ReadError | httpx.RemoteProtocolError)


async def test_not_http() -> None:
    """What no client understands is a protocol error."""

    async def serve(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"220 mail ready\r\n\r\n")

    assert isinstance(await failing(serve), httpx.RemoteProtocolError)


async def test_every_connection_is_busy() -> None:
    """A call beyond the bound waits for a connection, and gives up in time."""
    async with (
        vendor(read_nothing) as authority,
        PooledTransport(trusting()) as transport,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(CONNECTIONS_MAX):
            tasks.start_soon(call, transport, f"http://{authority}/")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(httpx.PoolTimeout):
            await call(transport, f"http://{authority}/", pool=0.05)
        tasks.cancel_scope.cancel()


async def test_no_tls_where_it_is_expected() -> None:
    """A failed handshake is a connect error: nothing was sent."""

    async def serve(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert isinstance(await failing(serve, "https"), httpx.ConnectError)


async def test_a_vendor_over_tls_answers_and_a_stranger_is_refused(tmp_path: Path) -> None:
    """The certificate is checked, and what it covers goes in one write too."""
    server = certified(tmp_path / "vendor.pem")

    async def serve(stream: SocketStream) -> None:
        try:
            safe = await anyio.streams.tls.TLSStream.wrap(
                stream, server_side=True, ssl_context=server, standard_compatible=False
            )
        except (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
            return  # the client did not trust it
        assert (await safe.receive()).endswith(b'{"a":1}')
        await safe.send(ANSWER)

    async with vendor(serve) as authority:
        async with PooledTransport(trusting(tmp_path / "vendor.pem")) as transport:
            assert await call(transport, f"https://{authority}/") == (200, b"{}")
        async with PooledTransport(trusting()) as transport:
            with pytest.raises(httpx.ConnectError):
                await call(transport, f"https://{authority}/")


def certified(path: Path) -> ssl.SSLContext:
    """Write a certificate of the loopback address with its key, and return a server's settings with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_proxy_of_the_environment_is_used_but_for_those_it_excepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Straight connections are for vendors that no proxy stands before."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "near.test")
    tls = trusting()
    assert isinstance(transport_to("https://far.test", tls, trust_env=True), httpx.AsyncHTTPTransport)
    assert isinstance(transport_to("https://near.test", tls, trust_env=True), PooledTransport)
    assert isinstance(transport_to("https://far.test", tls, trust_env=False), PooledTransport)
