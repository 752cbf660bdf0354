"""`headwater status`: a tenant's counts, from the log to the CRMs."""

from __future__ import annotations

from typing import Any

import typer

from headwater.cli.options import AsJson, DataDir, Tenant
from headwater.cli.output import facts, table
from headwater.cli.plain import plain
from headwater.cli.services import Services
from headwater.cli.session import Session, ask
from headwater.cli.wording import delivery_state, disposition
from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import sync_pb2

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def status(tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show what a tenant has in the log, in quarantine, in entities and in delivery.

    Examples:

      headwater status

      headwater status --tenant acme --json | jq .sync.deliveries
    """
    ask(_status, as_json=as_json, data_dir=data_dir, tenant=tenant)


async def _status(session: Session, services: Services) -> None:
    tenant_id = session.tenant_id
    ingest = await services.ask(
        services.ingest.GetIngestStatus, ingest_pb2.GetIngestStatusRequest(tenant_id=tenant_id)
    )
    identity = await services.ask(
        services.identity.GetIdentityStatus, identity_pb2.GetIdentityStatusRequest(tenant_id=tenant_id)
    )
    sync = await services.ask(services.sync.GetStatus, sync_pb2.GetStatusRequest(tenant_id=tenant_id))
    document = {
        "tenant_id": tenant_id,
        "ingest": plain(ingest),
        "identity": plain(identity),
        "sync": plain(sync),
    }
    session.output.result(document, *_shown(tenant_id, ingest, identity, sync))


def _shown(
    tenant_id: str,
    ingest: ingest_pb2.GetIngestStatusResponse,
    identity: identity_pb2.GetIdentityStatusResponse,
    sync: sync_pb2.GetStatusResponse,
) -> list[Any]:
    events = [(row.source, row.object, disposition(row.disposition), row.count) for row in ingest.counts]
    entities = [(row.object, row.records, row.entities, row.merged) for row in identity.counts]
    deliveries = [
        (row.connector, row.object, delivery_state(row.state), row.count) for row in sync.deliveries
    ]
    latencies = [(row.connector, row.count, row.p50_ms, row.p95_ms) for row in sync.latencies]
    superseded = ", ".join(f"{row.rule} {row.count:,}" for row in sync.superseded)
    return [
        facts(
            {
                "tenant": tenant_id,
                "events projected": sync.events_projected,
                "superseded": superseded,
                "waiting": sync.events_waiting,
                "poisoned": sync.events_poisoned,
                "quarantined, open": ingest.quarantine_open,
                "merge candidates": identity.merge_candidates,
            }
        ),
        table(("source", "object", "disposition", "events"), events, title="log"),
        table(("object", "records", "entities", "merged"), entities, title="identity"),
        table(("connector", "object", "state", "deliveries"), deliveries, title="delivery"),
        table(("connector", "samples", "p50 ms", "p95 ms"), latencies, title="latency, log to CRM"),
    ]
