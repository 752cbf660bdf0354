"""The policy that the fuzzed tenants have: every type of field, both answers to a violation, odd readings.

Owns the tenants' names too. Must not know how requests are made or sent.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.kernel.ids import ObjectName

TENANTS: Final = ("t0", "t1", "t2", "t3")
"""Tenants with `POLICY` in force for the whole run."""
POLICY_TENANT: Final = "t-policy"
"""The one tenant whose policy the run may change."""
LONE_TENANT: Final = "t-lone"
"""A tenant without a policy."""

SOURCES: Final = ("shop", "desk")
FIELDS: Final[dict[ObjectName, tuple[str, ...]]] = {
    "contact": (
        "email",
        "name",
        "phone",
        "born",
        "seen",
        "site",
        "vip",
        "age",
        "score",
        "nested.city",
        "tier",
    ),
    "lead": ("email", "token"),
    "account": ("name", "size", "since"),
    "deal": ("name", "amount", "stage", "account"),
    "activity": ("kind", "at", "people", "subject"),
}
"""The fields that `POLICY` reads, by object, in the words of source `shop`."""

POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  shop:
    layer: record
    owner: shop team
    backup: crm team
    runbook: docs/shop
    clock_skew_s: 60
    inbound:
      contact:
        fields:
          email: email
          name: full_name
          phone: phone
          born: {field: born, date_format: "%d-%m-%y"}
          seen: seen_at
          site: site
          vip: vip
          age: age
          score: score
          nested.city: city
          tier: {field: tier, values: {A: gold, B: silver}}
      lead: {fields: {email: email, token: token}}
      account: {fields: {name: name, size: size, since: since}}
      deal: {fields: {name: name, amount: amount, stage: stage, account: account}}
      activity: {fields: {kind: kind, at: occurred_at, people: participants, subject: subject}}
  desk:
    layer: record
    owner: desk team
    backup: crm team
    runbook: docs/desk
    clock_skew_s: 3600
    inbound:
      contact: {fields: {email: email, nested.city: city}}
objects:
  contact:
    fields:
      email: {type: email, owners: [shop, desk], rule: most_recent, class: personal}
      full_name: {type: text, owners: [shop], rule: longest, chars_max: 200}
      phone: {type: phone, owners: [shop], rule: first}
      born: {type: date, owners: [shop], rule: min}
      seen_at: {type: datetime, owners: [shop], rule: max}
      site: {type: url, owners: [shop], rule: most_recent}
      vip: {type: boolean, owners: [shop], rule: most_recent}
      age: {type: integer, owners: [shop], rule: max}
      score: {type: number, owners: [shop], rule: max}
      city: {type: text, owners: [shop, desk], rule: source_priority}
      tier: {type: picklist, owners: [shop], rule: most_recent, allowed: [gold, silver]}
  lead:
    on_violation: refuse
    fields:
      email: {type: email, owners: [shop], rule: most_recent, required: true}
      token: {type: integer, owners: [shop], rule: most_recent, class: secret}
  account:
    fields:
      name: {type: text, owners: [shop], rule: longest, required: true}
      size: {type: integer, owners: [shop], rule: max}
      since: {type: date, owners: [shop], rule: min}
    require_any: [[name, size], [since, size]]
  deal:
    fields:
      name: {type: text, owners: [shop], rule: longest}
      amount: {type: number, owners: [shop], rule: max}
      stage: {type: picklist, owners: [shop], rule: most_recent, allowed: [open, won, lost]}
      account: {type: reference, reference: account, owners: [shop], rule: most_recent}
  activity:
    fields:
      kind: {type: picklist, owners: [shop], rule: most_recent, allowed: [email, call, meeting]}
      occurred_at: {type: datetime, owners: [shop], rule: min}
      participants: {type: participants, owners: [shop], rule: union}
      subject: {type: text, owners: [shop], rule: first, chars_max: 32768}
"""

TIME_S: Final = 1_760_000_000
"""A moment in the past (October 2025) about which the event times lie."""


def policy_event(payload: bytes) -> event_pb2.Event:
    """Return the event that puts a policy in force; *payload* holds its text under `document`."""
    return event_pb2.Event(
        source="headwater",
        object="policy",
        external_id="policy",
        event_time=Timestamp(seconds=TIME_S),
        payload=payload,
    )
