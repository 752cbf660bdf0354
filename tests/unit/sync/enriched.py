"""A tenant whose policy enriches contacts: by what needs no network, then by one provider, then by another."""

from __future__ import annotations

from typing import Final

POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  crm:
    layer: record
    owner: sales ops
    backup: rev ops
    runbook: docs/crm
    inbound:
      contact:
        fields: {email: email, phone: phone, last: last_name, title: title, country: country, zip: postal_code}
  derived:
    layer: intelligence
    owner: rev ops
    backup: it
    runbook: docs/derived
    inbound: {contact: {fields: {phone_country: country, phone_type: line_type, region: state, company_domain: domain}}}
  people:
    layer: intelligence
    owner: rev ops
    backup: it
    runbook: docs/people
    inbound: {contact: {fields: {title: title, city: city}}}
  other:
    layer: intelligence
    owner: rev ops
    backup: it
    runbook: docs/other
    inbound: {contact: {fields: {job: title, city: city}}}
objects:
  contact:
    require_any: [[email, phone]]
    fields:
      email: {type: email, owners: [crm], rule: source_priority, class: personal}
      phone: {type: phone, owners: [crm], rule: source_priority, class: personal}
      last_name: {type: text, owners: [crm], rule: source_priority, class: personal}
      title: {type: text, owners: [crm, people, other], rule: source_priority, granted: [people, other], chars_max: 40}
      city: {type: text, owners: [people, other], rule: source_priority, granted: [people, other]}
      country: {type: text, owners: [crm, derived], rule: source_priority, granted: [derived]}
      state: {type: text, owners: [derived], rule: source_priority, granted: [derived]}
      line_type: {type: text, owners: [derived], rule: source_priority, granted: [derived]}
      domain: {type: text, owners: [derived], rule: source_priority, granted: [derived]}
      postal_code: {type: text, owners: [crm], rule: source_priority}
      token: {type: text, owners: [crm], rule: source_priority, class: secret}
enrichment:
  providers:
    local: {kind: local, system: derived, inputs: [email, phone, country, postal_code]}
    people:
      kind: http
      system: people
      base_url: https://people.example.com
      credentials: env:PEOPLE
      inputs: [email]
      timeout_s: 1
      cost: 0.5
      budget_per_day: 1.0
      limits: {window: {calls: 1000, window_s: 1}}
      refresh_days: 90
    other:
      kind: http
      system: other
      base_url: https://other.example.com
      inputs: {mail: email, place: country}
      calls_per_day: 5
      limits: {window: {calls: 1000, window_s: 1}}
  retry_s: [60, 600]
  objects:
    contact:
      fields:
        country: [local]
        state: [local]
        line_type: [local]
        domain: {providers: [local], fill: always}
        title: [people, other]
        city: [people, other]
"""
