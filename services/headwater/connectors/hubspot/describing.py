"""How HubSpot's objects are made. Decides, calls nothing.

Source: HubSpot CRM properties guide (`type`, `options`, `modificationMetadata`). The API has no list of its versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headwater.connectors.base.describing import FieldShape
from headwater.connectors.hubspot.wire import read_only


def schema_of(
    properties: Mapping[str, Mapping[str, Any]], required: tuple[str, ...]
) -> dict[str, FieldShape]:
    """Return the fields of an object by its properties, and those that its schema requires."""
    return {
        name: FieldShape(
            str(item.get("type")),
            tuple(
                str(one.get("value"))
                for one in item.get("options") or ()
                if isinstance(one, dict) and one.get("hidden") is not True
            ),
            name in required,
            not read_only(item),
        )
        for name, item in properties.items()
    }
