"""What the benches of sync send and where to: contacts of one system, delivered to any number of accounts. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.policy.loading import policy_digest

Vendor = Literal["hubspot", "salesforce"]

TENANT: Final = "bench"
SOURCE: Final = "erp"
SECRET: Final = "HEADWATER_SECRET_BENCH"
MARK_FIELDS: Final[Mapping[Vendor, str]] = {"hubspot": "jobtitle", "salesforce": "Title"}
"""CRM field that carries an event's number: by it an arrival at the sandbox is told to be that event's."""
_PEOPLE: Final = {"owner": "Revenue operations", "backup": "Data platform", "runbook": "docs/runbook.md"}
_FIELDS: Final = ("email", "first_name", "last_name", "phone", "title")
_EPOCH: Final = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
_TARGETS: Final[Mapping[Vendor, Mapping[str, Any]]] = {
    "hubspot": {
        "target": "contacts",
        "external_id": "headwater_id",
        "fields": {"email": "email", "firstname": "first_name", "lastname": "last_name", "phone": "phone",
                   "jobtitle": "title"},
    },
    "salesforce": {
        "target": "Contact",
        "external_id": "Headwater_Id__c",
        "fields": {"Email": "email", "FirstName": "first_name", "LastName": "last_name", "Phone": "phone",
                   "Title": "title"},
    },
}  # fmt: skip
_BATCH_RECORDS: Final[Mapping[Vendor, int]] = {"hubspot": 100, "salesforce": 200}
"""What one call of the vendor takes."""


@dataclass(frozen=True, slots=True)
class AccountOf:
    """One connector account of the bench's tenant; its name is that of the sandbox's account too."""

    name: str
    vendor: Vendor


TWO: Final = (AccountOf("hubspot", "hubspot"), AccountOf("salesforce", "salesforce"))
EIGHT: Final = tuple(AccountOf(f"crm{number}", "hubspot") for number in range(8))


def policy(
    sandbox_url: str,
    accounts: Sequence[AccountOf],
    *,
    timeout_s: float = 15.0,
    hold_s: float = 1.0,
    in_vault: bool = False,
    imports: str = "",
) -> event_pb2.Event:
    """Return the event that puts the bench's policy in force: no allowance binds, so the engine is what is timed.

    Args:
        in_vault: the accounts' credentials are in the vault, under their names, instead of the environment.
        imports: another system that states contacts, in the backfill lane.
    """
    people = {**_PEOPLE}
    owners = [SOURCE, *([imports] if imports else [])]
    fields = {name: name for name in _FIELDS}
    document = json.dumps(
        {
            "format": "headwater/v1",
            "version": "bench-1",
            "systems": {
                SOURCE: {**people, "layer": "record", "inbound": {"contact": {"fields": fields}}},
                **{
                    name: {
                        **people,
                        "layer": "record",
                        "lane": "backfill",
                        "inbound": {"contact": {"fields": fields}},
                    }
                    for name in owners[1:]
                },
                **{one.name: {**people, "layer": "record"} for one in accounts},
            },
            "objects": {
                "contact": {
                    "fields": {
                        name: {
                            "owners": owners,
                            "rule": "most_recent",
                            "type": name if name in {"email", "phone"} else "text",
                        }
                        for name in _FIELDS
                    }
                }
            },
            "connectors": {
                one.name: _connector(one, sandbox_url, timeout_s, in_vault=in_vault) for one in accounts
            },
            "retry": {"fast_s": [0.5, 1, 2], "slow_s": [4] * 60, "in_doubt_s": 0.5},
            "breaker": {"failures": 5, "hold_s": hold_s, "hold_s_max": max(hold_s, 2.0)},
        }
    )
    digest = policy_digest(document)
    body = json.dumps({"document": document, "digest": digest}).encode()
    return event_pb2.Event(
        source="headwater", object="policy", external_id=TENANT, event_time=moment(0),
        request_id=f"policy:{digest}", payload=body,
    )  # fmt: skip


def _connector(one: AccountOf, sandbox_url: str, timeout_s: float, *, in_vault: bool) -> dict[str, Any]:
    target = _TARGETS[one.vendor]
    mapped = {name: {"field": source} for name, source in target["fields"].items()}
    return {
        **_PEOPLE,
        "vendor": one.vendor,
        "system": one.name,
        "base_url": f"{sandbox_url}/{one.vendor}/{one.name}",
        "credentials": f"vault:{one.name}" if in_vault else f"env:{SECRET}_{one.name.upper()}",
        "timeout_s": timeout_s,
        "limits": {
            "window": {"calls": 1000, "window_s": 1},
            "batch_records": _BATCH_RECORDS[one.vendor],
            "concurrency": 4,
        },
        "objects": {"contact": [{**target, "fields": mapped}]},
    }


def secrets(accounts: Sequence[AccountOf]) -> dict[str, str]:
    """Return the variables with the accounts' credentials."""
    parts = {"client_id": "headwater", "client_secret": "sandbox-secret"}
    return {
        f"{SECRET}_{one.name.upper()}": json.dumps({**parts, "refresh_token": f"sandbox-refresh-{one.name}"})
        for one in accounts
    }


def contact(record: int, number: int) -> event_pb2.Event:
    """Return event *number*, which states all of contact *record* and the event's number as its title."""
    body = {
        "email": f"ana.lopez.{record}@northwind-{record % 997}.example",
        "first_name": "Ana",
        "last_name": f"Lopez {record}",
        "phone": f"+49 30 {9_000_000 + record}",
        "title": mark(number),
    }
    return event_pb2.Event(
        source=SOURCE, object="contact", external_id=f"c-{record:08}", event_time=moment(number),
        operation=event_pb2.OPERATION_UPSERT, payload=json.dumps(body).encode(),
        actor=event_pb2.Actor(type=event_pb2.ACTOR_TYPE_SERVICE, id="erp-sync"),
    )  # fmt: skip


def mark(number: int) -> str:
    """Return the title by which event *number* is known at the CRM."""
    return f"n{number}"


def moment(number: int) -> Timestamp:
    """Return the event time of event *number*: a millisecond after that of the one before."""
    when = Timestamp()
    when.FromDatetime(_EPOCH + dt.timedelta(milliseconds=number))
    return when
