"""Who is sent to BottleCRM, and what it must hold in the end: worked out here, without the product. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.policy.loading import policy_digest

TENANT: Final = "bench"
CRM: Final = "bottlecrm"
SECRET: Final = "HEADWATER_SECRET_BOTTLECRM"
EPOCH: Final = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
CONTACT_COLUMNS: Final = ("email", "first_name", "last_name", "phone", "title")
STRIDE: Final = 7
"""Prime, so that steps of it meet everybody once."""
DEAL_COLUMNS: Final = ("name", "amount", "currency", "closed_on")
_PEOPLE: Final = {"owner": "Revenue operations", "backup": "Data platform", "runbook": "docs/runbook.md"}


def policy(base_url: str) -> event_pb2.Event:
    """Return the event that puts the policy in force: two systems state people, BottleCRM is written to and read."""
    contact = {"contact": {"fields": {name: name for name in CONTACT_COLUMNS}}}
    deal = {"deal": {"fields": {name: name for name in ("name", "amount", "currency", "closes", "contact")}}}
    record = {**_PEOPLE, "layer": "record"}
    owners = ["erp", "shop", CRM]
    personal = {"owners": owners, "rule": "source_priority", "class": "personal"}
    erp = {"owners": ["erp"], "rule": "most_recent"}
    document = json.dumps(
        {
            "format": "headwater/v1",
            "version": "realcrm-1",
            "systems": {
                "erp": {**record, "inbound": {**contact, **deal}},
                "shop": {**record, "inbound": contact},
                CRM: {**record, "echo_skew_s": 0, "inbound": contact},
            },
            "objects": {
                "contact": {
                    "fields": {
                        "email": {"type": "email", **personal},
                        "first_name": {"type": "text", **personal},
                        "last_name": {"type": "text", **personal},
                        "phone": {
                            "type": "phone",
                            "normalise": ["e164"],
                            "default_country": "DE",
                            **personal,
                        },
                        "title": {"type": "text", "owners": [CRM, "erp", "shop"], "rule": "source_priority"},
                    }
                },
                "deal": {
                    "fields": {
                        "name": {"type": "text", **erp, "required": True},
                        "amount": {"type": "number", **erp},
                        "currency": {"type": "text", **erp},
                        "closes": {"type": "date", **erp},
                        "contact": {"type": "reference", "reference": "contact", **erp},
                    }
                },
            },
            "connectors": {
                CRM: {
                    **_PEOPLE,
                    "vendor": "bottlecrm",
                    "system": CRM,
                    "base_url": base_url,
                    "credentials": f"env:{SECRET}",
                    "timeout_s": 30,
                    "limits": {
                        "window": {"calls": 200, "window_s": 1},
                        "batch_records": 20,
                        "concurrency": 4,
                    },
                    "poll": {"every_s": 86_400, "overlap_s": 5},
                    "objects": {
                        "contact": [
                            {
                                "target": "contacts",
                                "external_id": "headwater_id",
                                "direction": "two_way",
                                "conflict": "policy",
                                "fields": {name: {"field": name} for name in CONTACT_COLUMNS},
                            }
                        ],
                        "deal": [
                            {
                                "target": "opportunities",
                                "external_id": "headwater_id",
                                "fields": {
                                    "name": {"field": "name"},
                                    "amount": {"field": "amount"},
                                    "currency": {"field": "currency"},
                                    "closed_on": {"field": "closes"},
                                },
                                "references": {"contacts": "contact"},
                            }
                        ],
                    },
                }
            },
            "retry": {"fast_s": [0.5, 1, 2], "slow_s": [3] * 60, "in_doubt_s": 0.5},
            "breaker": {"failures": 5, "hold_s": 1, "hold_s_max": 2},
        }
    )
    digest = policy_digest(document)
    body = json.dumps({"document": document, "digest": digest}).encode()
    return event_pb2.Event(
        source="headwater", object="policy", external_id=TENANT, event_time=_moment(0),
        request_id=f"policy:{digest}", payload=body,
    )  # fmt: skip


def contacts(count: int, duplicates: int) -> list[event_pb2.Event]:
    """Return *count* statements about people, *duplicates* of them about one that the ERP states too."""
    unique = count - duplicates
    first = [_event("erp", "contact", f"p-{n}", n, {**_stated(n), "email": _email(n)}) for n in range(unique)]
    again = [
        _event("shop", "contact", f"s-{n}", unique + n, _again(_doubled(n, unique)))
        for n in range(duplicates)
    ]
    every = max(1, unique // max(1, duplicates))
    mixed: list[event_pb2.Event] = []
    for number, one in enumerate(first):
        mixed.append(one)
        if number % every == every - 1 and again:
            mixed.append(again.pop(0))
    return mixed + again


def deals(count: int, unique: int) -> list[event_pb2.Event]:
    """Return *count* deals, each with one of *unique* people."""
    return [
        _event("erp", "deal", f"d-{n}", 10_000 + n, {**_deal(n), "contact": f"p-{n * STRIDE % unique}"})
        for n in range(count)
    ]


def expected_contacts(count: int, duplicates: int) -> dict[str, Mapping[str, Any]]:
    """Return by e-mail address what BottleCRM must hold: the ERP's word, and the shop's where the ERP is silent."""
    unique = count - duplicates
    titles = {_doubled(n, unique): f"Buyer {_doubled(n, unique)}" for n in range(duplicates)}
    return {
        _email(n): {
            **_stated(n),
            "email": _email(n),
            "phone": f"+4930{9_000_000 + n}",
            "title": titles.get(n),
        }
        for n in range(unique)
    }


def expected_deals(count: int, unique: int) -> dict[str, Mapping[str, Any]]:
    """Return by name what BottleCRM must hold, with the e-mail addresses of the people linked."""
    return {
        str(_deal(n)["name"]): {
            "name": _deal(n)["name"],
            "amount": _deal(n)["amount"],
            "currency": "EUR",
            "closed_on": _deal(n)["closes"],
            "people": [_email(n * STRIDE % unique)],
        }
        for n in range(count)
    }


def _doubled(number: int, unique: int) -> int:
    """Return whom the shop's record *number* is about: spread over all, and never one twice."""
    return number * STRIDE % unique if unique % STRIDE else number


def _email(number: int) -> str:
    return f"ana.lopez.{number}@northwind-{number % 97}.example"


def _stated(number: int) -> dict[str, Any]:
    return {"first_name": "Ana", "last_name": f"López {number}", "phone": f"+49 30 {9_000_000 + number}"}


def _again(number: int) -> dict[str, Any]:
    return {
        "email": _email(number).upper(),
        "first_name": "A.",
        "last_name": "L.",
        "title": f"Buyer {number}",
    }


def _deal(number: int) -> dict[str, Any]:
    closes = dt.date(2026, 3, 1) + dt.timedelta(days=number % 90)
    return {
        "name": f"Looms {number}",
        "amount": 1000 + number * 2.5,
        "currency": "EUR",
        "closes": closes.isoformat(),
    }


def _event(
    source: str, kind: str, external_id: str, after_s: float, payload: Mapping[str, Any]
) -> event_pb2.Event:
    body = json.dumps(payload).encode()
    return event_pb2.Event(
        source=source, object=kind, external_id=external_id, event_time=_moment(after_s), payload=body
    )


def _moment(after_s: float) -> Timestamp:
    when = Timestamp()
    when.FromDatetime(EPOCH + dt.timedelta(seconds=after_s))
    return when
