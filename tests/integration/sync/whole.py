"""The three services in this process, against a sandbox process: what tests of sync as a whole share."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.identity import app as identity_app
from headwater.identity.settings import IdentitySettings
from headwater.identity.v1 import identity_pb2_grpc
from headwater.ingest import app as ingest_app
from headwater.ingest.settings import IngestSettings
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.clock import SystemClock
from headwater.kernel.pg.pool import set_codecs
from headwater.kernel.rpc import open_channel
from headwater.kernel.telemetry import Telemetry, TelemetrySettings, start_telemetry
from headwater.sync import app as sync_app
from headwater.sync.settings import SyncSettings

TENANT: Final = "acme"
CALL_S: Final = 15.0
POLL_S: Final = 0.05
"""Pause between two looks at a state that nobody announces."""

SECRET: Final = json.dumps(
    {
        "client_id": "headwater",
        "client_secret": "sandbox-secret",
        "refresh_token": f"sandbox-refresh-{TENANT}",
    }
)

POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  erp: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/erp, inbound: {
    account: {fields: {name: name}}, deal: {fields: {name: name, stage: stage, account: account}},
    contact: {fields: {email: email, first_name: first_name, last_name: last_name, title: title}}}}
  shop: {layer: record, owner: shop team, backup: rev ops, runbook: docs/shop, inbound: {
    contact: {fields: {email: email, first_name: first_name, last_name: last_name, phone: phone}}}}
  mail: {layer: engagement, owner: mail team, backup: rev ops, runbook: docs/mail, participants: create, inbound: {
    activity: {fields: {kind: kind, subject: subject, occurred_time: occurred_time, participants: participants}}}}
objects:
  account: {fields: {name: {type: text, owners: [erp], rule: source_priority, required: true}}}
  deal: {fields: {
    name: {type: text, owners: [erp], rule: source_priority},
    stage: {type: text, owners: [erp], rule: most_recent},
    account: {type: reference, reference: account, owners: [erp], rule: most_recent}}}
  contact: {granted: [mail], fields: {
    email: {type: email, owners: [erp, shop, mail], rule: source_priority},
    first_name: {type: text, owners: [shop, erp, mail], rule: source_priority},
    last_name: {type: text, owners: [erp, shop, mail], rule: longest},
    title: {type: text, owners: [erp], rule: most_recent},
    phone: {type: phone, owners: [shop], rule: most_recent}}}
  activity: {fields: {
    kind: {type: text, owners: [mail], rule: source_priority},
    subject: {type: text, owners: [mail], rule: source_priority},
    occurred_time: {type: datetime, owners: [mail], rule: source_priority},
    participants: {type: participants, owners: [mail], rule: source_priority}}}
connectors:
  hubspot:
    vendor: hubspot
    system: erp
    base_url: ${url}/hubspot/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/hubspot
    limits: {window: {calls: 100, window_s: 1}, batch_records: 100}
    objects:
      contact: [{target: contacts, external_id: headwater_id, fields: {email: {field: email},
        firstname: {field: first_name}, lastname: {field: last_name}, jobtitle: {field: title},
        phone: {field: phone}}, end_marks: {headwater_status: state, headwater_merged_into: winner_entity_id}}]
      account: [{target: companies, external_id: headwater_id, fields: {name: {field: name}}}]
      deal: [{target: deals, external_id: headwater_id, fields: {dealname: {field: name}},
        references: {companies: account}}]
      activity: [{target: emails, external_id: headwater_id, fields: {
        hs_timestamp: {field: occurred_time}, hs_email_subject: {field: subject},
        hs_email_direction: {default: EMAIL}}, references: {contacts: participants}}]
"""


def event(
    source: str, object_name: str, external_id: str, time_s: float = 0.0, **payload: Any
) -> event_pb2.Event:
    """Return an event *time_s* seconds after the beginning of 2026."""
    moment = Timestamp()
    moment.FromDatetime(dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=time_s))
    return event_pb2.Event(
        source=source,
        object=object_name,
        external_id=external_id,
        event_time=moment,
        payload=json.dumps(payload).encode(),
    )


def policy_event(sandbox_url: str) -> event_pb2.Event:
    """Return the event that puts `POLICY` in force."""
    return event("headwater", "policy", TENANT, document=POLICY.replace("${url}", sandbox_url))


@dataclass(frozen=True, slots=True)
class Doors:
    """The ways into ingest and identity."""

    ingest: ingest_pb2_grpc.IngestServiceAsyncStub
    identity: identity_pb2_grpc.IdentityServiceAsyncStub
    identity_address: str
    ingest_address: str = ""

    async def record(self, events: Sequence[event_pb2.Event]) -> list[ingest_pb2.EventOutcome]:
        """Record *events* in batches of 500."""
        outcomes: list[ingest_pb2.EventOutcome] = []
        for start in range(0, len(events), 500):
            request = ingest_pb2.BatchRecordEventsRequest(
                tenant_id=TENANT, events=events[start : start + 500]
            )
            outcomes.extend((await self.ingest.BatchRecordEvents(request, timeout=CALL_S)).outcomes)
        return outcomes


def _quiet(service: str) -> Telemetry:
    return start_telemetry(service, TelemetrySettings(), environ={})


@asynccontextmanager
async def doors(url: str) -> AsyncIterator[Doors]:
    """Run ingest and identity on *url*."""
    ingest_settings = IngestSettings(address="127.0.0.1:0", sync_address="", database_url=url)
    async with ingest_app.serving(ingest_settings, _quiet("ingest")) as ingest_port:
        identity_settings = IdentitySettings.model_validate(
            {
                "HEADWATER_DATABASE_URL": url,
                "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:0",
                "HEADWATER_INGEST_ADDRESS": f"127.0.0.1:{ingest_port}",
            }
        )
        async with (
            identity_app.running(identity_settings, _quiet("identity")) as identity_port,
            open_channel(f"127.0.0.1:{ingest_port}") as ingest,
            open_channel(f"127.0.0.1:{identity_port}") as identity,
        ):
            yield Doors(
                ingest_pb2_grpc.IngestServiceStub(ingest),
                identity_pb2_grpc.IdentityServiceStub(identity),
                f"127.0.0.1:{identity_port}",
                f"127.0.0.1:{ingest_port}",
            )


@asynccontextmanager
async def syncing(
    url: str, identity_address: str, *, lease_ttl_s: int = 1, ingest_address: str = "127.0.0.1:1"
) -> AsyncIterator[int]:
    """Run sync on *url*; leases are short, so that one start after another need not wait."""
    settings = SyncSettings.model_validate(
        {
            "HEADWATER_DATABASE_URL": url,
            "HEADWATER_SYNC_ADDRESS": "127.0.0.1:0",
            "HEADWATER_SYNC_AUDIT_DIR": "none",
            "HEADWATER_IDENTITY_ADDRESS": identity_address,
            "HEADWATER_INGEST_ADDRESS": ingest_address,
            "HEADWATER_SYNC_LEASE_TTL_S": str(lease_ttl_s),
        }
    )
    async with sync_app.running(settings, _quiet("sync"), SystemClock()) as port:
        yield port


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Any]:
    """Connect to *url* to look at tables."""
    connection = await asyncpg.connect(url)
    try:
        await set_codecs(connection)
        yield connection
    finally:
        await connection.close()


async def until(reached: Callable[[], Awaitable[bool]], timeout_s: float = 60.0) -> None:
    """Return when *reached* says so; the one place of these tests that looks again and again.

    Raises:
        TimeoutError: it did not within *timeout_s*.
    """
    with anyio.fail_after(timeout_s):
        while not await reached():  # noqa: ASYNC110 - nobody announces this state
            await anyio.sleep(POLL_S)


async def settled(connection: Any) -> bool:
    """Return whether every accepted event is projected and no delivery waits."""
    waiting = await connection.fetchval(
        "select count(*) from ingest.event as log where disposition = 1 and not exists ("
        " select from sync.projection as done where done.tenant_id = log.tenant_id"
        " and done.event_key = log.event_key)"
    )
    due = await connection.fetchval("select count(*) from sync.delivery where state in (1, 3, 4)")
    return bool(waiting == 0 and due == 0)
