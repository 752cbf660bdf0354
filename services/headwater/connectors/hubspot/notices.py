"""HubSpot's webhook batches: which records they name. Reads alone; the values in them are partial and come in no order.

Up to 100 items in a list, of the form of each object (`contact.propertyChange`) or of the generic one (`object.propertyChange`
with an `objectTypeId`). Of a merge, the record that comes out and those that went in are named; of an association, both ends.
What concerns no record (conversations) is left out. Sending it again changes `attemptNumber` alone.

Source: HubSpot, Webhooks API guide: subscription types and payloads; generic webhook subscriptions; object type ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headwater.connectors.base.webhooks.notices import Notice

OBJECTS: Final[Mapping[str, str]] = {
    "contact": "contacts", "company": "companies", "deal": "deals", "0-1": "contacts", "0-2": "companies",
    "0-3": "deals", "0-136": "leads", "0-27": "tasks", "0-46": "notes", "0-47": "meetings", "0-48": "calls",
    "0-49": "emails",
}  # fmt: skip
"""Objects by the first word of a subscription type, and by object type id."""
GENERIC: Final = "object"
_PLAIN: Final = frozenset({"creation", "deletion", "privacyDeletion", "propertyChange", "restore"})
MERGE: Final = "merge"
ASSOCIATION: Final = "associationChange"
_BETWEEN: Final = "_TO_"


def notices_of(body: Any) -> Sequence[Notice]:
    """Return the records that a batch names, each once for each time."""
    items = body if isinstance(body, list) else [body]
    found = (notice for item in items if isinstance(item, dict) for notice in _of(item))
    return tuple(dict.fromkeys(found))


def _of(item: Mapping[str, Any]) -> Iterator[Notice]:
    kind, _, happened = str(item.get("subscriptionType") or "").partition(".")
    time_ms = item.get("occurredAt")
    time_us = time_ms * 1000 if isinstance(time_ms, int) and not isinstance(time_ms, bool) else None
    for word, crm_id in _named(item, str(item.get("objectTypeId")) if kind == GENERIC else kind, happened):
        if crm_object := OBJECTS.get(word):
            yield Notice(crm_object, _id(crm_id), time_us)


def _named(item: Mapping[str, Any], word: str, happened: str) -> Iterator[tuple[str, Any]]:
    """Yield object and id of each record, as they are written."""
    if happened in _PLAIN:
        yield word, item.get("objectId")
    elif happened == MERGE:
        merged = item.get("mergedObjectIds")
        named = [
            item.get("newObjectId"),
            item.get("primaryObjectId"),
            *(merged if isinstance(merged, list) else ()),
        ]
        for crm_id in [one for one in named if one] or [item.get("objectId")]:
            yield word, crm_id
    elif happened == ASSOCIATION:
        first, _, last = str(item.get("associationType") or "").partition(_BETWEEN)
        yield str(item.get("fromObjectTypeId") or first.lower()), item.get("fromObjectId")
        yield str(item.get("toObjectTypeId") or last.lower()), item.get("toObjectId")


def _id(value: Any) -> str:
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
