"""Pointers: events that say that a record of a CRM has changed, and not how. Pure.

A vendor's webhook tells a few fields at best, and in no order; so what it says is only that the record is to be fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument

FETCH_KEY: Final = "headwater_fetch"
"""Name in a payload, with the value true and no other beside it, by which an event is a pointer."""


def is_pointer(payload: Mapping[str, Any]) -> bool:
    """Say whether *payload* makes its event a pointer."""
    return payload.get(FETCH_KEY) is True and len(payload) == 1


def records_read(document: PolicyDocument, source: str) -> Mapping[str, ObjectName]:
    """Return by CRM object which object each of *source* is, as accounts read them; none: nothing can be fetched."""
    return {
        crm_object: read
        for connector in document.connectors.values()
        if connector.system == source and connector.enabled
        for read, crm_object in connector.polled()
    }


def readers_of(document: PolicyDocument, source: str, object_name: ObjectName) -> tuple[tuple[str, str], ...]:
    """Return account and CRM object of everything by which records of *source* can be fetched."""
    return tuple(
        (name, crm_object)
        for name, connector in document.connectors.items()
        if connector.system == source and connector.enabled
        for read, crm_object in connector.polled()
        if read == object_name
    )
