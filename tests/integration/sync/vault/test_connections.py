"""What others have of the vault: secrets of webhooks at ingest's door, and accounts tried by sync; nobody sees more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest
from tests.integration.ingest.http.door import SECRET, shop_body, signed
from tests.integration.ingest.world import POLICY, client, policy_event, quiet, settings
from tests.integration.sync.vaulted import TENANT, VaultWorld, vault_world
from tests.integration.sync.whole import CALL_S, until
from tests.load.ingest.ground import free_port

from headwater.ingest.app import open_doors
from headwater.kernel.clock import SystemClock
from headwater.kernel.rpc import open_channel
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry
from headwater.sync import app as sync_app
from headwater.sync.settings import SyncSettings
from headwater.sync.v1 import connections_pb2 as pb
from headwater.sync.v1 import connections_pb2_grpc

pytestmark = pytest.mark.anyio

NOBODY = "127.0.0.1:9"
WITH_VAULT = (
    POLICY.replace(
        "objects:\n",
        """\
    webhook: {secrets: ["vault:shop-hook"], object: contact, external_id: data.id, event_time: timestamp, payload: data}
objects:
""",
        1,
    )
    + """\
connectors:
  crm:
    vendor: hubspot
    system: webshop
    base_url: http://127.0.0.1:9
    credentials: vault:crm-main
    owner: crm team
    backup: shop team
    runbook: docs/crm
    limits: {window: {calls: 100, window_s: 1}, batch_records: 100}
    objects: {contact: [{target: contacts, external_id: headwater_id, fields: {email: {field: email}}}]}
"""
)


@asynccontextmanager
async def sync_with(world: VaultWorld, url: str, place: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Run sync with the vault's keys; yield its address."""
    given = {
        "HEADWATER_DATABASE_URL": url,
        "HEADWATER_SYNC_ADDRESS": place,
        "HEADWATER_SYNC_AUDIT_DIR": "none",
        "HEADWATER_IDENTITY_ADDRESS": NOBODY,
        "HEADWATER_INGEST_ADDRESS": NOBODY,
        "HEADWATER_SYNC_LEASE_TTL_S": "1",
        "HEADWATER_SYNC_VAULT_KEYS": str(world.path),
    }
    telemetry = start_telemetry("sync", TelemetrySettings(), environ={})
    async with sync_app.running(SyncSettings.model_validate(given), telemetry, SystemClock()) as port:
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def ingest_beside(url: str, sync_address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run ingest, the policy in force; yield a caller of its HTTP door."""
    chosen = settings(url, http_address="127.0.0.1:0", sync_address=sync_address)
    async with open_doors(chosen, quiet()) as ports, client(ports.port) as grpc_client:
        await grpc_client.record(policy_event(WITH_VAULT))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports.http_port}", timeout=CALL_S) as http:
            yield http


@asynccontextmanager
async def connections(
    url: str, directory: Path
) -> AsyncIterator[tuple[VaultWorld, connections_pb2_grpc.ConnectionServiceAsyncStub]]:
    """Run sync with a vault, the policy in force; yield the vault and a caller of its connections."""
    async with (
        vault_world(url, directory) as world,
        sync_with(world, url) as address,
        ingest_beside(url, ""),
        open_channel(address) as channel,
    ):
        yield world, connections_pb2_grpc.ConnectionServiceStub(channel)


async def unless_unknown(question: Callable[[], Awaitable[bool]]) -> bool:
    """Return the answer; False while sync has not read the policy."""
    try:
        return await question()
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return False
        raise


async def sent(http: httpx.AsyncClient, number: int, secret: str = SECRET) -> httpx.Response:
    """Send a signed webhook."""
    body = shop_body(number)
    headers = signed(body, f"msg_{number}", secret=secret)
    return await http.post("/v1/webhooks/webshop?tenant=acme", content=body, headers=headers)


async def test_a_webhook_is_verified_by_a_secret_of_the_vault(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """Once sync knows the policy; another secret is refused, and while sync is away the known one goes on counting."""
    place = f"127.0.0.1:{free_port()}"
    async with (
        vault_world(migrated_database_url, tmp_path) as world,
        ingest_beside(migrated_database_url, place) as http,
    ):
        await world.put("shop-hook", secret=SECRET, other="not-a-hook")
        assert (await sent(http, 1)).json()["reason"] == "WEBHOOK_SECRETS_AWAY"
        async with sync_with(world, migrated_database_url, place):

            async def accepted() -> bool:
                return (await sent(http, 1)).status_code == 200

            await until(accepted)
            assert (await sent(http, 2, "whsec_" + "b3RoZXItc2VjcmV0LW9mLXNpeHRlZW4=")).status_code == 401
        answer = await sent(http, 3)
        assert (answer.status_code, answer.json()["outcomes"][0]["disposition"]) == (200, "ACCEPTED")


async def test_sync_opens_what_the_policy_names_and_nothing_else(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """Not other fields, not other connections, not for sources without a webhook; a missing one is empty."""
    async with connections(migrated_database_url, tmp_path) as (world, stub):

        async def opened(source: str = "webshop") -> list[tuple[str, str]]:
            request = pb.OpenWebhookSecretsRequest(tenant_id=TENANT, source=source)
            answer = await stub.OpenWebhookSecrets(request, timeout=CALL_S)
            return [(one.reference, one.secret) for one in answer.secrets]

        async def known() -> bool:
            return await opened() == [("vault:shop-hook", "")]

        await until(partial(unless_unknown, known))
        await world.put("shop-hook", token="no secret field")
        assert await opened() == [("vault:shop-hook", "")]
        await world.put("shop-hook", secret=SECRET, token="more")
        assert await opened() == [("vault:shop-hook", SECRET)]
        with pytest.raises(grpc.aio.AioRpcError, match="no such webhook"):
            await opened("crm")


async def test_an_account_of_the_vault_is_tried_by_sync(migrated_database_url: str, tmp_path: Path) -> None:
    """What is wrong is said, what it was tried with is not."""
    async with connections(migrated_database_url, tmp_path) as (world, stub):

        async def tried(wanted: str, connector: str = "crm") -> bool:
            request = pb.TryConnectionRequest(tenant_id=TENANT, connector=connector)
            answer = await stub.TryConnection(request, timeout=CALL_S)
            assert not answer.ok
            assert "hush" not in json.dumps(list(answer.findings))
            return wanted in answer.findings[0]

        await until(partial(unless_unknown, partial(tried, "the vault has no connection 'crm-main'")))
        await world.put("crm-main", client_id="an-id", client_secret="hush-1")
        assert await tried("refresh_token")
        await world.put("crm-main", client_id="an-id", client_secret="hush-1", refresh_token="hush-2")
        assert await tried("check the base URL, DNS, proxy and firewall")
        with pytest.raises(grpc.aio.AioRpcError, match="no connector 'other'"):
            await tried("", "other")
