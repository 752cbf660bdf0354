"""Asks a CRM which fields of records are empty, for mappings that write only into empty ones.

By the entity's id where the record carries it; else, where it was taken over and does not yet, by the CRM's own id.
What neither tells is not known, and nothing is written into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from headwater.connectors.base import Connector, Fetcher, Polled, Target
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.delivering import Claimed, seen_empty

FETCHED_MAX: Final = 100
"""Records of one fetch."""


async def looked_first(
    connector: Connector, target: Target, outbound: OutboundObject, items: Sequence[Claimed]
) -> list[Claimed]:
    """Return *items* with what the CRM shows of the fields of *target*; records that are not there yet hold nothing.

    Raises: CallFailed.
    """
    found = await connector.look_up(target, [str(item.entity_id) for item in items])
    by_key = {key: (record.crm_id, record.fields) for key, record in found.items()}
    missing = [item for item in items if str(item.entity_id) not in by_key and item.crm_id]
    fetched = await _fetched(connector, target, [item.crm_id for item in missing])
    seen: list[Claimed] = []
    for item in items:
        crm_id, fields = by_key.get(str(item.entity_id), (item.crm_id, None))
        if fields is not None:
            seen.append(seen_empty(replace(item, crm_id=crm_id), fields, outbound))
        elif item.crm_id:
            seen.append(seen_empty(item, fetched.get(item.crm_id), outbound))
        else:
            seen.append(seen_empty(item, dict.fromkeys(outbound.if_empty), outbound))
    return seen


async def _fetched(
    connector: Connector, target: Target, crm_ids: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the fields of records by the CRM's id; nothing where the vendor reads none by it."""
    if not crm_ids or not isinstance(connector, Fetcher):
        return {}
    polled = Polled(target.crm_object, target.fields, 0.0, deletions=False)
    found: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(crm_ids), FETCHED_MAX):
        records = (await connector.fetch(polled, crm_ids[start : start + FETCHED_MAX])).records
        found |= {item.crm_id: item.fields for item in records}
    return found
