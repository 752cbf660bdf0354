"""Own records among the records, operators' corrections and owners found by routing: named by their entity. Pure.

Identity knows nothing of them: they go with their entity through merges and back through splits.
"""

from __future__ import annotations

import uuid
from typing import Final

from headwater.kernel.ids import OPERATOR_SOURCE, ROUTING_SOURCE
from headwater.sync.domain.log import LogEvent, RecordKey

OWN_RECORDS: Final = frozenset({OPERATOR_SOURCE, ROUTING_SOURCE})
"""Sources whose records are named by the entity that they are about."""


def is_correction(key: RecordKey) -> bool:
    """Tell whether a record is an operator's correction, or says which owner routing found."""
    return key.source in OWN_RECORDS


def corrected_entity(key: RecordKey) -> uuid.UUID:
    """Return the entity that a correction names.

    Raises:
        ValueError: it names none.
    """
    return uuid.UUID(key.external_id)


def actor_of(event: LogEvent) -> str:
    """Return who the audit names for *event*: of a correction the person, else the source."""
    return (event.actor_id or event.source) if event.source == OPERATOR_SOURCE else event.source
