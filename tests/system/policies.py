"""The policy of a system test's tenant: every canonical object, both vendors, short pauses. Plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "system-1"
CONTACT_FIELDS: Final = ("email", "first_name", "last_name", "phone", "title")
_PEOPLE: Final = {"owner": "Revenue operations", "backup": "Data platform", "runbook": "docs/runbook.md"}
RETRY: Final[Mapping[str, Any]] = {
    "fast_s": [0.05, 0.1, 0.2],
    "slow_s": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    "in_doubt_s": 0.1,
}
BREAKER: Final[Mapping[str, Any]] = {"failures": 5, "hold_s": 1}


def policy_text(
    sandbox_url: str,
    account: str,
    secret: str,
    *,
    retry: Mapping[str, Any] = RETRY,
    breaker: Mapping[str, Any] = BREAKER,
    timeout_s: float = 5.0,
    merge: str = "link-only",
    approval: Mapping[str, Any] | None = None,
) -> str:
    """Return the document of a tenant whose CRMs are the sandbox's accounts of one name.

    Args:
        secret: variable that holds the credentials of both accounts.
        timeout_s: of one call to a CRM.
        merge: what follows in the CRMs when contacts merge.
        approval: writes that wait for a person; None: none.
    """
    document = {
        "format": "headwater/v1",
        "version": VERSION,
        "systems": _systems(),
        "objects": _objects(),
        "connectors": {
            vendor: {
                **_PEOPLE,
                "vendor": vendor,
                "system": vendor,
                "base_url": f"{sandbox_url}/{vendor}/{account}",
                "credentials": f"env:{secret}",
                "timeout_s": timeout_s,
                **outbound,
                "objects": {
                    **outbound["objects"],
                    "contact": [{**one, "merge": merge} for one in outbound["objects"]["contact"]],
                },
            }
            for vendor, outbound in _OUTBOUND.items()
        },
        "retry": retry,
        "breaker": breaker,
        **({"approval": approval} if approval else {}),
    }
    return json.dumps(document, indent=1)


def _systems() -> dict[str, Any]:
    contact = {"contact": {"fields": {name: name for name in CONTACT_FIELDS}}}
    erp = {
        "account": {"fields": {"name": "name", "industry": "industry"}},
        "deal": {"fields": {"name": "name", "stage": "stage", "account": "account"}},
    }
    activity = {"fields": {name: name for name in ("kind", "subject", "occurred_time", "participants")}}
    record = {**_PEOPLE, "layer": "record"}
    return {
        "erp": {**record, "inbound": {**erp, **contact}},
        "shop": {**_PEOPLE, "layer": "record", "inbound": contact},
        "mail": {
            **_PEOPLE, "layer": "engagement", "participants": "create", "inbound": {"activity": activity},
        },
        "hubspot": record,
        "salesforce": record,
    }  # fmt: skip


def _objects() -> dict[str, Any]:
    def owned(kind: str, *owners: str, rule: str = "most_recent", **more: Any) -> dict[str, Any]:
        return {"type": kind, "owners": list(owners), "rule": rule, **more}

    people = ("erp", "shop", "mail")
    return {
        "account": {
            "fields": {"name": owned("text", "erp", required=True), "industry": owned("text", "erp")}
        },
        "deal": {
            "fields": {
                "name": owned("text", "erp", required=True),
                "stage": owned("text", "erp"),
                "account": owned("reference", "erp", reference="account"),
            }
        },
        "contact": {
            "fields": {
                "email": owned("email", *people, rule="source_priority", **{"class": "personal"}),
                "first_name": owned("text", *people, rule="source_priority", **{"class": "personal"}),
                "last_name": owned("text", *people, rule="source_priority", **{"class": "personal"}),
                "phone": owned("phone", "erp", "shop", **{"class": "personal"}),
                "title": owned("text", "erp", "shop"),
            },
            "require_any": [["email", "phone"]],
            "granted": ["mail"],
        },
        "activity": {
            "fields": {
                "kind": owned("text", "mail"),
                "subject": owned("text", "mail", **{"class": "personal"}),
                "occurred_time": owned("datetime", "mail"),
                "participants": owned("participants", "mail"),
            }
        },
    }


def _target(name: str, external_id: str, fields: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
    shaped = {key: {"field": value} if isinstance(value, str) else value for key, value in fields.items()}
    return [{"target": name, "external_id": external_id, "fields": shaped, **more}]


_OUTBOUND: Final[Mapping[str, Mapping[str, Any]]] = {
    "hubspot": {
        "limits": {"window": {"calls": 1000, "window_s": 10}, "daily_calls": 250_000, "batch_records": 100},
        "objects": {
            "contact": _target(
                "contacts",
                "headwater_id",
                {"email": "email", "firstname": "first_name", "lastname": "last_name", "phone": "phone",
                 "jobtitle": "title"},
                end_marks={"headwater_status": "state", "headwater_merged_into": "winner_entity_id"},
            ),
            "account": _target("companies", "headwater_id", {"name": "name"}),
            "deal": _target("deals", "headwater_id", {"dealname": "name"}, references={"companies": "account"}),
            "activity": _target(
                "emails",
                "headwater_id",
                {"hs_timestamp": {"field": "occurred_time", "transform": "epoch_ms"},
                 "hs_email_subject": "subject", "hs_email_direction": {"default": "EMAIL"}},
                references={"contacts": "participants"},
            ),
        },
    },
    "salesforce": {
        "limits": {"window": {"calls": 1000, "window_s": 10}, "daily_calls": 100_000, "batch_records": 200},
        "objects": {
            "contact": _target(
                "Contact",
                "Headwater_Id__c",
                {"Email": "email", "FirstName": "first_name",
                 "LastName": {"field": "last_name", "default": "Unknown"}, "Phone": "phone", "Title": "title"},
                end_marks={"Headwater_Status__c": "state"},
            ),
            "account": _target("Account", "Headwater_Id__c", {"Name": "name", "Industry": "industry"}),
            "deal": _target(
                "Opportunity",
                "Headwater_Id__c",
                {"Name": "name", "StageName": {"field": "stage", "default": "Prospecting"},
                 "CloseDate": {"default": "2026-12-31"}},
                references={"AccountId": "account"},
            ),
            "activity": _target(
                "Task",
                "Headwater_Id__c",
                {"Subject": "subject", "ActivityDate": {"field": "occurred_time", "transform": "iso_date"}},
                references={"WhoId": "participants"},
            ),
        },
    },
}  # fmt: skip
