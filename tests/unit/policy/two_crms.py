"""The example of two CRMs that share people: who owns what, and records that contradict each other."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.policy.survivorship import FieldFact, MemberRecord

NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
POLICY: Final = """
format: headwater/v1
version: "two CRMs"
systems:
  salesforce: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/sf, inbound: {contact: {fields: {
    email: email, first: first_name, last: last_name, company: company, phone: phone, phone_verified: phone_verified, street: street, city: city, title: title}}}}
  hubspot: {layer: record, owner: marketing ops, backup: rev ops, runbook: docs/hs, inbound: {contact: {fields: {
    email: email, first: first_name, last: last_name, company: company, score: hubspot_lead_score, title: title, phone: phone, street: street, city: city}}}}
  form: {layer: engagement, owner: web, backup: rev ops, runbook: docs/form, inbound: {contact: {fields: {
    email: email, first: first_name, last: last_name, phone: phone, title: title, company: company}}}}
  enrichment: {layer: intelligence, owner: rev ops, backup: web, runbook: docs/en, inbound: {contact: {fields: {
    email: email, first: first_name, last: last_name, title: title, company: company}}}}
  mail: {layer: engagement, owner: it, backup: rev ops, runbook: docs/mail, inbound: {contact: {fields: {
    email: email, first: first_name, last: last_name, last_activity: last_activity, title: title}}}}
objects:
  contact:
    granted: [form, mail]
    fields:
      email: {type: email, owners: [salesforce, hubspot, form, enrichment, mail], rule: source_priority,
        granted: [enrichment]}
      first_name: {type: text, owners: [salesforce, hubspot, form, mail], rule: longest}
      last_name: {type: text, owners: [salesforce, hubspot, form, mail], rule: most_complete}
      company: {type: text, owners: [salesforce, form], rule: source_priority}
      hubspot_lead_score: {type: integer, owners: [hubspot], rule: most_recent, custom: true, override: []}
      phone: {type: phone, owners: [form, salesforce, hubspot], rule: source_priority, locked_by: phone_verified}
      phone_verified: {type: boolean, owners: [salesforce], rule: most_recent}
      title: {type: text, owners: [enrichment, salesforce, hubspot], rule: most_recent, granted: [enrichment]}
      last_activity: {type: datetime, owners: [mail, form], rule: max}
      nickname: {type: text, rule: manual}
      street: {type: text}
      city: {type: text}
    groups:
      address: {fields: [street, city], owners: [salesforce, hubspot], rule: most_recent}
connectors:
  hubspot:
    vendor: hubspot
    system: hubspot
    base_url: http://127.0.0.1:1/hubspot
    credentials: env:HUBSPOT
    owner: marketing ops
    backup: rev ops
    runbook: docs/hubspot
    limits: {window: {calls: 1000, window_s: 10}}
    objects:
      contact: [{target: contacts, external_id: headwater_id,
        end_marks: {headwater_status: state}, fields: {email: {field: email}, company: {field: company}, phone: {field: phone},
        jobtitle: {field: title}, message: {field: last_activity},
        address: {field: street}, city: {field: city}}}]
  salesforce:
    vendor: salesforce
    system: salesforce
    base_url: http://127.0.0.1:1/salesforce
    credentials: env:SALESFORCE
    owner: sales ops
    backup: rev ops
    runbook: docs/salesforce
    limits: {window: {calls: 1000, window_s: 10}}
    objects:
      contact: [{target: Contact, external_id: Headwater_Id__c,
        end_marks: {Headwater_Status__c: state}, fields: {LastName: {field: last_name, default: Someone}, Email: {field: email},
        Department: {field: company}, Phone: {field: phone}, Title: {field: title},
        AssistantName: {field: hubspot_lead_score, transform: join}, Description: {field: last_activity},
        MailingStreet: {field: street}, MailingCity: {field: city}}}]
"""
SOURCES: Final = ("salesforce", "hubspot", "form", "enrichment", "mail", "stranger")
FIELDS: Final = (
    "email", "first_name", "last_name", "company", "hubspot_lead_score", "phone", "title", "last_activity", "nickname", "street", "city",
)  # fmt: skip
SAYINGS: Final[tuple[tuple[str, str, float, Mapping[str, Any]], ...]] = (
    ("salesforce", "003", 10, {
        "company": "Acme GmbH", "title": "Manager", "phone": "+49 30 1111111", "street": "Salzufer 1",
        "city": "Berlin",
    }),
    ("hubspot", "501", 20, {
        "company": "acme inc", "score": 85, "title": "CEO?", "phone": "+49 30 2222222", "street": "Main St 5",
        "city": "Springfield",
    }),
    ("form", "f-1", 30, {"company": "ACME", "phone": "+49 30 3333333"}),
    ("enrichment", "e-1", 40, {"company": "Acme Holding", "title": "VP Sales"}),
    ("mail", "m-1", 50, {"last_activity": "2026-03-01T11:59:00Z", "title": "Re: offer"}),
    ("salesforce", "003", 60, {"phone": "+49 30 9999999", "phone_verified": True}),
)  # fmt: skip
"""Six events about one person that contradict each other: source, record, seconds after noon, what it says."""
ENDS = {
    "email": "dana@acme.example",
    "first_name": "Dana",
    "last_name": "Lindqvist",
    "company": "Acme GmbH",
    "hubspot_lead_score": 85,
    "phone": "+49 30 9999999",
    "phone_verified": True,
    "title": "VP Sales",
    "last_activity": "2026-03-01T11:59:00Z",
    "street": "Main St 5",
    "city": "Springfield",
}
"""Each field is its owner's, the verified number stands, the address is one record's."""


def two_crms() -> PolicyDocument:
    """Return the example's policy."""
    return load_policy(POLICY)


def record(
    source: str, external_id: str, *, deleted: bool = False, **facts: tuple[Any, float]
) -> MemberRecord:
    """Return a record with values and the seconds after noon at which they became true."""
    stated = {
        name: FieldFact(value, NOON + dt.timedelta(seconds=at_s), uuid.uuid5(uuid.UUID(int=0), f"{source}{name}{at_s}"))
        for name, (value, at_s) in facts.items()
    }  # fmt: skip
    return MemberRecord(source, external_id, stated, deleted)


_FACTS = st.dictionaries(
    st.sampled_from(FIELDS),
    st.tuples(st.one_of(st.none(), st.sampled_from(["a", "bb", "ccc"])), st.integers(0, 12)),
    max_size=5,
)
_FLAGS = st.one_of(st.none(), st.tuples(st.booleans(), st.integers(0, 12)))


def _records(
    rows: list[tuple[str, dict[str, tuple[str | None, int]], tuple[bool, int] | None, bool]],
) -> list[MemberRecord]:
    members = []
    for number, (source, facts, flag, deleted) in enumerate(rows):
        flags = (
            {"phone_verified": flag} if flag is not None and source in {"salesforce", OPERATOR_SOURCE} else {}
        )
        members.append(record(source, str(number), deleted=deleted, **facts, **flags))
    return members


def members_of(*sources: str) -> st.SearchStrategy[list[MemberRecord]]:
    """Records of *sources* with conflicting values at times that often tie."""
    row = st.tuples(st.sampled_from(sources), _FACTS, _FLAGS, st.sampled_from([False, False, False, True]))
    return st.lists(row, max_size=6).map(_records)
