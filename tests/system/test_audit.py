"""The audit: every change of a field and every write to a CRM, before and after, by whom and why; for ever."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from tests.system.policies import CONTACT_FIELDS, VERSION
from tests.system.tenant import Tenant, event
from tests.system.world import World

from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

CRM_FIELDS = {
    "hubspot": ("contacts", {"email", "firstname", "lastname", "phone", "jobtitle"}),
    "salesforce": ("Contact", {"Email", "FirstName", "LastName", "Phone", "Title"}),
}


@dataclass(frozen=True, slots=True)
class Story:
    """A contact that was created by one source, then changed by another, then by the first again."""

    tenant: Tenant
    entity_id: str
    event_keys: tuple[str, ...]
    entries: tuple[sync_pb2.AuditEntry, ...]
    """Of the contact, oldest first."""


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    """Three events of one person, each settled before the next."""
    tenant = world.tenant()
    keys = []
    for item in (
        event("erp", "contact", "c-1", 0, email="a@person.example", first_name="Ann", last_name="Ash"),
        event("shop", "contact", "s-1", 1, email="a@person.example", title="Clerk"),
        event("erp", "contact", "c-1", 2, email="a@person.example", first_name="Anne", title="Chief clerk"),
    ):
        keys.append(tenant.record_one(item).event_key)
        tenant.wait_until_settled()
    entity_id = tenant.entity_of(keys[0])
    entries = tuple(reversed(tenant.audit(entity_id=entity_id)))
    return Story(tenant, entity_id, tuple(keys), entries)


def _replay(entries: list[sync_pb2.AuditEntry], fields: set[str]) -> dict[str, Any]:
    """Apply changes in order; each must start from what the one before left."""
    values: dict[str, Any] = {}
    for entry in entries:
        for change in entry.changes:
            if change.field in fields:
                assert json.loads(change.before_json or "null") == values.get(change.field)
                values[change.field] = json.loads(change.after_json or "null")
    return values


def _writes(story: Story, vendor: str) -> list[sync_pb2.AuditEntry]:
    return [entry for entry in story.entries if entry.action == "delivered" and entry.connector == vendor]


def test_replaying_field_changes_gives_the_entity(story: Story) -> None:
    """From nothing, change by change, before and after, to the values that stand."""
    changes = [entry for entry in story.entries if not entry.connector]
    values = {item.field: json.loads(item.value_json) for item in story.tenant.entity(story.entity_id).fields}
    assert _replay(changes, set(CONTACT_FIELDS)) == values
    assert values["title"] == "Chief clerk"


@pytest.mark.parametrize("vendor", list(CRM_FIELDS))
def test_replaying_deliveries_gives_the_crms_record(story: Story, vendor: str) -> None:
    """The audit of writes alone tells what the CRM holds."""
    kind, fields = CRM_FIELDS[vendor]
    (record,) = story.tenant.records(vendor, kind).values()
    held = {name: value for name, value in record["fields"].items() if name in fields and value is not None}
    assert _replay(_writes(story, vendor), fields) == held


@pytest.mark.parametrize("vendor", list(CRM_FIELDS))
def test_every_write_that_reached_a_crm_has_its_entry(story: Story, vendor: str) -> None:
    """Arrivals and audit tell of the same writes with the same values, one for one."""
    _, fields = CRM_FIELDS[vendor]
    arrived = [
        {name: after for name, (_, after) in line["changes"].items() if name in fields}
        for line in story.tenant.arrivals(vendor)
        if line["effect"] in {"created", "updated"}
    ]
    told = [
        {change.field: json.loads(change.after_json) for change in entry.changes if change.field in fields}
        for entry in _writes(story, vendor)
    ]
    assert told == arrived
    assert len(told) == len(story.event_keys)


def test_every_entry_says_who_which_event_and_which_policy(story: Story) -> None:
    """Sources changed fields, sync wrote to CRMs, each for an event that is known, under the policy in force."""
    assert {entry.policy_version for entry in story.entries} == {VERSION}
    assert {entry.event_key for entry in story.entries} == set(story.event_keys)
    assert {entry.actor for entry in story.entries if entry.connector} == {"sync"}
    by_event = {entry.event_key: entry.actor for entry in story.entries if not entry.connector}
    assert by_event == dict(zip(story.event_keys, ("erp", "shop", "erp"), strict=True))
    assert all(change.rule for entry in story.entries for change in entry.changes)


@pytest.mark.parametrize(
    "statement",
    ["update sync.audit set actor = 'nobody'", "delete from sync.audit", "truncate sync.audit"],
)
def test_audit_rows_cannot_be_changed(story: Story, statement: str) -> None:
    """The database refuses to update, delete or empty the audit, and keeps every row."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        story.tenant.world.fetch(statement)
    assert tuple(reversed(story.tenant.audit(entity_id=story.entity_id))) == story.entries
