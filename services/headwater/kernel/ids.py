"""Names and ids that every room uses: typed, checked once at the edge, plain afterwards.

Rules of form follow the wire contract (`headwater/event/v1/event.proto`).
"""

from __future__ import annotations

import re
import uuid
from typing import Final, Literal, NewType, get_args

TenantId = NewType("TenantId", str)
SourceName = NewType("SourceName", str)
ConnectorName = NewType("ConnectorName", str)
EventKey = NewType("EventKey", uuid.UUID)
EntityId = NewType("EntityId", uuid.UUID)

ObjectName = Literal["contact", "lead", "account", "deal", "activity"]
OBJECTS: Final[tuple[ObjectName, ...]] = get_args(ObjectName)

POLICY_OBJECT: Final = "policy"
"""Object of the events that carry a tenant's policy; recorded from source `headwater` only."""
IDENTITY_OBJECT: Final = "identity"
"""Object of the events that carry merges and splits; recorded from source `headwater` only."""
SLA_OBJECT: Final = "sla"
"""Object of the events that tell of SLA timers met or breached; recorded from source `headwater` only."""
OWN_SOURCE: Final = SourceName("headwater")
"""Source of Headwater's own events: policies, merges, splits, SLA timers that ended."""
OPERATOR_SOURCE: Final = SourceName("operator")
"""Source of operators' corrections: its records are entities, its values stand above every owner's."""
ENTITY_PREFIX: Final = "entity:"
"""How the external ids of records begin that name their entity themselves: only providers of enrichment send such."""
ROUTING_SOURCE: Final = SourceName("routing")
"""Source of the owners that routing finds: its records are entities, its values count by the field's rule."""

TENANT_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SOURCE_PATTERN: Final = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
EXTERNAL_ID_CHARS_MAX: Final = 255
REQUEST_ID_CHARS_MAX: Final = 128


def parse_attached(external_id: str) -> uuid.UUID | None:
    """Return the entity that the external id of an enriching record names, None where it is no such id."""
    return (
        parse_uuid(external_id.removeprefix(ENTITY_PREFIX)) if external_id.startswith(ENTITY_PREFIX) else None
    )


def parse_uuid(text: str) -> uuid.UUID | None:
    """Return the UUID that *text* is in its canonical form of 36 characters, else None."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value if str(value) == text.lower() else None
