"""What becomes of a CRM's record whose entity was deleted, and when. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.outbound_mapping import OutboundObject


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a marked record.

    Args:
        action: `keep`: it stays marked; `remove`: it is removed; `wait`: the CRM has not taken the mark yet.
        due_time: when it is removed, at the earliest.
    """

    action: Literal["keep", "remove", "wait"]
    due_time: dt.datetime | None = None


def removes(document: PolicyDocument, connector: str) -> tuple[tuple[ObjectName, OutboundObject], ...]:
    """Return the mappings of an account whose records are removed in the end."""
    account = document.connectors[connector]
    return tuple(
        (name, item)
        for name, items in account.written.items()
        for item in items
        if account.enabled and item.deletes == "remove"
    )


def fate_of(
    document: PolicyDocument, connector: str, crm_object: str, object_name: str, flag_time: dt.datetime | None
) -> Fate:
    """Return what becomes of a record under *document*; the grace begins when the CRM took the mark."""
    known = connector in document.connectors and any(
        name == object_name and item.target == crm_object for name, item in removes(document, connector)
    )
    if not known:
        return Fate("keep")
    if flag_time is None:
        return Fate("wait")
    return Fate("remove", flag_time + dt.timedelta(days=document.grace_days))
