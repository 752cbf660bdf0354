"""How Salesforce's objects are made, and which versions of its API are served. Decides and builds.

Source: REST API Developer Guide (sObject Describe; Versions: `/services/data`).
"""

from __future__ import annotations

from typing import Any

from headwater.connectors.base.describing import ApiVersions, FieldShape
from headwater.connectors.base.http import Request
from headwater.connectors.salesforce.conditions import read_required


def versions_request() -> Request:
    """Return the call for the versions that are served."""
    return Request("GET", "/services/data", "/services/data", "read")


def schema_of(describe: Any) -> dict[str, FieldShape]:
    """Return the fields of a describe's answer."""
    fields = describe.get("fields") if isinstance(describe, dict) else ()
    required = set(read_required(describe))
    return {
        str(item.get("name")): FieldShape(
            str(item.get("type")),
            tuple(
                str(one.get("value"))
                for one in item.get("picklistValues") or ()
                if isinstance(one, dict) and one.get("active") is not False
            ),
            str(item.get("name")) in required,
            item.get("updateable") is True or item.get("createable") is True,
        )
        for item in fields or ()
        if isinstance(item, dict)
    }


def versions_of(body: Any, used: str) -> ApiVersions:
    """Return the versions of the answer to `versions_request`."""
    told = [str(item.get("version")) for item in body or () if isinstance(item, dict) and item.get("version")]
    return ApiVersions(used, tuple(f"v{one}" for one in sorted(told, key=float)))
