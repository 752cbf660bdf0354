"""Certificates, their authority and signing keys change under load: what was acknowledged is recorded, nobody is turned away."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import asyncpg
import grpc
import pytest
from cryptography import x509
from tests.integration.ingest.world import TENANT, event, policy_event
from tests.integration.security.credentials import SERVER, Credentials, Signer
from tests.integration.sync.whole import until
from tests.load.ingest.ground import free_port, service_environment
from tests.system.processes import Child

from headwater.client import Accepted, Acknowledged, ChannelSecurity, ClientSettings, Duplicate, IngestClient
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.rpc import open_channel, secured
from headwater.kernel.security.authority import AUTHORITY, Authority, Wanted
from headwater.kernel.security.settings import TRUST_DOMAIN

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

TURNS = 6
"""More than channels of older certificates are kept (`secured.RETIRED_MAX`)."""
KEYS = 3
BATCH = 10
ACKS = 60
"""Events acknowledged on every road between two turns."""
ROADS = ("one", "batch", "stream")


@dataclass
class Load:
    """Sends on three roads until it is told to stop; knows what was acknowledged on each, and every refusal."""

    address: str
    security: ChannelSecurity
    acked: dict[str, set[str]] = field(default_factory=lambda: {road: set() for road in ROADS})
    numbers: int = 0
    ended: bool = False

    def _take(self, count: int) -> list[int]:
        self.numbers += count
        return list(range(self.numbers - count, self.numbers))

    async def send(self, road: str) -> None:
        """Send on one road; whatever the client cannot put right itself is raised."""
        settings = ClientSettings(security=self.security)
        async with IngestClient(self.address, TENANT, settings=settings) as client:
            if road == "stream":
                await self._stream(client)
            while not self.ended:
                numbers = self._take(1 if road == "one" else BATCH)
                found = await client.record([event(number) for number in numbers])
                self._note(road, found)

    async def _stream(self, client: IngestClient) -> None:
        def acknowledged(batch: Acknowledged) -> None:
            self._note("stream", batch.outcomes)

        async with client.stream(acknowledged) as stream:
            while not self.ended:
                await stream.send([event(number) for number in self._take(BATCH)])

    def _note(self, road: str, outcomes: object) -> None:
        for one in outcomes:  # type: ignore[attr-defined]
            assert isinstance(one, Accepted | Duplicate), one
            self.acked[road].add(str(one.event_key))

    async def more(self) -> None:
        """Wait until every road has got further."""
        wanted = {road: len(keys) + ACKS for road, keys in self.acked.items()}

        async def reached() -> bool:
            return all(len(self.acked[road]) >= count for road, count in wanted.items())

        await until(reached, 20)


@asynccontextmanager
async def under_load(
    url: str, folder: Path, settings: Mapping[str, str], security: ChannelSecurity
) -> AsyncIterator[tuple[Load, int]]:
    """A service, and three roads of senders while the block runs; at its end every acknowledgement is held to the log."""
    port = free_port()
    extra = {"HEADWATER_INGEST_PROCESSES": "1", **settings}
    child = Child("ingest", service_environment(url, port, extra=extra), folder / "ingest.stderr")
    await anyio.to_thread.run_sync(child.start)
    load = Load(f"127.0.0.1:{port}", security)
    try:
        client = IngestClient(load.address, TENANT, settings=ClientSettings(security=security))
        async with client:
            await client.record_one(policy_event())
        async with anyio.create_task_group() as tasks:
            for road in ROADS:
                tasks.start_soon(load.send, road)
            await load.more()
            yield load, port
            await load.more()
            load.ended = True
        connection = await asyncpg.connect(url)
        rows = await connection.fetch(
            "SELECT event_key::text AS key FROM ingest.event WHERE object = 'contact'"
        )
        await connection.close()
        recorded = [row["key"] for row in rows]
        acked = set.union(*load.acked.values())
        assert len(recorded) == len(set(recorded))
        assert acked == set(recorded)
    finally:
        await anyio.to_thread.run_sync(child.end)


async def test_certificates_and_their_authority_change_and_no_event_is_lost(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the service and of its callers, with other keys each time; in the end under another authority."""
    monkeypatch.setattr(secured, "LOOK_S", 0.0)
    made = Credentials(tmp_path)
    made.authority.issue(Wanted("erp", ("admin",), (TENANT,)), made.now)
    believed = tmp_path / "believed.pem"
    believed.write_bytes(made.authority.certificate_path(AUTHORITY).read_bytes())
    settings = {**made.settings_of_certificates, "HEADWATER_TLS_CA": str(believed)}
    paths = (made.authority.certificate_path("erp"), made.authority.key_path("erp"))
    security = ChannelSecurity(ca=str(believed), cert=str(paths[0]), key=str(paths[1]))
    async with under_load(migrated_database_url, tmp_path, settings, security) as (load, port):
        for _ in range(TURNS):
            made.authority.renew("erp", made.now)
            await _shown(port, made.authority.renew(SERVER, made.now).serial)
            await load.more()
        former = [path.with_stem(f"former-{path.stem}") for path in paths]
        for path, kept in zip(paths, former, strict=True):
            shutil.copy2(path, kept)
        other = Authority(tmp_path / "other")
        trusted = made.authority.certificate_path(AUTHORITY).read_bytes()
        other.make(TRUST_DOMAIN, made.now)
        fresh = other.certificate_path(AUTHORITY).read_bytes()
        believed.write_bytes(trusted + fresh)
        await load.more()
        serial = _move(
            other, made.authority, SERVER, Wanted(SERVER, ("service",), ("ALL",), ("127.0.0.1",)), made
        )
        _move(other, made.authority, "erp", Wanted("erp", ("admin",), (TENANT,)), made)
        await _shown(port, serial)
        await load.more()
        believed.write_bytes(fresh)
        await load.more()
        old = ChannelSecurity(ca=str(believed), cert=str(former[0]), key=str(former[1]))
        await until(partial(_refused, load.address, old), 10)


async def test_signing_keys_change_and_no_event_is_lost(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider publishes the next key, signs with it, takes the former one back: by then callers have new tokens."""
    monkeypatch.setattr(secured, "LOOK_S", 0.0)
    made = Credentials(tmp_path)
    made.token()
    file, signer = tmp_path / "own.token", made.signer
    _put(file, signer.sign(tenants=[TENANT]))
    security = made.trusting(token_file=str(file))
    async with under_load(migrated_database_url, tmp_path, made.settings, security) as (load, _):
        for number in range(KEYS):
            former, signer = signer, Signer.make(f"key-{number}")
            made.publish(former, signer)
            text = signer.sign(tenants=[TENANT])
            await until(partial(_let_in, load.address, made.trusting(token=text)), 10)
            _put(file, text)
            await load.more()
            made.publish(signer)
            old = made.trusting(token=former.sign(tenants=[TENANT]))
            await until(partial(_refused, load.address, old), 10)
            await load.more()


def _move(other: Authority, authority: Authority, name: str, wanted: Wanted, made: Credentials) -> str:
    """Put a certificate of another authority in place of one's; return its serial number."""
    issued = other.issue(wanted, made.now)
    for path in ("key_path", "certificate_path"):
        source: Callable[[str], Path] = getattr(other, path)
        target: Callable[[str], Path] = getattr(authority, path)
        source(name).replace(target(name))
    return issued.serial


def _put(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="ascii")
    beside.replace(file)


async def _shown(port: int, serial: str) -> None:
    """Wait until the service shows the certificate of that number."""

    async def is_shown() -> bool:
        return await anyio.to_thread.run_sync(_serial, port) == serial

    await until(is_shown, 10)


def _serial(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain) as line,
    ):
        shown = line.getpeercert(binary_form=True)
    assert shown is not None
    return f"{x509.load_der_x509_certificate(shown).serial_number:x}"


async def _code(address: str, security: ChannelSecurity) -> grpc.StatusCode:
    async with open_channel(address, retries=False, security=security) as channel:
        stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
        call: Awaitable[object] = stub.GetIngestStatus(
            ingest_pb2.GetIngestStatusRequest(tenant_id=TENANT), timeout=5
        )
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def _let_in(address: str, security: ChannelSecurity) -> bool:
    return await _code(address, security) is grpc.StatusCode.OK


async def _refused(address: str, security: ChannelSecurity) -> bool:
    return await _code(address, security) in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE}
