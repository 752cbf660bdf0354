"""Reads what a run has left in the database and in the CRMs."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.system.chaos.facts import VERSION_FIELDS
from tests.system.chaos.history import Arrival, Audit, CrmRecord, Delivery, History, Logged, Projection
from tests.system.chaos.journal import Place
from tests.system.chaos.stack import Stack
from tests.system.tenant import Tenant

from headwater.policy.loading import load_policy
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.rows import plain_values

LOG: Final = """
select request_id, event_key::text, source, object, external_id, payload,
    (extract(epoch from event_time) * 1000000)::bigint as event_time_us
from ingest.event where tenant_id = $1 and disposition = 1"""
PROJECTIONS: Final = "select event_key::text, rule, poisoned, error from sync.projection where tenant_id = $1"
DELIVERIES: Final = """
select connector, object, entity_id::text, state, delivered_version, crm_object, crm_id,
    exists (
        select from sync.inflight as slot
        where
            slot.tenant_id = held.tenant_id and slot.connector = held.connector
            and held.entity_id = any(slot.entity_ids)
    ) as inflight, last_error
from sync.delivery as held where tenant_id = $1"""
AUDIT: Final = """
select audit_id, entity_id::text, connector, changes::text from sync.audit
where tenant_id = $1 and entity_id is not null"""
ENTITIES: Final = (
    "select entity_id::text, version, fields::text from sync.entity where tenant_id = $1 and version > 0"
)
RECORDS: Final = "select source, object, external_id, entity_id::text from sync.record where tenant_id = $1"
REFERENCES: Final = """
select from_entity_id::text, field, to_entity_id::text from sync.entity_reference where tenant_id = $1"""
LEASES: Final = """
select lease.name, lease.holder from sync.lease as lease
left join sync.process as process on process.holder = lease.holder
where lease.expire_time > clock_timestamp() and coalesce(process.expire_time > clock_timestamp(), true)"""
POLICY: Final = """
select payload from ingest.event where tenant_id = $1 and object = 'policy' order by xid desc, seq desc limit 1"""
UNSENT: Final = "select count(*) from identity.change where tenant_id = $1 and sent_time is null"
VENDORS: Final = ("hubspot", "salesforce")


def observe(stack: Stack, tenant: Tenant) -> History:
    """Read everything."""
    world = stack.world

    def rows(sql: str) -> list[Any]:
        return list(world.fetch(sql, tenant.id))

    log = rows(LOG)
    targets = _targets(rows(POLICY)[0]["payload"])
    pid = world.children["sync"].pid
    leases = {row["name"]: row["holder"] for row in world.fetch(LEASES)}
    references: dict[tuple[str, str], list[str]] = {}
    for row in rows(REFERENCES):
        references.setdefault((row["from_entity_id"], row["field"]), []).append(row["to_entity_id"])
    entities = rows(ENTITIES)
    return History(
        log=[_logged(row) for row in log if row["source"] != "headwater"],
        own_events=frozenset(row["event_key"] for row in log if row["source"] == "headwater"),
        projections=[Projection(**dict(row)) for row in rows(PROJECTIONS)],
        deliveries=[Delivery(**dict(row)) for row in rows(DELIVERIES)],
        audit=[_audit(row) for row in rows(AUDIT)],
        arrivals=[_arrival(line) for vendor in VENDORS for line in tenant.arrivals(vendor)],
        records=[
            item
            for vendor in VENDORS
            for target in targets[vendor].values()
            for item in _records(tenant, vendor, target)
        ],
        entities_of={
            Place(row["source"], row["object"], row["external_id"]): row["entity_id"] for row in rows(RECORDS)
        },
        versions={row["entity_id"]: row["version"] for row in entities},
        values={row["entity_id"]: plain_values(json.loads(row["fields"])) for row in entities},
        references=references,
        targets=targets,
        version_fields=VERSION_FIELDS,
        leases=leases,
        holders_alive=frozenset(holder for holder in leases.values() if holder.split(":")[1] == str(pid)),
        changes_unsent=rows(UNSENT)[0][0],
    )


def _targets(payload: bytes) -> dict[str, dict[str, OutboundObject]]:
    document = load_policy(json.loads(payload)["document"])
    return {
        name: {kind: items[0] for kind, items in connector.objects.items()}
        for name, connector in document.connectors.items()
    }


def _logged(row: Any) -> Logged:
    place = Place(row["source"], row["object"], row["external_id"])
    return Logged(row["request_id"], row["event_key"], place, row["event_time_us"], row["payload"])


def _audit(row: Any) -> Audit:
    after = {change["field"]: change["after"] for change in json.loads(row["changes"]) if change.get("field")}
    return Audit(row["audit_id"], row["entity_id"], row["connector"], after)


def _arrival(line: dict[str, Any]) -> Arrival:
    return Arrival(
        line["sequence"],
        line["vendor"],
        line["object"],
        line["external_id"] or "",
        line["record_id"] or "",
        line["effect"],
        line["changes"] or {},
    )


def _records(tenant: Tenant, vendor: str, target: OutboundObject) -> list[CrmRecord]:
    found: list[CrmRecord] = []
    for record_id, record in tenant.records(vendor, target.target).items():
        links: dict[str, set[str]] = {}
        for link in record["associations"]:
            links.setdefault(link["to_object"], set()).add(link["to_id"])
        external_id = str(record["fields"].get(target.external_id) or "")
        found.append(CrmRecord(vendor, target.target, record_id, external_id, record["fields"], links))
    return found
