"""What Pipedrive's objects are called and hold besides custom fields. Data only.

Source: Pipedrive API v2, request bodies of persons, organizations and deals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Place = Literal["top", "primary", "custom"]
"""Where a value stands in a body: by its own name, as the primary of a list, among the custom ones."""
ValueKind = Literal[
    "text", "whole", "number", "boolean", "date", "option", "options", "ids", "time", "address"
]


@dataclass(frozen=True, slots=True)
class Standard:
    """One field that every account has.

    Args:
        code: its name in bodies.
        writable: whether it may be sent.
    """

    code: str
    kind: ValueKind = "text"
    place: Place = "top"
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One object.

    Args:
        name: in paths, and the policy's name of it.
        entity: in searches, recents and webhooks.
        fields_path: where its field definitions are.
        references: standard fields that lead to other records.
    """

    name: str
    entity: str
    fields_path: str
    standard: Mapping[str, Standard]
    references: tuple[str, ...] = ()


def _standard(*fields: Standard, **aliases: Standard) -> dict[str, Standard]:
    usual = (
        Standard("owner_id", "whole"),
        Standard("visible_to", "whole"),
        Standard("label_ids", "ids"),
        Standard("id", "whole", writable=False),
        Standard("add_time", "time"),
        Standard("update_time", "time", writable=False),
    )
    return {**{field.code: field for field in (*usual, *fields)}, **aliases}


KINDS: Final[Mapping[str, Kind]] = {
    "persons": Kind(
        "persons",
        "person",
        "personFields",
        _standard(
            Standard("name"),
            Standard("org_id", "whole"),
            Standard("marketing_status"),
            Standard("first_name", writable=False),
            Standard("last_name", writable=False),
            email=Standard("emails", place="primary"),
            phone=Standard("phones", place="primary"),
        ),
        ("org_id",),
    ),
    "organizations": Kind(
        "organizations",
        "organization",
        "organizationFields",
        _standard(Standard("name"), Standard("address", "address")),
    ),
    "deals": Kind(
        "deals",
        "deal",
        "dealFields",
        _standard(
            Standard("title"),
            Standard("value", "number"),
            Standard("currency"),
            Standard("status"),
            Standard("lost_reason"),
            Standard("probability", "number"),
            Standard("expected_close_date", "date"),
            Standard("person_id", "whole"),
            Standard("org_id", "whole"),
            Standard("pipeline_id", "whole"),
            Standard("stage_id", "whole"),
            Standard("won_time", "time"),
            Standard("lost_time", "time"),
            Standard("close_time", "time"),
        ),
        ("person_id", "org_id"),
    ),
}
"""By the policy's name. Activities have no custom fields, so no external id: none is written."""

CUSTOM_KINDS: Final[Mapping[str, ValueKind]] = {
    "varchar": "text",
    "varchar_auto": "text",
    "text": "text",
    "phone": "text",
    "double": "number",
    "int": "whole",
    "date": "date",
    "enum": "option",
    "set": "options",
    "user": "whole",
    "org": "whole",
    "people": "whole",
    "address": "address",
}
"""Types of custom fields that hold one value of ours. Money, times and ranges need two: they are not mapped."""
