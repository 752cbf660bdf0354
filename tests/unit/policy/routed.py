"""A policy that gives leads to people: two pools, a fallback, a fast lane, SLAs."""

from __future__ import annotations

from typing import Final

ROUTED: Final = """\
format: headwater/v1
version: "1"
systems:
  crm: {layer: record, owner: sales ops, backup: rev ops, runbook: docs/crm, inbound: {contact: {fields: {Owner: owner, Email: email}}}}
  form: {layer: engagement, owner: web, backup: it, runbook: docs/form, inbound: {contact: {fields: {
    email: email, country: country, state: state, zip: postal, product: product, channel: channel, amount: amount,
    stage: stage, opt_out: opt_out}}}}
  mail: {layer: engagement, owner: it, backup: web, runbook: docs/mail, inbound: {activity: {fields: {
    direction: direction, at: occurred_time, people: people}}}}
objects:
  contact:
    granted: [form]
    fields:
      email: {type: email, owners: [form, crm], rule: most_recent}
      owner: {type: text, owners: [crm, routing], rule: source_priority}
      country: {type: text, owners: [form], rule: most_recent}
      state: {type: text, owners: [form], rule: most_recent}
      postal: {type: text, owners: [form], rule: most_recent}
      product: {type: text, owners: [form], rule: most_recent}
      channel: {type: text, owners: [form], rule: most_recent}
      amount: {type: number, owners: [form], rule: most_recent}
      stage: {type: text, owners: [form], rule: most_recent}
      opt_out: {type: boolean, owners: [form], rule: most_recent}
  activity:
    fields:
      direction: {type: text, owners: [mail], rule: most_recent}
      occurred_time: {type: datetime, owners: [mail], rule: most_recent}
      people: {type: participants, owners: [mail], rule: most_recent}
routing:
  objects:
    contact: {owner: owner, country: country, state: state, postal: postal, product: product, channel: channel,
      amount: amount, done: {stage: [won]}}
  hours:
    office: {zone: Europe/Berlin, days: {mon: ["09:00-12:00", "13:00-17:00"], tue: ["09:00-17:00"],
      wed: ["09:00-17:00"], thu: ["09:00-17:00"], fri: ["09:00-15:00"]}, holidays: [2026-12-25]}
  people:
    ann: {role: ae, accounts: {hubspot: "71"}, capacity: 40, hours: office}
    bea: {role: ae, accounts: {hubspot: "72"}, capacity: 40, hours: office,
      out: [{from: 2026-03-09, until: 2026-03-13, cover: ann}]}
    cid: {role: sdr, accounts: {hubspot: "73"}, capacity: 40}
    dag: {role: sdr, accounts: {hubspot: "74"}}
  pools:
    dach: {members: [ann, bea], overflow: world}
    world: {members: [cid, dag]}
  territories:
    dach: {countries: [DE, AT, Switzerland]}
    west: {states: {US: [CA, Oregon]}, postal: {GB: [SW1, 10-19]}}
  fast_lane:
    - {name: demo_form, when: {channel: [demo form, paid search]}}
  suppress:
    - {name: opted_out, when: {fields: {opt_out: ["true"]}}}
    - {name: lost, when: {fields: {stage: [lost]}}}
  rules:
    - {name: big, when: {amount_min: 100000}, person: ann}
    - {name: dach, when: {territory: [dach]}, pool: dach}
    - {name: west, when: {territory: [west], product: [Pro]}, pool: world}
    - {name: partners, when: {expr: 'value.email.endsWith("@partner.example.com")'}, pool: dach}
  fallback: world
  reassign: {inactivity_s: 7200}
sla:
  touch: {direction: [outgoing]}
  message: {direction: [incoming]}
  hours: office
  targets:
    - {name: fast, lane: [fast], assignment_s: 60, first_touch_s: 900, first_reply_s: 3600, escalate_to: dag}
    - {name: usual, assignment_s: 600, first_touch_s: 14400, first_reply_s: 14400, escalate_to: dag}
connectors:
  hubspot:
    vendor: hubspot
    system: crm
    base_url: ${url}/hubspot/acme
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales ops
    backup: rev ops
    runbook: docs/crm
    limits: {window: {calls: 100, window_s: 1}, batch_records: 100}
    objects:
      contact: [{target: contacts, external_id: headwater_id, fields: {email: {field: email},
        hubspot_owner_id: {field: owner}}}]
"""
"""`${url}` stands for where the CRM is."""
