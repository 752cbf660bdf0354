"""Two CRMs, a form, a provider and mail contradict each other, through the real services: both CRMs end alike.

Every order of the six events of the example, a person each; and random histories, each told of two people in orders of
their own. All people are of one tenant and work at once.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final

import pytest
from tests.system.tenant import Tenant, event
from tests.system.world import World
from tests.unit.policy.two_crms import ENDS, POLICY, SAYINGS

from headwater.event.v1 import event_pb2
from headwater.policy.loading import policy_digest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ORDERS: Final = tuple(itertools.permutations(range(len(SAYINGS))))
HISTORIES: Final = 500
HUBSPOT: Final = {
    "company": "company", "phone": "phone", "jobtitle": "title", "message": "last_activity",
    "address": "street", "city": "city",
}  # fmt: skip
SALESFORCE: Final = {
    "Department": "company", "Phone": "phone", "Title": "title", "MailingStreet": "street", "MailingCity": "city",
    "AssistantName": "hubspot_lead_score", "Description": "last_activity",
}  # fmt: skip
CRMS: Final = (
    ("hubspot", "contacts", "email", "headwater_status", HUBSPOT),
    ("salesforce", "Contact", "Email", "Headwater_Status__c", SALESFORCE),
)
FIRST: Final = (
    "Dana",
    "Omar",
    "Ingrid",
    "Kwame",
    "Priya",
    "Tomas",
    "Yuki",
    "Brigid",
    "Lucia",
    "Piotr",
    "Ahmed",
    "Noor",
)
LAST: Final = (
    ("Lind", "Cast", "Bau", "Asan", "Ragh", "Hrub", "Wat", "Mull", "Ferr", "Kow", "Ost", "Vand"),
    (
        "qvist",
        "ellano",
        "mann",
        "tewaa",
        "unath",
        "esch",
        "anabe",
        "oney",
        "eiro",
        "alczyk",
        "ergard",
        "enberg",
    ),
)
"""Names enough for a person each: strangers of one name and one firm are another test's matter."""


class Person:
    """Someone of whom systems speak; nobody else has this mailbox, name or number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.email = f"person{number}@acme{number}.example"
        rest, first = divmod(number, len(FIRST))
        tail, head = divmod(rest, len(LAST[0]))
        self.first, self.last = FIRST[first], LAST[0][head] + LAST[1][tail]

    def phone(self, number: str) -> str:
        """Return the person's own form of a number."""
        return f"{number[:-4]}{self.number:04}"

    def said(self, source: str, external_id: str, at_s: float, fields: Mapping[str, Any]) -> event_pb2.Event:
        """Return what a source says of the person."""
        told = {**fields, "email": self.email, "first": self.first, "last": self.last}
        if told.get("phone"):
            told["phone"] = self.phone(str(told["phone"]))
        return event(source, "contact", f"{external_id}-{self.number}", at_s, **told)


ORDERED: Final = tuple(Person(number) for number in range(len(ORDERS)))
TWICE: Final = tuple(Person(len(ORDERS) + number) for number in range(2 * HISTORIES))
"""Two people of each history, side by side."""


def _value(field: str, chance: random.Random) -> Any:
    """Return what may stand in a field of the sources' own words; None takes a value back."""
    if field == "phone_verified":
        return chance.choice([True, False, None])
    if field == "score":
        return chance.choice([0, 7, 85, None])
    if field == "last_activity":
        return f"2026-03-0{chance.randrange(1, 9)}T10:00:00Z"
    if field == "phone":
        return chance.choice(["+49 30 1110000", "+1 212 555 0000", None])
    return chance.choice(["Acme", "Borealis", "Cumulus", None])


SPOKEN: Final = {
    "salesforce": ("company", "phone", "phone_verified", "street", "city", "title"),
    "hubspot": ("company", "score", "title", "phone", "street", "city"),
    "form": ("phone", "title", "company"),
    "enrichment": ("title", "company"),
    "mail": ("last_activity", "title"),
}


def history(seed: int) -> list[tuple[str, float, Mapping[str, Any]]]:
    """Return four to nine statements: source, seconds after noon, what it says."""
    chance = random.Random(seed)
    told: list[tuple[str, float, Mapping[str, Any]]] = []
    for number in range(chance.randrange(4, 10)):
        source = chance.choice(sorted(SPOKEN))
        paths = chance.sample(SPOKEN[source], chance.randrange(1, len(SPOKEN[source]) + 1))
        told.append(
            (source, chance.randrange(40) + number / 1000, {path: _value(path, chance) for path in paths})
        )
    return told


def _ordered() -> Iterator[list[event_pb2.Event]]:
    for person, order in zip(ORDERED, ORDERS, strict=True):
        yield [person.said(*SAYINGS[place]) for place in order]


def _twice() -> Iterator[list[event_pb2.Event]]:
    for person in TWICE:
        told = history(person.number // 2)
        for_one = [person.said(source, source, at_s, fields) for source, at_s, fields in told]
        random.Random(person.number).shuffle(for_one)
        yield for_one


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant in which everybody was spoken of: round after round, one event of each person."""
    made = world.tenant()
    text = POLICY.replace("http://127.0.0.1:1/", f"{world.sandbox_url}/")
    for vendor in ("hubspot", "salesforce"):
        text = text.replace(f"/{vendor}\n", f"/{vendor}/{made.id}\n")
        text = text.replace(f"env:{vendor.upper()}", f"env:HEADWATER_SECRET_{made.id.upper()}")
    applied = event("headwater", "policy", made.id, document=text, digest=policy_digest(text))
    applied.request_id = f"policy:{policy_digest(text)}"
    made.record_one(applied)
    made.wait_until_settled(30)
    for told in zip_longest(*_ordered(), *_twice()):
        assert {item.disposition for item in made.record([one for one in told if one is not None])} == {1}
    made.wait_until_settled(120)
    return made


def _people(tenant: Tenant, vendor: str, kind: str, email: str, mark: str) -> dict[str, dict[str, Any]]:
    """Return e-mail address to the record that stands for it: those whose entity was merged away are marked."""
    records = [one["fields"] for one in tenant.records(vendor, kind).values()]
    standing = [fields for fields in records if not fields.get(mark)]
    found = {fields[email]: fields for fields in standing}
    assert len(found) == len(standing), "two records stand for one person"
    return found


@pytest.mark.parametrize(("vendor", "kind", "email", "mark", "mapping"), CRMS)
def test_every_order_ends_alike_in_both_crms(
    tenant: Tenant, vendor: str, kind: str, email: str, mark: str, mapping: dict[str, str]
) -> None:
    """All 720, one record a person; every field is its owner's, whoever spoke last."""
    held = _people(tenant, vendor, kind, email, mark)
    assert set(held) == {person.email for person in (*ORDERED, *TWICE)}
    for person, order in zip(ORDERED, ORDERS, strict=True):
        wanted: dict[str, Any] = {**ENDS, "phone": person.phone(str(ENDS["phone"]))}
        shown = {field: str(held[person.email].get(crm)) for crm, field in mapping.items()}
        assert shown == {field: str(wanted[field]) for field in mapping.values()}, json.dumps(order)


@pytest.mark.parametrize(("vendor", "kind", "email", "mark", "mapping"), CRMS)
def test_random_histories_end_alike_in_both_crms(
    tenant: Tenant, vendor: str, kind: str, email: str, mark: str, mapping: dict[str, str]
) -> None:
    """Five hundred, each told of two people in two orders: but for whose they are, both records are the same."""
    held = _people(tenant, vendor, kind, email, mark)
    ends = set()
    for one, other in zip(TWICE[::2], TWICE[1::2], strict=True):
        shown = [_unnamed(held[person.email], person, mapping) for person in (one, other)]
        assert shown[0] == shown[1], f"history {one.number // 2}"
        ends.add(json.dumps(shown[0]))
    assert len(ends) > HISTORIES / 2


def _unnamed(fields: Mapping[str, Any], person: Person, mapping: Mapping[str, str]) -> list[str]:
    """Return the mapped fields, the person's number aside."""
    return [str(fields.get(crm)).removesuffix(f"{person.number:04}") for crm in mapping]
