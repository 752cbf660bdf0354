"""What a table is made of: its set, its columns and keys, and where its references lead. Pure.

Source: Dataverse, Query table definitions using the Web API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NUMBERS: Final = frozenset({"Integer", "BigInt", "Decimal", "Double", "Money", "Picklist", "State", "Status"})
TEXTS: Final = frozenset({"String", "Memo", "EntityName"})
TIMES: Final = frozenset({"DateTime"})
ACTIVE: Final = "Active"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        kind: Dataverse's attribute type, as `String`.
    """

    name: str
    kind: str
    creatable: bool = True
    updatable: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Args:
        keys: columns of its alternate keys to the state of their index; keys of one column only.
        sets: navigation property to the set of the table that it leads to.
    """

    name: str
    metadata_id: str
    entity_set: str
    primary_id: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)


def read_table(body: Any) -> Table | None:
    """Return a table without columns from the answer to a definition query; None when there is none."""
    item = next(items_of(body), None)
    if item is None or not item.get("EntitySetName"):
        return None
    return Table(
        name=str(item["LogicalName"]),
        metadata_id=str(item["MetadataId"]),
        entity_set=str(item["EntitySetName"]),
        primary_id=str(item["PrimaryIdAttribute"]),
    )


def read_columns(body: Any) -> dict[str, Column]:
    """Return columns by name."""
    return {
        str(item["LogicalName"]): Column(
            name=str(item["LogicalName"]),
            kind=str(item.get("AttributeType")),
            creatable=item.get("IsValidForCreate") is not False,
            updatable=item.get("IsValidForUpdate") is not False,
        )
        for item in items_of(body)
        if item.get("LogicalName")
    }


def read_keys(body: Any) -> dict[str, str]:
    """Return the alternate keys that are made of one column, with the state of their index."""
    return {
        str(item["KeyAttributes"][0]): str(item.get("EntityKeyIndexStatus") or ACTIVE)
        for item in items_of(body)
        if isinstance(item.get("KeyAttributes"), list) and len(item["KeyAttributes"]) == 1
    }


def read_references(body: Any) -> dict[str, str]:
    """Return navigation property to the name of the table that it leads to."""
    return {
        str(item["ReferencingEntityNavigationPropertyName"]): str(item["ReferencedEntity"])
        for item in items_of(body)
        if item.get("ReferencingEntityNavigationPropertyName") and item.get("ReferencedEntity")
    }


def items_of(body: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of an OData collection."""
    values = body.get("value") if isinstance(body, dict) else None
    yield from (item for item in values if isinstance(item, dict)) if isinstance(values, list) else ()
