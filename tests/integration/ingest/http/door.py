"""What the tests of the HTTP door share: a service with both doors, and a policy that takes webhooks."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import httpx
from standardwebhooks.webhooks import Webhook
from tests.integration.ingest.world import (
    POLICY,
    TENANT,
    TIME_S,
    Client,
    client,
    policy_event,
    quiet,
    settings,
)

from headwater.ingest.app import open_doors
from headwater.kernel.telemetry import Telemetry

SECRET: Final = "whsec_" + base64.b64encode(b"a secret of twenty-four!").decode()
OLD_SECRET: Final = "whsec_" + base64.b64encode(b"the secret before this 1").decode()
FORM_SECRET: Final = "form-secret"
JSON: Final = {"Headwater-Tenant": TENANT, "Content-Type": "application/json"}

WEBHOOKS: Final = """\
    webhook:
      secrets: [env:SHOP_SECRET, env:SHOP_SECRET_OLD]
      object: contact
      external_id: data.id
      event_time: timestamp
      operation: type
      deletes: [contact.deleted]
      payload: data
    cloud_events:
      sources: [/shop/contacts]
      types:
        shop.customer.changed: {object: contact}
        shop.customer.gone: {object: contact, operation: delete}
  form:
    layer: record
    owner: web team
    backup: crm team
    runbook: docs/form
    inbound:
      contact:
        fields: {email: email, name: full_name}
    webhook:
      scheme: hmac-sha256
      options: {header: x-form-signature, prefix: sha256=}
      secrets: [env:FORM_SECRET]
      object: contact
      events: answers
      when: {kind: [person]}
      external_id: email
objects:
"""

WITH_WEBHOOKS: Final = POLICY.replace("objects:\n", WEBHOOKS, 1).replace(
    "owners: [webshop]", "owners: [webshop, form]"
)


@dataclass(frozen=True, slots=True)
class Known:
    """Secrets at hand in a test."""

    values: Mapping[str, str]

    async def read(self, tenant_id: str, source: str, reference: str) -> str | None:  # noqa: ARG002 - the port's
        """Return a secret; see the port."""
        return self.values.get(reference)


SECRETS: Final = Known(
    {"env:SHOP_SECRET": SECRET, "env:SHOP_SECRET_OLD": OLD_SECRET, "env:FORM_SECRET": FORM_SECRET}
)


@dataclass(frozen=True, slots=True)
class Doors:
    """A caller through each door of one service."""

    grpc: Client
    http: httpx.AsyncClient
    http_port: int

    async def post(self, body: Any, path: str = "/v1/events", **headers: str) -> httpx.Response:
        """Post JSON, underscores of header names turned into hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(path, content=json.dumps(body).encode(), headers={**JSON, **named})


@asynccontextmanager
async def service(
    url: str, *, telemetry: Telemetry | None = None, policy: str = WITH_WEBHOOKS, **given: Any
) -> AsyncIterator[Doors]:
    """Run a service with both doors, a policy in force."""
    chosen = settings(url, http_address="127.0.0.1:0", **given)
    async with open_doors(chosen, telemetry or quiet(), secrets=SECRETS) as ports, client(ports.port) as grpc:
        base_url = f"http://127.0.0.1:{ports.http_port}"
        async with httpx.AsyncClient(base_url=base_url, timeout=15.0) as http:
            await grpc.record(policy_event(policy))
            yield Doors(grpc, http, ports.http_port)


def item(number: int = 0, payload: Any = None, **fields: Any) -> dict[str, Any]:
    """Return the event of contact *number* as JSON; the same as `world.event` says in protobuf."""
    moment = dt.datetime.fromtimestamp(TIME_S + number, dt.UTC)
    body = {"email": f"p{number}@example.com", "name": f"Person {number}"} if payload is None else payload
    return {
        "source": "webshop",
        "object": "contact",
        "external_id": f"c-{number}",
        "event_time": moment.isoformat().replace("+00:00", "Z"),
        "payload": body,
        **fields,
    }


def shop_body(number: int = 1, **fields: Any) -> bytes:
    """Return the body of a webhook of the shop."""
    moment = dt.datetime.fromtimestamp(TIME_S + number, dt.UTC).isoformat()
    data = {"id": f"c-{number}", "email": f"p{number}@example.com", **fields}
    return json.dumps({"type": "contact.updated", "timestamp": moment, "data": data}).encode()


def signed(
    body: bytes, message_id: str = "msg_1", *, secret: str = SECRET, ago_s: float = 0
) -> dict[str, str]:
    """Return the headers that the reference library signs a body with."""
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=ago_s)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode()),
        "content-type": "application/json",
    }


@asynccontextmanager
async def held_log(url: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Let no event into the log while the block runs, or until what is yielded is called."""
    holder = await asyncpg.connect(url)
    try:
        await holder.execute("BEGIN; LOCK TABLE ingest.event IN SHARE MODE")
        yield lambda: holder.execute("COMMIT")
    finally:
        await holder.close()
