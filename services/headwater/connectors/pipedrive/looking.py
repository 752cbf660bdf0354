"""Records found by external id, within a budget of tokens. Pipedrive has no unique field and no read by one.

A page of the newest records comes first: lists show what was just made, the search's index may not yet. What is not
there is walked for while pages cost no more than searches would, then searched one by one; once a walk has
seen everything, what it did not meet is not there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from headwater.connectors.base.http import Request
from headwater.connectors.base.port import Target
from headwater.connectors.pipedrive import wire
from headwater.connectors.pipedrive.fields import Catalogue
from headwater.connectors.pipedrive.kinds import Kind
from headwater.connectors.pipedrive.limits import LIST_TOKENS, SEARCH_TOKENS

Read = Callable[[Request], Awaitable[Any]]
"""Sends a reading request and returns its JSON. Raises CallFailed."""
Record = Mapping[str, Any]

WALK_PAGES_MAX: Final = 200
"""Pages of one walk: 100,000 records."""


async def by_external_id(
    ask: Read, kind: Kind, target: Target, catalogue: Catalogue, external_ids: Sequence[str]
) -> dict[str, Record]:
    """Return the records that hold these external ids; of several that hold one, the oldest that was met.

    Raises: CallFailed.
    """
    missing = set(external_ids)
    if not missing:
        return {}
    codes = catalogue.custom_codes([target.external_id_field, *target.fields])
    found: dict[str, Record] = {}
    cursor, pages = "", 0
    while missing and pages < max(1, min(WALK_PAGES_MAX, len(missing) * SEARCH_TOKENS // LIST_TOKENS - 1)):
        page = wire.read_page(await ask(wire.newest_request(kind, codes, cursor)))
        for record in page.records:  # the newest first: an older one that holds the same id takes its place
            external_id = wire.external_id_of(record, target, catalogue)
            if external_id in missing or external_id in found:
                found[external_id] = record
        missing.difference_update(found)
        cursor, pages = page.cursor, pages + 1
        if not cursor:
            return found
    return found | await _searched(ask, kind, target, catalogue, sorted(missing))


async def by_id(
    ask: Read, kind: Kind, catalogue: Catalogue, names: Sequence[str], crm_ids: Sequence[str]
) -> dict[str, Record]:
    """Return records by their own id, with the fields *names*; those that are gone are left out.

    Raises: CallFailed.
    """
    codes = catalogue.custom_codes(names)
    ids = [crm_id for crm_id in dict.fromkeys(crm_ids) if crm_id.isdigit()]
    records: dict[str, Record] = {}
    for start in range(0, len(ids), wire.IDS_MAX):
        body = await ask(wire.ids_request(kind, ids[start : start + wire.IDS_MAX], codes))
        records |= {str(record["id"]): record for record in wire.read_page(body).records}
    return {crm_id: record for crm_id, record in records.items() if record.get("is_deleted") is not True}


async def _searched(
    ask: Read, kind: Kind, target: Target, catalogue: Catalogue, external_ids: Sequence[str]
) -> dict[str, Record]:
    key = catalogue.get(target.external_id_field)
    if key is None:
        return {}
    hits: list[str] = []
    for external_id in external_ids:
        page = wire.read_page(await ask(wire.search_request(kind, key.code, external_id)))
        hits.extend(str(item["id"]) for item in page.records)
    names = [target.external_id_field, *target.fields]
    records = await by_id(ask, kind, catalogue, names, hits)
    found: dict[str, Record] = {}
    for record in sorted(records.values(), key=lambda item: -int(item["id"])):
        external_id = wire.external_id_of(record, target, catalogue)
        if external_id in external_ids:
            found[external_id] = record
    return found
