"""HubSpot's records by id: one batch read, and one look for each that is not there among the archived. Builds and reads.

Source: HubSpot CRM objects guide (batch read, `archived`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import Polled, Seen, read_moment
from headwater.connectors.hubspot.polling import modify_property, seen_of

_OBJECTS: Final = "/crm/v3/objects"


def read_request(polled: Polled, crm_ids: Sequence[str]) -> Request:
    """Return the read of records that are not archived."""
    body = {
        "properties": [*polled.fields, modify_property(polled.crm_object)],
        "propertiesWithHistory": [],
        "inputs": [{"id": crm_id} for crm_id in crm_ids],
    }
    path = f"{_OBJECTS}/{quote(polled.crm_object, safe='')}/batch/read"
    return Request("POST", path, f"{_OBJECTS}/{{objectType}}/batch/read", "read", body=body)


def archived_request(polled: Polled, crm_id: str) -> Request:
    """Return the look for one archived record."""
    path = f"{_OBJECTS}/{quote(polled.crm_object, safe='')}/{quote(crm_id, safe='')}"
    template = f"{_OBJECTS}/{{objectType}}/{{objectId}}"
    return Request("GET", path, template, "read", query={"archived": "true"})


def records_of(polled: Polled, body: Any, types: Mapping[str, str]) -> tuple[Seen, ...]:
    """Return the records of an answer to `read_request`."""
    results = [item for item in (body or {}).get("results") or () if isinstance(item, dict)]
    return tuple(seen_of(polled, item, types) for item in results)


def archived_of(body: Any) -> Seen:
    """Return the record of an answer to `archived_request`."""
    return Seen(str(body["id"]), read_moment(body.get("archivedAt")), {})
