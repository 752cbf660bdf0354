"""A tenant to test with: its policy and short forms of events."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final

import msgspec

from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.domain.log import LogEvent, Position

TENANT: Final = "acme"
NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)

POLICY: Final = """
format: headwater/v1
version: "7"
systems:
  salesforce: {layer: record, owner: sales-ops, backup: platform, runbook: "https://runbooks/sf"}
  hubspot: {layer: record, owner: marketing-ops, backup: platform, runbook: "https://runbooks/hs"}
  site:
    layer: engagement
    owner: web
    backup: platform
    runbook: "https://runbooks/site"
    inbound:
      contact:
        fields: {email: email, first: first_name, last: last_name, title: title, company: account, plan: plan}
      account: {fields: {name: name, domain: domain}}
      lead: {fields: {email: email}}
  crm:
    layer: engagement
    owner: sales-ops
    backup: platform
    runbook: "https://runbooks/crm"
    inbound:
      contact: {fields: {email: email, first: first_name, last: last_name, title: title}}
  mail:
    layer: engagement
    owner: it
    backup: platform
    runbook: "https://runbooks/mail"
    participants: create
    inbound:
      activity: {fields: {subject: subject, people: people, at: start_time}}
objects:
  contact:
    granted: [crm, site, mail]
    require_any: [[email, last_name]]
    fields:
      email: {type: email, owners: [crm, site, mail], rule: source_priority, class: personal}
      first_name: {type: text, owners: [crm, site, mail], rule: most_recent}
      last_name: {type: text, owners: [crm, site, mail], rule: most_recent}
      title: {type: text, owners: [crm, site], rule: longest}
      plan: {type: picklist, allowed: [free, pro], owners: [site], rule: first}
      account: {type: reference, reference: account, owners: [site], rule: most_recent}
  account:
    granted: [site]
    fields:
      name: {type: text, owners: [site], rule: most_recent, required: true}
      domain: {type: text, owners: [site], rule: most_recent}
  lead:
    fields:
      email: {type: email, owners: [site], rule: most_recent}
  activity:
    fields:
      subject: {type: text, owners: [mail], rule: most_recent}
      people: {type: participants, owners: [mail], rule: most_recent}
      start_time: {type: datetime, owners: [mail], rule: most_recent}
connectors:
  salesforce:
    vendor: salesforce
    system: salesforce
    base_url: "http://127.0.0.1:1"
    credentials: "env:SF"
    owner: sales-ops
    backup: platform
    runbook: "https://runbooks/sf"
    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}
    objects:
      contact:
        - target: Contact
          external_id: Headwater_Id__c
          fields:
            Email: {field: email}
            FirstName: {field: first_name}
            LastName: {field: last_name, default: unknown}
            Title: {field: title, transform: upper}
          references: {AccountId: account}
          end_marks: {Headwater_State__c: state, Headwater_Winner__c: winner_entity_id}
      account:
        - target: Account
          external_id: Headwater_Id__c
          fields: {Name: {field: name}, Website: {field: domain}}
  hubspot:
    vendor: hubspot
    system: hubspot
    base_url: "http://127.0.0.1:1"
    credentials: "env:HS"
    owner: marketing-ops
    backup: platform
    runbook: "https://runbooks/hs"
    limits: {window: {calls: 100, window_s: 10}}
    objects:
      contact:
        - {target: contacts, external_id: headwater_id, when: {plan: [pro]}, fields: {email: {field: email}}}
  old:
    vendor: hubspot
    system: hubspot
    base_url: "http://127.0.0.1:1"
    credentials: "env:OLD"
    owner: marketing-ops
    backup: platform
    runbook: "https://runbooks/hs"
    enabled: false
    limits: {window: {calls: 1, window_s: 1}}
    objects:
      contact:
        - {target: contacts, external_id: headwater_id, fields: {email: {field: email}}}
"""


def policy() -> PolicyDocument:
    """Return the tenant's policy."""
    return load_policy(POLICY)


def moment(seconds: float) -> dt.datetime:
    """Return the moment *seconds* after noon."""
    return NOON + dt.timedelta(seconds=seconds)


def key(number: int) -> uuid.UUID:
    """Return the UUID of a small number."""
    return uuid.UUID(int=number)


def event(
    number: int,
    source: str = "site",
    object_name: str = "contact",
    external_id: str = "1",
    *,
    at_s: float | None = None,
    operation: int = 1,
    payload: bytes | None = None,
    **fields: Any,
) -> LogEvent:
    """Return event *number*, which happened *at_s* seconds after noon (by default *number*)."""
    happened = moment(float(number) if at_s is None else at_s)
    return LogEvent(
        tenant_id=TENANT,
        event_key=key(number),
        source=source,
        object=object_name,
        external_id=external_id,
        event_time=happened,
        record_time=happened,
        operation=operation,
        actor_id="",
        payload=msgspec.json.encode(fields) if payload is None else payload,
        trace=None,
        shard=0,
        position=Position(1, number),
    )
