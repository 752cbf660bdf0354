"""What one event does to the facts of one record, and what that changes of an entity. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, Final

from headwater.policy.survivorship import Chosen, FieldFact
from headwater.sync.domain.log import LogEvent
from headwater.sync.domain.states import RecordState

STALE_RECORD: Final = "stale_record_version"
"""Every field of the event is older than what the record already says."""
NO_CHANGE: Final = "no_change"
"""The record already says all of it."""


class Merged(IntEnum):
    """What an event did to a record."""

    NOTHING = 0
    RESTATED = 1
    """Some value was stated again, later: only its time is new."""
    CHANGED = 2


def merge_facts(
    record: RecordState,
    fields: Mapping[str, Any],
    event: LogEvent,
    raw: Mapping[str, Any],
    *,
    deleted: bool,
    earliest: str | None = None,
) -> Merged:
    """Let the latest statement of each field win, ties by event key: any order of events ends the same.

    Args:
        earliest: field of which the earliest statement wins: that of the first touch.
    """
    merged = Merged.NOTHING
    event_time, event_key = event.event_time, event.event_key
    for name, value in fields.items():
        held = record.fields.get(name)
        if held is not None:
            later = (held.field_time, held.event_key) < (event_time, event_key)
            if later is (name == earliest):
                continue
        record.fields[name] = FieldFact(value, event_time, event_key, raw.get(name) if raw else None)
        if held is None or held.value != value:
            merged = Merged.CHANGED
        elif merged is Merged.NOTHING:
            merged = Merged.RESTATED
    if deleted and (record.delete_time is None or record.delete_time < event.event_time):
        record.delete_time = event.event_time
        merged = max(merged, Merged.RESTATED)
    was_deleted = record.deleted
    record.deleted = _is_deleted(record)
    return Merged.CHANGED if record.deleted != was_deleted else merged


def _is_deleted(record: RecordState) -> bool:
    """Say whether a record was deleted and nothing was stated of it since."""
    deleted = record.delete_time
    return deleted is not None and all(fact.field_time <= deleted for fact in record.fields.values())


def idle_rule(record: RecordState | None, fields: Mapping[str, Any], event: LogEvent) -> str:
    """Return the rule that ends *event* when it changes nothing of *record*, as it was before."""
    if record is None:
        return NO_CHANGE
    for name, value in fields.items():
        held = record.fields.get(name)
        if held is not None and held.field_time > event.event_time and held.value != value:
            return STALE_RECORD
    return NO_CHANGE


def value_changes(before: Mapping[str, Chosen], after: Mapping[str, Chosen]) -> Iterable[dict[str, Any]]:
    """Yield what differs between an entity's values before and after, as the audit tells it."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if (old.value if old else None) != (new.value if new else None):
            yield {
                "field": name,
                "before": old.value if old else None,
                "after": new.value if new else None,
                "rule": new.rule if new else old.rule if old else "",
            }
