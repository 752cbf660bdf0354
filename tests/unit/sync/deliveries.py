"""Claimed deliveries to decide about."""

from __future__ import annotations

from typing import Any

from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane


def claimed(**changed: Any) -> Claimed:
    """Return a due delivery of a contact that was never delivered."""
    fields: dict[str, Any] = {
        "tenant_id": TENANT,
        "connector": "salesforce",
        "entity_id": key(1),
        "object": "contact",
        "state": "active",
        "merged_into": None,
        "version": 3,
        "values": {"email": "a@x.io", "last_name": "Lovelace"},
        "crm_object": "",
        "crm_id": "",
        "known": {},
        "failure_count": 0,
        "in_doubt": False,
        "waited_s": 0.0,
        "event_key": key(9),
        "mark_time": NOON,
        "dirty_time": NOON,
        "trace": None,
        "last_trace": None,
        "tries_before": 0,
        "lane": Lane.LIVE,
        "due_time": NOON,
    }
    return Claimed(**{**fields, **changed})
