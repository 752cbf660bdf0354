"""What `make bench-policy` measures with: one object under a bare policy and under all the language has, and its events.

Both policies have the same systems, fields, types and mappings, and the same events; they differ in who decides only.
"""

from __future__ import annotations

import copy
import datetime as dt
import random
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.log import LogEvent, Position
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import RecordReading, read_event

TENANT: Final = "bench"
NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SOURCES: Final = ("salesforce", "hubspot", "form", "enrichment")
LAYERS: Final = {"form": "engagement", "enrichment": "intelligence"}
TYPES: Final = {
    "email": "email", "first_name": "text", "last_name": "text", "phone": "phone", "phone_verified": "boolean",
    "title": "text", "company": "text", "hubspot_score": "integer", "last_activity": "datetime",
    "street": "text", "city": "text", "postal_code": "text", "country": "text", "website": "url",
}  # fmt: skip
_GRANTED: Final = {"granted": ["enrichment"]}
FULL: Final[dict[str, dict[str, Any]]] = {
    "email": {"rule": "source_priority"},
    "first_name": {"rule": "longest"},
    "last_name": {"rule": "most_complete"},
    "phone": {"rule": "most_recent", "locked_by": "phone_verified"},
    "phone_verified": {"rule": "most_recent"},
    "title": {"rule": "most_recent", "owners": ["enrichment", "salesforce", "hubspot", "form"], **_GRANTED},
    "company": {"rule": "source_priority"},
    "hubspot_score": {"rule": "most_recent", "owners": ["hubspot"], "custom": True, "override": []},
    "last_activity": {"rule": "max"},
    "website": {"rule": "first"},
}
"""Who decides under the full policy; the address is a group."""
GROUP: Final = ("street", "city", "postal_code", "country")
OWNERS: Final = ["salesforce", "hubspot", "form"]


def bare_policy() -> PolicyDocument:
    """Return a policy whose fields all go by rank."""
    fields = {
        name: {"type": kind, "owners": OWNERS, "rule": "source_priority"} for name, kind in TYPES.items()
    }
    return _document(fields, {})


def full_policy() -> PolicyDocument:
    """Return a policy with every kind of rule, a lock, a group and grants."""
    fields = {
        name: {"type": kind, **({} if name in GROUP else {"owners": OWNERS, **FULL[name]})}
        for name, kind in TYPES.items()
    }
    return _document(fields, {"address": {"fields": GROUP, "owners": OWNERS, "rule": "most_recent"}})


NORMALISED: Final[dict[str, dict[str, Any]]] = {
    "email": {"type": "email", "normalise": ["email", "plus_alias"], "refuse_personal_mail": True},
    "first_name": {"type": "text", "normalise": ["person_name"]},
    "last_name": {"type": "text", "normalise": ["person_name"]},
    "phone": {"type": "phone", "normalise": ["e164"], "country_field": "country", "default_country": "US"},
    "linkedin_url": {"type": "url", "normalise": ["web_address"]},
    "title": {"type": "text", "normalise": ["spaces"]},
    "company": {"type": "text", "normalise": ["company"]},
    "website": {"type": "url", "normalise": ["web_address"]},
    "city": {"type": "text", "normalise": ["person_name"]},
    "state": {"type": "text", "normalise": ["state_code"], "country_field": "country", "default_country": "US",
              "format": "state"},
    "postal_code": {"type": "text", "normalise": ["postal_code"], "country_field": "country", "default_country": "US",
                    "format": "postal"},
    "country": {"type": "text", "normalise": ["country_code"], "format": "country"},
    "industry": {"type": "picklist", "allowed": ["software", "finance", "retail"],
                 "aliases": {"IT": "software", "tech": "software", "banking": "finance"}},
    "revenue": {"type": "number", "normalise": ["amount"]},
    "born": {"type": "date", "normalise": ["date_month_first"]},
}  # fmt: skip
"""A contact whose every field has its rules."""


def normalising_policy(*, rules: bool = True) -> PolicyDocument:
    """Return a policy that normalises every field of a contact, and holds states and codes to their country.

    Args:
        rules: without them the same fields, types and consistency.
    """
    own = {"normalise", "aliases", "country_field", "default_country"}
    fields = {
        name: {"owners": ["crm"], "rule": "source_priority"}
        | {key: value for key, value in item.items() if rules or key not in own}
        for name, item in NORMALISED.items()
    }
    contact = {"fields": fields, "consistent": [["state", "country"], ["postal_code", "country"]]}
    people = {"owner": "a", "backup": "b", "runbook": "docs/c"}
    inbound = {"contact": {"fields": {name: name for name in NORMALISED}}}
    systems = {"crm": {"layer": "record", **people, "inbound": inbound}}
    return PolicyDocument.model_validate(
        {"format": "headwater/v1", "version": "1", "systems": systems, "objects": {"contact": contact}}
    )


def _document(fields: dict[str, Any], groups: dict[str, Any]) -> PolicyDocument:
    people = {"owner": "a", "backup": "b", "runbook": "docs/c"}
    inbound = {"contact": {"fields": {name: name for name in TYPES}}}
    systems = {
        name: {"layer": LAYERS.get(name, "record"), **people, "inbound": copy.deepcopy(inbound)}
        for name in SOURCES
    }
    contact = {"fields": fields, "groups": groups, "granted": ["form"]}
    return PolicyDocument.model_validate(
        {"format": "headwater/v1", "version": "1", "systems": systems, "objects": {"contact": contact}}
    )


def events(people: int, seed: int) -> list[LogEvent]:
    """Return three statements of each source about each of *people*, full records, in a mixed order."""
    chance = random.Random(seed)
    made = [
        _event(chance, person, source, number)
        for person in range(people)
        for number, source in enumerate(SOURCES * 3)
    ]
    chance.shuffle(made)
    return made


def _event(chance: random.Random, person: int, source: str, number: int) -> LogEvent:
    when = NOON + dt.timedelta(seconds=chance.randrange(100_000))
    mark = chance.randrange(1_000)
    body = {
        "email": f"p{person}@example.com", "first_name": f"First{mark}", "last_name": f"Last{person}",
        "phone": f"+49 30 {1_000_000 + mark}", "phone_verified": source == "salesforce" and mark < 300,
        "title": f"Title {mark}", "company": f"Company {mark}", "hubspot_score": mark,
        "last_activity": f"2026-03-01T10:{mark % 60:02}:00Z", "street": f"{mark} Street", "city": f"City {mark}",
        "postal_code": f"{10_000 + mark}", "country": "DE", "website": f"https://c{mark}.example.com",
    }  # fmt: skip
    key = uuid.UUID(int=chance.getrandbits(128))
    return LogEvent(
        TENANT, key, source, "contact", f"{person}", when, when, 1, "", msgspec.json.encode(body), None, 0,
        Position(1, number),
    )  # fmt: skip


def person_of(event: LogEvent) -> uuid.UUID:
    """Return the entity that a record belongs to: the four sources' records of one number are one person."""
    return uuid.UUID(int=int(event.external_id) + 1)


def project(workspace: Workspace, told: Sequence[LogEvent]) -> Workspace:
    """Read and apply events, as the projector does between its two transactions."""
    policy = workspace.policies[TENANT]
    for event in told:
        reading = read_event(policy, event)
        assert isinstance(reading, RecordReading)
        workspace.apply_record(reading, {reading.subject.key: person_of(event)})
    return workspace
