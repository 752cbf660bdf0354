"""A URL that somebody else names is called at the very address that was checked, over real connections."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import httpx
import pytest
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headwater.connectors.base import Account
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.base.transport import CheckedTransport
from headwater.connectors.webhook.client import WebhookVendor
from headwater.kernel.net import AddressRefused, Reach, reach_of
from headwater.kernel.net.resolving import Resolve

pytestmark = [pytest.mark.anyio, pytest.mark.enable_socket]

HERE = reach_of(["127.0.0.0/8"])
GZIP_BOMB_HEADER = b"Content-Encoding: gzip\r\n"


def naming(*addresses: str, asked: list[str] | None = None) -> Resolve:
    """Return a resolver that says *addresses*, and notes who asked."""

    async def resolve(host: str, _port: int) -> Sequence[str]:
        if asked is not None:
            asked.append(host)
        return addresses

    return resolve


async def _answer(stream: anyio.abc.ByteStream) -> None:
    async with stream:
        await stream.receive()
        body = b"not gzip at all"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n".encode()
        await stream.send(head + GZIP_BOMB_HEADER + b"\r\n" + body)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve one answer per connection on a free port of loopback."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django
    wrapped = TLSListener(listener, tls, standard_compatible=False) if tls else listener
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wrapped.serve, _answer)
        yield port
        tasks.cancel_scope.cancel()
    await wrapped.aclose()


def a_certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server called *name* shows, and what its clients trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    whole = folder / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    whole.write_bytes(private + certificate.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(whole)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(pem).decode())


async def _get(transport: CheckedTransport, url: str) -> httpx.Response:
    async with transport:
        answer = await transport.handle_async_request(httpx.Request("GET", url))
        await answer.aread()
        return answer


@pytest.mark.evidence("webhook", "address check", "own sandbox only")
async def test_the_certificate_is_checked_for_the_name_and_the_call_goes_to_the_checked_address(
    tmp_path: Path,
) -> None:
    """The name is asked for once; TLS holds the server to it although the address was dialled."""
    server, trust = a_certificate(tmp_path, "hook.example")
    asked: list[str] = []
    async with serving(server) as port:
        transport = CheckedTransport(trust, HERE, resolve=naming("127.0.0.1", asked=asked))
        answer = await _get(transport, f"https://hook.example:{port}/")
        assert (answer.status_code, asked) == (200, ["hook.example"])
        other = CheckedTransport(trust, HERE, resolve=naming("127.0.0.1"))
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await _get(other, f"https://other.example:{port}/")


@pytest.mark.evidence("webhook", "address check", "own sandbox only")
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "64:ff9b::7f00:1"])
async def test_a_name_that_leads_home_is_not_connected_to(address: str) -> None:
    """Somebody listens there, and hears nothing."""
    async with serving() as port:
        transport = CheckedTransport(ssl.create_default_context(), Reach(), resolve=naming(address))
        with pytest.raises(AddressRefused):
            await _get(transport, f"https://hook.example:{port}/")


@pytest.mark.evidence("webhook", "address check", "own sandbox only")
async def test_the_next_address_is_tried_when_one_does_not_listen() -> None:
    """All were checked, so any will do."""
    async with serving() as port:
        reach = Reach(HERE.networks, plain=True)
        transport = CheckedTransport(
            ssl.create_default_context(), reach, resolve=naming("127.0.0.2", "127.0.0.1")
        )
        answer = await _get(transport, f"http://hook.example:{port}/")
    assert answer.status_code == 200


@pytest.mark.evidence("webhook", "address check", "own sandbox only")
async def test_answers_are_not_unpacked() -> None:
    """A small answer that claims to be packed is read as it is: nothing can unpack to gigabytes."""
    async with serving() as port:
        transport = CheckedTransport(ssl.create_default_context(), Reach(HERE.networks, plain=True))
        answer = await _get(transport, f"http://127.0.0.1:{port}/")
    assert answer.content == b"not gzip at all"


@pytest.mark.evidence("webhook", "address check", "own sandbox only")
async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name itself, past the check."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with serving() as port:
        transport = CheckedTransport(ssl.create_default_context(), Reach(HERE.networks, plain=True))
        assert (await _get(transport, f"http://127.0.0.1:{port}/")).status_code == 200


def test_a_sink_opens_the_checked_way_unless_told_otherwise() -> None:
    """The vendor wires it: nobody can forget."""
    account = Account("hook", "https://a.example/", {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    connector = WebhookVendor().open(account, RecordingGate())
    assert isinstance(connector._http._transport, CheckedTransport)  # noqa: SLF001 - what it is wired to
