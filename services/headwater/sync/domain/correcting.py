"""Records that name their entity themselves: operators' corrections, owners found by routing, providers' values. Pure.

Identity knows nothing of them: they go with their entity through merges and back through splits.
"""

from __future__ import annotations

import uuid
from typing import Final

from headwater.kernel.ids import ENTITY_PREFIX, OPERATOR_SOURCE, ROUTING_SOURCE, parse_attached
from headwater.sync.domain.log import LogEvent, RecordKey

OWN_RECORDS: Final = frozenset({OPERATOR_SOURCE, ROUTING_SOURCE})
"""Sources whose records are named by the entity that they are about."""


def is_attached(key: RecordKey) -> bool:
    """Tell whether a record names its entity itself: a correction, the owner that routing found, an enriching record."""
    return key.source in OWN_RECORDS or parse_attached(key.external_id) is not None


def attached_entity(key: RecordKey) -> uuid.UUID:
    """Return the entity that an attached record names.

    Raises:
        ValueError: it names none.
    """
    return uuid.UUID(key.external_id.removeprefix(ENTITY_PREFIX))


def actor_of(event: LogEvent) -> str:
    """Return who the audit names for *event*: of a correction the person, else the source."""
    return (event.actor_id or event.source) if event.source == OPERATOR_SOURCE else event.source
