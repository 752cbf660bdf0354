"""Two CRMs, a form, a provider and mail contradict each other, through the real services: both CRMs end alike."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.system.tenant import Tenant, event
from tests.system.world import World
from tests.unit.policy.two_crms import ENDS, POLICY, SAYINGS

from headwater.policy.loading import policy_digest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ORDERS: Final = ((0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0), (2, 5, 0, 4, 1, 3), (3, 1, 5, 2, 0, 4), (1, 4, 2, 5, 3, 0), (4, 0, 3, 1, 5, 2))  # fmt: skip
HUBSPOT: Final = {
    "company": "company", "phone": "phone", "jobtitle": "title", "message": "last_activity",
    "address": "street", "city": "city",
}  # fmt: skip
SALESFORCE: Final = {
    "Department": "company", "Phone": "phone", "Title": "title", "MailingStreet": "street", "MailingCity": "city",
    "AssistantName": "hubspot_lead_score", "Description": "last_activity",
}  # fmt: skip


def _email(person: int) -> str:
    return f"dana{person}@acme{person}.example"


def _phone(number: str, person: int) -> str:
    return f"{number[:-1]}{person}"


def _said(person: int, saying: int) -> Any:
    source, external_id, at_s, fields = SAYINGS[saying]
    told = {**fields, "email": _email(person), "first": "Dana", "last": "Lindqvist"}
    if "phone" in told:
        told["phone"] = _phone(str(told["phone"]), person)
    return event(source, "contact", f"{external_id}-{person}", at_s, **told)


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant in which six people were spoken of by the same six events, each person's in another order."""
    made = world.tenant()
    text = POLICY.replace("http://127.0.0.1:1/", f"{world.sandbox_url}/")
    for vendor in ("hubspot", "salesforce"):
        text = text.replace(f"/{vendor}\n", f"/{vendor}/{made.id}\n")
        text = text.replace(f"env:{vendor.upper()}", f"env:HEADWATER_SECRET_{made.id.upper()}")
    applied = event("headwater", "policy", made.id, document=text, digest=policy_digest(text))
    applied.request_id = f"policy:{policy_digest(text)}"
    made.record_one(applied)
    made.wait_until_settled(30)
    for round_number in range(len(SAYINGS)):
        told = [_said(person, order[round_number]) for person, order in enumerate(ORDERS)]
        assert {item.disposition for item in made.record(told)} == {1}
        made.wait_until_settled(30)
    return made


def _people(tenant: Tenant, vendor: str, kind: str, email: str, mark: str) -> dict[str, dict[str, Any]]:
    """Return e-mail address to the record that stands for it: those whose entity was merged away are marked."""
    records = [one["fields"] for one in tenant.records(vendor, kind).values()]
    standing = [fields for fields in records if not fields.get(mark)]
    found = {fields[email]: fields for fields in standing}
    assert len(found) == len(standing), "two records stand for one person"
    return found


@pytest.mark.parametrize(
    ("vendor", "kind", "email", "mark", "mapping"),
    [
        ("hubspot", "contacts", "email", "headwater_status", HUBSPOT),
        ("salesforce", "Contact", "Email", "Headwater_Status__c", SALESFORCE),
    ],
)
def test_every_order_ends_alike_in_both_crms(
    tenant: Tenant, vendor: str, kind: str, email: str, mark: str, mapping: dict[str, str]
) -> None:
    """Six people, one record each; every field is its owner's, whoever spoke last."""
    held = _people(tenant, vendor, kind, email, mark)
    assert set(held) == {_email(person) for person in range(len(ORDERS))}
    for person in range(len(ORDERS)):
        wanted: dict[str, Any] = {**ENDS, "phone": _phone(str(ENDS["phone"]), person)}
        shown = {field: str(held[_email(person)].get(crm)) for crm, field in mapping.items()}
        assert shown == {field: str(wanted[field]) for field in mapping.values()}, json.dumps(ORDERS[person])
