"""What a record is called decides nothing: the same things said in a tenant of another name end in the same entities.

A record's id is a hash of its tenant and its name, so another tenant is another order of ids.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Final

import pytest
from tests.unit.identity.ground import Ground

from headwater.identity.domain.identifying import identify
from headwater.identity.domain.records import RecordRef, record_id_of
from headwater.identity.domain.resolving.values import Incoming
from headwater.kernel.ids import EventKey, TenantId

SAID: Final = (
    ("salesforce", {"company": "Acme GmbH", "title": "Manager", "street": "Salzufer 1", "city": "Berlin"}),
    ("hubspot", {"company": "acme inc", "title": "CEO?", "street": "Main St 5", "city": "Springfield"}),
    ("form", {"company": "ACME"}),
    ("enrichment", {"company": "Acme Holding", "title": "VP Sales"}),
    ("mail", {"title": "Re: offer"}),
)
"""What five systems say of each person; they contradict each other, and agree on the next person's."""
NUMBERS: Final = {"salesforce": "+49 30 111111", "hubspot": "+49 30 222222", "form": "+49 30 333333"}
PEOPLE: Final = (
    ("Dana", "Lindqvist"), ("Omar", "Castellanos"), ("Ingrid", "Baumann"), ("Kwame", "Asante"), ("Priya", "Raghunathan"), ("Tomas", "Hrubesch"),
)  # fmt: skip
ORDERS: Final = (
    (0, 1, 2, 3, 4),
    (4, 3, 2, 1, 0),
    (2, 0, 4, 1, 3),
    (3, 1, 2, 0, 4),
    (1, 4, 2, 3, 0),
    (4, 0, 3, 1, 2),
)
TENANTS: Final = 60


def _said(tenant: str, person: int, saying: int, name: tuple[str, str]) -> Incoming:
    source, attributes = SAID[saying]
    mailbox = {"email": f"dana{person}@acme{person}.example", "first_name": name[0], "last_name": name[1]}
    number = {"phone": f"{NUMBERS[source]}{person}"} if source in NUMBERS else {}
    ref = RecordRef(source, "contact", f"{source}-{person}")
    told = identify("contact", {**attributes, **mailbox, **number})
    return Incoming(
        record_id_of(TenantId(tenant), ref), ref, EventKey(uuid.UUID(int=1)), told, match_only=False
    )


@pytest.mark.parametrize("names", [PEOPLE, (PEOPLE[0],) * len(PEOPLE)], ids=["six names", "one name"])
def test_a_mailbox_is_one_entity_in_every_tenant(names: tuple[tuple[str, str], ...]) -> None:
    """Six people alike in all but mailbox and last digit; each system's word of each comes in another order."""
    for number in range(TENANTS):
        ground = Ground()
        for turn in range(len(SAID)):
            ground.resolve(
                *[_said(f"t{number}", one, order[turn], names[one]) for one, order in enumerate(ORDERS)]
            )
        entities = defaultdict(set)
        for member in ground.members.values():
            entities[member.ref.external_id.rpartition("-")[2]].add(member.entity_id)
        assert {person: len(found) for person, found in entities.items()} == dict.fromkeys("012345", 1), (
            f"t{number}"
        )
