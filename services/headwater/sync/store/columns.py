"""How a batch of the projector looks on the wire to Postgres: rows of what it has changed, as columns. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.projecting import AuditNote, Mark
from headwater.sync.domain.rows import pack_facts, pack_values
from headwater.sync.domain.states import EntityState, RecordState

_encode: Final = msgspec.json.Encoder().encode
RECORDS_DIFFER: Final = frozenset({3, 4, 5})
ENTITIES_DIFFER: Final = frozenset({1, 5})
ENDS_DIFFER: Final = frozenset({1, 6, 7, 8, 9})
NOTES_DIFFER: Final = frozenset({3, 4, 5})
MARKS_DIFFER: Final = frozenset({1, 2, 5, 8})
"""Columns of `write_batch` that are sent as they are, whatever they hold: those that are not filled there."""


def record_row(item: RecordState) -> tuple[Any, ...]:
    """Return a record as `write_batch` takes it."""
    facts = pack_facts(item.fields)
    return (*item.key, item.entity_id, facts, item.deleted, item.delete_time, item.home_seq, item.fresh)


def entity_row(item: EntityState) -> tuple[Any, ...]:
    """Return an entity as `write_batch` takes it."""
    fields = pack_values(item.fields)
    state = (item.state, item.merged_into, item.version)
    return (*item.key, *state, fields, item.policy_version, item.state_seq)


def array_text(values: Iterable[object]) -> str:
    """Return values that need no quoting as a Postgres array."""
    return "{" + ",".join(map(str, values)) + "}"


def note_row(note: AuditNote, contexts: Mapping[uuid.UUID, TraceContext]) -> tuple[Any, ...]:
    """Return an entry of the audit as `write_batch` takes it; *contexts*: event key to the context of its projection."""
    return (
        note.tenant_id,
        note.action,
        note.actor,
        note.entity_id,
        note.event_key,
        _encode(
            note.changes
        ).decode(),  # text: of a list of lists the driver makes an array of two dimensions
        note.policy_version,
        trace_id_of(contexts.get(note.event_key)),
    )


def mark_row(mark: Mark, contexts: Mapping[uuid.UUID, TraceContext]) -> tuple[Any, ...]:
    """Return a mark as `write_batch` takes it; *contexts*: event key to the context of its projection."""
    trace = contexts.get(mark.event.event_key) or mark.event.trace
    return (
        mark.tenant_id,
        mark.connector,
        mark.entity_id,
        mark.object,
        mark.version,
        mark.event.event_key,
        trace.traceparent if trace else "",
        trace.tracestate if trace else "",
        mark.event.record_time,
        mark.lane,
    )


def trace_id_of(context: TraceContext | None) -> str:
    """Return the trace that a context belongs to; empty when there is none."""
    return context.trace_id if context else ""


def folded(rows: Sequence[Sequence[Any]], width: int, differ: frozenset[int]) -> list[Sequence[Any]]:
    """Return the columns of *rows*; one in which all is alike is its one value, unless it is among those that *differ*."""
    columns = columns_of(rows, width)
    if not rows:
        return columns
    return [
        column if number in differ or column.count(column[0]) < len(rows) else column[:1]
        for number, column in enumerate(columns)
    ]


def columns_of(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """Return *rows* of so many columns as columns."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
