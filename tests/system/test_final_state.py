"""What the CRMs hold in the end: the policy's mapping of what the entities are, no more and no less."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections import Counter
from typing import Any

import pytest
from tests.system.policies import policy_text
from tests.system.shared import SHARED
from tests.system.tenant import Tenant, event
from tests.system.world import World

from headwater.event.v1 import event_pb2
from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

VENDORS = ("hubspot", "salesforce")
DEALS = 60
POLICY: dict[str, Any] = json.loads(policy_text("http://127.0.0.1:1", "any", "ANY"))
KEYS = {"hubspot": "headwater_id", "salesforce": "Headwater_Id__c"}


def _rows(name: str) -> list[dict[str, str]]:
    with (SHARED / "data" / "crm_sales" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _events() -> list[event_pb2.Event]:
    accounts = [
        event("erp", "account", row["account"], name=row["account"], industry=row["sector"])
        for row in _rows("accounts.csv")
    ]
    deals = [
        event(
            "erp", "deal", row["opportunity_id"],
            name=row["opportunity_id"], stage=row["deal_stage"], account=row["account"],
        )
        for row in _rows("sales_pipeline.csv")[:DEALS]
    ]  # fmt: skip
    people = [
        event("erp", "contact", "p-1", email="edda@north.example", first_name="Edda", last_name="Norrland"),
        event(
            "shop", "contact", "p-2", 60, email="EDDA@north.example", title="Buyer", phone="+46 8 123 456 78"
        ),
        event("shop", "contact", "p-3", email="solo@north.example", first_name="Solo"),
    ]
    sender = {"role": "from", "address": "edda@north.example", "name": "Edda Norrland"}
    mail = {
        "kind": "email",
        "subject": "Offer",
        "occurred_time": "2026-01-05T10:00:00Z",
        "participants": [sender],
    }
    return [*deals, *accounts, *people, event("mail", "activity", "m-1", **mail)]


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant with accounts, deals that came before them, people and a mail, all settled."""
    made = world.tenant()
    assert {item.disposition for item in made.record(_events())} == {1}
    made.wait_until_settled(30)
    return made


def _held(tenant: Tenant, vendor: str) -> dict[str, dict[str, Any]]:
    """Entity id to the record that carries it, of all objects of a CRM."""
    kinds = [item["target"] for items in POLICY["connectors"][vendor]["objects"].values() for item in items]
    records = [one for kind in kinds for one in tenant.records(vendor, kind).values()]
    held = {one["fields"][KEYS[vendor]]: one for one in records}
    assert len(held) == len(records), "two records carry one entity"
    return held


def _shown(value: Any) -> Any:
    """Bring times of either notation to milliseconds, as HubSpot takes one form and shows another."""
    try:
        return int(dt.datetime.fromisoformat(str(value)).timestamp() * 1000)
    except ValueError:
        return value


def _mapped(vendor: str, entity: sync_pb2.GetEntityStateResponse) -> dict[str, Any]:
    """The CRM's fields as the policy maps the entity's values: written here anew, not by the product's code."""
    (target,) = POLICY["connectors"][vendor]["objects"][entity.object]
    values = {item.field: json.loads(item.value_json) for item in entity.fields}
    found: dict[str, Any] = {}
    for crm_field, rule in target["fields"].items():
        value = values.get(rule.get("field"))
        value = rule.get("default") if value is None else value
        found[crm_field] = value[:10] if rule.get("transform") == "iso_date" and value else value
    return found


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_field_is_what_the_policy_maps_the_entity_to(tenant: Tenant, vendor: str) -> None:
    """Field by field, every record equals the mapping of its entity's values."""
    held = _held(tenant, vendor)
    for entity_id, record in held.items():
        entity = tenant.entity(entity_id)
        mapped = _mapped(vendor, entity)
        shown = {name: record["fields"].get(name) for name in mapped}
        if entity.object == "activity":
            mapped, shown = ({key: _shown(value) for key, value in one.items()} for one in (mapped, shown))
        assert shown == mapped, entity_id


@pytest.mark.parametrize("vendor", VENDORS)
def test_there_is_one_record_per_entity_and_no_other(tenant: Tenant, vendor: str) -> None:
    """As many records as active entities; every delivery names the record that carries its entity."""
    status = tenant.status()
    entities = Counter({row.object: row.count for row in status.entities})
    assert entities == {"account": len(_rows("accounts.csv")), "deal": DEALS, "contact": 2, "activity": 1}
    held = _held(tenant, vendor)
    delivered = {item.entity_id: item.crm_id for item in tenant.deliveries() if item.connector == vendor}
    assert {entity_id: one["id"] for entity_id, one in held.items()} == delivered
    assert len(held) == entities.total()


def test_values_of_two_sources_meet_in_one_contact(tenant: Tenant) -> None:
    """The person known to two sources has the names of one and the title and phone of the other."""
    people = [one["fields"] for one in tenant.records("salesforce", "Contact").values()]
    (edda,) = [one for one in people if one["Email"] == "edda@north.example"]
    assert (edda["FirstName"], edda["LastName"]) == ("Edda", "Norrland")
    assert (edda["Title"], edda["Phone"]) == ("Buyer", "+46 8 123 456 78")


def test_a_deal_hangs_on_its_account_though_it_came_first(tenant: Tenant) -> None:
    """Every deal whose row names a known account refers to that account's record, in both CRMs."""
    accounts = {row["account"] for row in _rows("accounts.csv")}
    wanted = {
        row["opportunity_id"]: row["account"]
        for row in _rows("sales_pipeline.csv")[:DEALS]
        if row["account"] in accounts
    }
    assert wanted
    names = {one["id"]: one["fields"]["Name"] for one in tenant.records("salesforce", "Account").values()}
    deals = [one["fields"] for one in tenant.records("salesforce", "Opportunity").values()]
    assert {one["Name"]: names[one["AccountId"]] for one in deals if one.get("AccountId")} == wanted
    companies = {one["id"]: one["fields"]["name"] for one in tenant.records("hubspot", "companies").values()}
    linked = {
        one["fields"]["dealname"]: companies[link["to_id"]]
        for one in tenant.records("hubspot", "deals").values()
        for link in one["associations"]
        if link["to_object"] == "companies"
    }
    assert linked == wanted


def test_an_activity_hangs_on_its_participant(tenant: Tenant) -> None:
    """The mail refers to the sender's contact in both CRMs."""
    (mail,) = tenant.records("hubspot", "emails").values()
    contacts = tenant.records("hubspot", "contacts")
    linked = [link["to_id"] for link in mail["associations"] if link["to_object"] == "contacts"]
    assert [contacts[one]["fields"]["email"] for one in linked] == ["edda@north.example"]
    (task,) = tenant.records("salesforce", "Task").values()
    person = tenant.records("salesforce", "Contact")[task["fields"]["WhoId"]]
    assert person["fields"]["Email"] == "edda@north.example"


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_write_of_every_object_is_in_the_audit(tenant: Tenant, vendor: str) -> None:
    """Entity by entity, as many effective writes reached the CRM as the audit tells of."""
    arrived = Counter(
        line["external_id"] for line in tenant.arrivals(vendor) if line["effect"] in {"created", "updated"}
    )
    told = Counter(
        entry.entity_id
        for entry in tenant.audit()
        if entry.action == "delivered" and entry.connector == vendor
    )
    assert told == arrived
