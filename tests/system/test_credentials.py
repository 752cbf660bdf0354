"""A whole Headwater that asks everybody for a certificate: the three processes, a producer, an operator's command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import grpc
import pytest
from tests.integration.kernel.security.serving import shake
from tests.integration.security.credentials import SERVER, Credentials
from tests.integration.sync.whole import until
from tests.load.ingest import facts
from tests.load.ingest.ground import free_port
from tests.system.processes import SERVICES, Child

from headwater.client import Accepted, ChannelSecurity, ClientSettings, IngestClient, PermissionDenied
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.rpc import open_channel
from headwater.kernel.security.authority import Wanted

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

TENANT: Final = facts.TENANT
EVENTS: Final = 60
PEOPLE: Final = {
    "gateway": (("producer",), TENANT),
    "desk": (("operator",), TENANT),
    "owner": (("admin",), TENANT),
    "stranger": (("admin",), "globex"),
}
"""Certificates by name: roles and tenant."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Three processes, and the certificates that they believe."""

    made: Credentials
    ports: Mapping[str, int]

    def shows(self, name: str) -> ChannelSecurity:
        """What the holder of a certificate shows."""
        return self.made.with_certificate(self.made.authority, name)

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[IngestClient]:
        """The client library with a certificate."""
        settings = ClientSettings(security=self.shows(name))
        async with IngestClient(f"127.0.0.1:{self.ports['ingest']}", TENANT, settings=settings) as client:
            yield client

    async def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run `headwater` with a certificate."""
        shown = self.shows(name)
        environment = {
            **os.environ,
            "PYTHONPATH": str(SERVICES),
            "HEADWATER_TLS_CA": shown.ca,
            "HEADWATER_TLS_CERT": shown.cert,
            "HEADWATER_TLS_KEY": shown.key,
            **_addresses(self.ports),
        }
        command = [sys.executable, "-m", "headwater.cli", *arguments, "--tenant", TENANT, "--json"]
        return await anyio.run_process(command, env=environment, check=False)


@pytest.fixture
def whole(migrated_database_url: str, tmp_path: Path) -> Iterator[Whole]:
    """The three services as processes, each with a certificate of its own kind."""
    made = Credentials(tmp_path)
    for name, (roles, tenant) in PEOPLE.items():
        made.authority.issue(Wanted(name, roles, (tenant,)), made.now)
    ports = {name: free_port() for name in ("ingest", "identity", "sync")}
    environment = {
        "HEADWATER_DATABASE_URL": migrated_database_url,
        "HEADWATER_INGEST_PROCESSES": "1",
        **_addresses(ports),
        **made.settings_of_certificates,
    }
    with ExitStack() as stack:
        for name in ports:
            child = Child(name, environment, tmp_path / f"{name}.stderr")
            stack.callback(child.end)
            child.start()
        yield Whole(made, ports)


def _addresses(ports: Mapping[str, int]) -> dict[str, str]:
    return {f"HEADWATER_{name.upper()}_ADDRESS": f"127.0.0.1:{port}" for name, port in ports.items()}


def _events(first: int, count: int) -> list[event_pb2.Event]:
    found = [facts.event(f"person-{number}", number) for number in range(first, first + count)]
    for one in found:
        one.event_time.GetCurrentTime()
    return found


async def test_a_whole_headwater_runs_on_certificates_and_loses_nothing_while_they_change(
    whole: Whole,
) -> None:
    """Events go through all three services, certificates are renewed meanwhile, and who may not, may not."""
    async with whole.client("owner") as owner:
        assert isinstance(await owner.record_one(facts.policy()), Accepted)
    async with whole.client("gateway") as gateway:
        recorded = list(await gateway.record(_events(0, EVENTS)))
        await _renew(whole)
        recorded += await gateway.record(_events(EVENTS, EVENTS))
        with pytest.raises(PermissionDenied):
            await gateway.record_one(facts.policy())
    assert all(isinstance(outcome, Accepted) for outcome in recorded)
    await until(lambda: _all_projected(whole))
    await _refuses_others(whole, recorded[0].event_key)


async def _renew(whole: Whole) -> None:
    """Renew the services' certificate and the producer's, and wait until every service shows the new one."""
    renewed = whole.made.authority.renew(SERVER, whole.made.now)
    whole.made.authority.renew("gateway", whole.made.now)
    desk = whole.shows("desk")

    async def shown(port: int) -> bool:
        return (await shake(port, whole.made, shows=desk))[1] == renewed.serial

    for port in whole.ports.values():
        await until(partial(shown, port))


async def _all_projected(whole: Whole) -> bool:
    """Whether sync has projected every event, having asked identity, as an operator's command sees it."""
    done = await whole.command("desk", "status")
    assert done.returncode == 0, done.stderr.decode()
    counts = json.loads(done.stdout)["identity"].get("counts", [])
    return sum(int(row["records"]) for row in counts) == 2 * EVENTS


async def _refuses_others(whole: Whole, event_key: str) -> None:
    """A producer may not look; another tenant's administrator finds nothing, and may not name this one."""
    denied = await whole.command("gateway", "status")
    assert denied.returncode == 1
    assert json.loads(denied.stdout)["error"]["reason"] == "SCOPE_MISSING"
    async with open_channel(
        f"127.0.0.1:{whole.ports['ingest']}", security=whole.shows("stranger")
    ) as channel:
        stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
        for tenant_id, reason in (("globex", "NOT_FOUND"), (TENANT, "PERMISSION_DENIED")):
            request = ingest_pb2.GetEventRequest(tenant_id=tenant_id, event_key=event_key)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetEvent(request, timeout=10)
            assert refused.value.code().name == reason
