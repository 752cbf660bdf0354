"""Enrichment as a whole: from an event to a provider's value in the CRM, and again from the log without a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.whole import TENANT, Doors, doors, event, looking, settled, syncing, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  erp: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/erp, inbound: {
    contact: {fields: {email: email, last_name: last_name, phone: phone, title: title}}}}
  derived: {layer: intelligence, owner: rev ops, backup: it, runbook: docs/derived, inbound: {
    contact: {fields: {phone_country: country}}}}
  people: {layer: intelligence, owner: rev ops, backup: it, runbook: docs/people, inbound: {
    contact: {fields: {title: title, city: city}}}}
objects:
  contact: {require_any: [[email, phone]], fields: {
    email: {type: email, owners: [erp], rule: source_priority},
    last_name: {type: text, owners: [erp], rule: source_priority},
    phone: {type: phone, owners: [erp], rule: source_priority},
    title: {type: text, owners: [erp, people], rule: source_priority, granted: [people]},
    city: {type: text, owners: [people], rule: source_priority, granted: [people]},
    country: {type: text, owners: [derived], rule: source_priority, granted: [derived]}}}
enrichment:
  providers:
    local: {kind: local, system: derived, inputs: [phone]}
    people: {kind: http, system: people, base_url: "URL/enrichment/acme", credentials: env:HEADWATER_SECRET_PEOPLE,
      inputs: [email], cost: 1, budget_per_day: 50}
  objects: {contact: {fields: {title: [people], city: [people], country: [local]}}}
connectors:
  hubspot:
    vendor: hubspot
    system: erp
    base_url: URL/hubspot/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/hubspot
    limits: {window: {calls: 100, window_s: 1}, batch_records: 100}
    objects:
      contact: [{target: contacts, external_id: headwater_id, fields: {email: {field: email},
        lastname: {field: last_name}, jobtitle: {field: title}, city: {field: city}, country: {field: country}}}]
"""
OPS: Final = "ops@northwind.example.com"
CTO: Final = "cto@brightwater.example.org"


def in_crm(sandbox: SandboxProcess) -> dict[str, Mapping[str, Any]]:
    """Return what HubSpot holds, by address."""
    place = f"{sandbox.url}/_sandbox/hubspot/{TENANT}/records"
    kept = sandbox.client.get(place, params={"object": "contacts"}).raise_for_status().json()["records"]
    return {item["fields"]["email"]: item["fields"] for item in kept["contacts"]}


def asked(sandbox: SandboxProcess) -> int:
    """Return how often the provider was called."""
    place = f"{sandbox.url}/_sandbox/enrichment/{TENANT}/calls"
    return int(sandbox.client.get(place).raise_for_status().json()["admitted"])


async def entities(connection: Any) -> dict[str, dict[str, Any]]:
    """Return address to values and sources of every entity, as the projection holds them."""
    rows = await connection.fetch("select fields from sync.entity where version > 0")
    return {
        row["fields"]["email"][0]: {name: (item[0], item[2]) for name, item in row["fields"].items()}
        for row in rows
    }


async def start(world: Doors, sandbox: SandboxProcess) -> None:
    """Put the policy in force, then say three contacts, one of whom nobody knows."""
    text = POLICY.replace("URL", sandbox.url)
    await world.record([event("headwater", "policy", TENANT, document=text)])
    contacts = [
        event("erp", "contact", "1", 1, email=OPS, last_name="Ops", phone="+49 30 901820"),
        event("erp", "contact", "2", 1, email=CTO, last_name="Cto", title="Founder"),
        event("erp", "contact", "3", 1, email="nobody@unknown.example.com", last_name="Nobody"),
    ]
    await world.record(contacts)


async def test_providers_values_reach_the_crm_and_come_again_from_the_log(
    migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Owners and rules decide about them like any others; a rebuild gives the same without asking anybody."""
    monkeypatch.setenv("HEADWATER_SECRET_PEOPLE", json.dumps({"api_key": f"sandbox-key-{TENANT}"}))
    url = migrated_database_url
    async with doors(url) as world, looking(url) as connection:

        async def done() -> bool:
            due = "select count(*) from sync.enrichment where due_time is not null or seen_version < wanted_version"
            held = in_crm(sandbox)
            known = await connection.fetchval("select count(*) from sync.enrichment") == 3
            return known and OPS in held and not await connection.fetchval(due) and await settled(connection)

        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):
            await start(world, sandbox)
            await until(done)
        before, calls = await entities(connection), asked(sandbox)
        assert before[OPS]["title"] == ("Head of Operations", "people")
        assert before[OPS]["country"] == ("DE", "derived")
        assert before[CTO]["title"] == ("Founder", "erp")
        held = in_crm(sandbox)[OPS]
        assert (held["jobtitle"], held["city"], held["country"]) == ("Head of Operations", "Leeds", "DE")
        assert calls == 3
        actors = await connection.fetch(
            "select distinct actor from sync.audit where action = 'field_changed'"
        )
        assert {"people", "derived"} <= {row["actor"] for row in actors}

        await connection.execute("select sync.begin_rebuild('user:test')")
        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):

            async def rebuilt() -> bool:
                return not await connection.fetchval("select count(*) from sync.rebuild") and await done()

            await until(rebuilt)
        assert await entities(connection) == before
        assert asked(sandbox) == calls
