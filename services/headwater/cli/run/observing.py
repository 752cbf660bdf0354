"""Asks the services and the sandbox what there is, and turns the answers into the values of `accounting`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import httpx

from headwater.cli.run.accounting import Crm, Ledger
from headwater.cli.services import Services
from headwater.cli.wording import delivery_state, disposition
from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import OWN_SOURCE
from headwater.policy.document import PolicyDocument
from headwater.sync.v1 import sync_pb2

_PAGE_SIZE: Final = 500
_SANDBOX_TIMEOUT_S: Final = 30.0


async def ask_sync(services: Services, tenant_id: str) -> sync_pb2.GetStatusResponse:
    """Return the tenant's counts of projection and delivery."""
    return await services.ask(services.sync.GetStatus, sync_pb2.GetStatusRequest(tenant_id=tenant_id))


async def ask_identity(services: Services, tenant_id: str) -> identity_pb2.GetIdentityStatusResponse:
    """Return the tenant's counts of entities and records."""
    request = identity_pb2.GetIdentityStatusRequest(tenant_id=tenant_id)
    return await services.ask(services.identity.GetIdentityStatus, request)


async def read_ledger(
    services: Services, tenant_id: str, sent: Mapping[str, int], policy: PolicyDocument
) -> Ledger:
    """Return the tenant's counts as they stand now.

    Sync is asked before the log: an event recorded in between then waits rather than seeming to come from nowhere.
    """
    sync = await ask_sync(services, tenant_id)
    request = ingest_pb2.GetIngestStatusRequest(tenant_id=tenant_id)
    ingest = await services.ask(services.ingest.GetIngestStatus, request)
    logged: Counter[str] = Counter()
    own = 0
    for row in ingest.counts:
        if row.source == OWN_SOURCE:
            own += row.count
        else:
            logged[disposition(row.disposition)] += row.count
    return Ledger(
        sent=dict(sent),
        logged=dict(logged),
        own_logged=own,
        projected=sync.events_projected,
        superseded={row.rule: row.count for row in sync.superseded},
        waiting=sync.events_waiting,
        poisoned=sync.events_poisoned,
        entities={row.object: row.count for row in sync.entities},
        deliveries={
            (row.connector, row.object, delivery_state(row.state)): row.count for row in sync.deliveries
        },
        mapped={name: tuple(item.objects) for name, item in policy.connectors.items() if item.enabled},
    )


async def list_deliveries(services: Services, tenant_id: str) -> list[sync_pb2.Delivery]:
    """Return every delivery of the tenant."""
    found: list[sync_pb2.Delivery] = []
    token = ""
    while True:
        request = sync_pb2.ListDeliveriesRequest(tenant_id=tenant_id, page_size=_PAGE_SIZE, page_token=token)
        page = await services.ask(services.sync.ListDeliveries, request)
        found += page.deliveries
        token = page.next_page_token
        if not token:
            return found


async def read_crms(
    sandbox_url: str, account: str, policy: PolicyDocument, deliveries: list[sync_pb2.Delivery]
) -> dict[str, Crm]:
    """Return what each connector's CRM holds, compared with nothing yet."""
    crms: dict[str, Crm] = {}
    async with httpx.AsyncClient(timeout=_SANDBOX_TIMEOUT_S, trust_env=False) as http:
        for name, connector in policy.connectors.items():
            key = next(target.external_id for targets in connector.objects.values() for target in targets)
            url = f"{sandbox_url}/_sandbox/{connector.vendor}/{account}/records"
            try:
                answer = (await http.get(url)).raise_for_status().json()
            except (httpx.HTTPError, ValueError) as error:
                raise Unavailable(f"the sandbox does not tell its records: {error}") from error
            delivered = {
                item.entity_id: item.crm_id for item in deliveries if item.connector == name and item.crm_id
            }
            crms[name] = Crm(delivered, held_by(answer["records"], key))
    return crms


def held_by(records: Mapping[str, list[dict[str, Any]]], external_id: str) -> dict[str, tuple[str, ...]]:
    """Return entity id to the ids of the live records that carry it."""
    held: dict[str, tuple[str, ...]] = {}
    for items in records.values():
        for item in items:
            entity = item["fields"].get(external_id)
            if entity and not item["archived"]:
                held[entity] = (*held.get(entity, ()), item["id"])
    return held
