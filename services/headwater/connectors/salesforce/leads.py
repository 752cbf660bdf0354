"""Leads that were converted: what a write to one is to be written to instead. Requests and answers as values.

A converted lead is read-only. The contact that it became has its place: the engine adopts it, after it has made sure
that it is no other entity's.

Source: Object Reference, Lead: IsConverted, ConvertedContactId; StatusCode CANNOT_UPDATE_CONVERTED_LEAD.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from headwater.connectors.base.port import Failed, Outcome, Target, Write
from headwater.connectors.salesforce import wire

CONVERTED: Final = "CANNOT_UPDATE_CONVERTED_LEAD"
LEAD, CONTACT = "Lead", "Contact"
_BECAME: Final = "ConvertedContactId"

Query = Callable[[Iterable[str]], Awaitable[Sequence[Mapping[str, Any]]]]
"""Returns every record of some queries."""


async def followed(
    query: Query, target: Target, writes: Iterable[Write], outcomes: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Return *outcomes*, where a lead was converted with the contact that it became.

    Raises: CallFailed.
    """
    lost = [write for write in writes if _is_converted(outcomes.get(write.external_id))]
    if target.crm_object != LEAD or not lost:
        return dict(outcomes)
    bare = replace(target, fields=(_BECAME,), references=())
    by_id = [write.crm_id for write in lost if write.crm_id]
    by_key = [write.external_id for write in lost if not write.crm_id]
    found = await query([*wire.look_up_queries(bare, by_id, key="Id"), *wire.look_up_queries(bare, by_key)])
    became = {
        str(row.get(name)): str(row.get(_BECAME) or "")
        for row in found
        for name in ("Id", target.external_id_field)
    }
    return {
        **outcomes,
        **{write.external_id: _told(outcomes[write.external_id], became, write) for write in lost},
    }


def _is_converted(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Failed) and outcome.error.code == CONVERTED


def _told(outcome: Outcome, became: Mapping[str, str], write: Write) -> Outcome:
    contact_id = became.get(write.crm_id or write.external_id, "")
    if not isinstance(outcome, Failed) or not contact_id:
        return outcome
    message = f"the lead was converted to contact {contact_id}"
    error = replace(outcome.error, existing_crm_id=contact_id, existing_crm_object=CONTACT, message=message)
    return Failed(error)
