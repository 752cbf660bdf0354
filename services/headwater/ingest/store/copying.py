"""The binary COPY stream of events, built by hand: the only place that knows PostgreSQL's COPY format.

A row is a struct of what has a fixed size, then texts and bytes led by their lengths. The driver's own encoder
looks each value's type up and checks it: 2.5 us a row against 1 here.
Source: PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from typing import Final

from headwater.ingest.domain.event import NOBODY, Actor, NewEvent

COPY_COLUMNS: Final = (
    "event_time",
    "event_key",
    "content_hash",
    "record_hash",
    "disposition",
    "operation",
    "actor_type",
    "tenant_id",
    "source",
    "object",
    "external_id",
    "payload",
    "trace",
    "source_version",
    "request_id",
    "actor_id",
    "actor_name",
    "tracestate",
    "released_from",
)
"""Columns that a COPY brings; day, position and record time are the database's."""

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_TWO_NULLS: Final = _NULL * 2
_SIX_NULLS: Final = _NULL * 6
_TRACE_LENGTH: Final = b"\0\0\0\x19"
_HASH_LENGTH: Final = b"\0\0\0\x04"
_KEY_LENGTH: Final = b"\0\0\0\x10"
_CONTENT_LENGTH: Final = b"\0\0\0\x08"
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts microseconds."""

_begin = struct.Struct(">6sq4s16s4s8s4si").pack
_length = struct.Struct(">i").pack
_BEGIN: Final = struct.pack(">hi", len(COPY_COLUMNS), 8)
_CODES: Final = struct.Struct(">ihihih").pack
_GROUPS_KEPT: Final = 4096
ACTORS_KEPT: Final = 1024
"""Actors whose columns are at hand."""
_unhex = bytes.fromhex


def copy_stream(events: Iterable[NewEvent]) -> bytes:
    """Return the whole stream of a COPY into `COPY_COLUMNS`."""
    parts = [_HEADER]
    begin, begin_row, epoch_us, length, key_length = _begin, _BEGIN, _POSTGRES_EPOCH_US, _length, _KEY_LENGTH
    last: NewEvent | None = None
    group = b""
    for event in events:
        if last is None or not _is_alike(event, last):
            group, last = _group(event), event
        payload, external_id, trace = event.payload, event.external_id.encode(), event.trace
        parts += (
            begin(
                begin_row, event.event_time_us - epoch_us, key_length, event.event_key,
                _CONTENT_LENGTH, event.content_hash, _HASH_LENGTH, event.record_hash,
            ),
            group,
            length(len(external_id)),
            external_id,
            length(len(payload)),
            payload,
            # By hand: `to_bytes` takes three times as long. The first byte is the version's.
            _TRACE_LENGTH + _unhex(trace.traceparent.replace("-", ""))[1:] if trace else _NULL,
            _tail(event),
        )  # fmt: skip
    parts.append(_TRAILER)
    return b"".join(parts)


def _is_alike(event: NewEvent, last: NewEvent) -> bool:
    """Tell whether the columns from disposition to object are the same; names of one passage are one object."""
    return (
        event.object is last.object
        and event.source is last.source
        and event.tenant_id is last.tenant_id
        and event.actor is last.actor
        and event.operation == last.operation
        and not event.violations
        and not last.violations
    )


def _group(event: NewEvent) -> bytes:
    """Return the columns from disposition to object."""
    disposition = 3 if event.violations else 1
    return _columns(
        (disposition, event.operation, event.actor.kind), event.tenant_id, event.source, event.object
    )


@lru_cache(_GROUPS_KEPT)
def _columns(codes: tuple[int, int, int], *names: str) -> bytes:
    disposition, operation, kind = codes
    return _CODES(2, disposition, 2, operation, 2, kind) + b"".join(map(_text, names))


def _tail(event: NewEvent) -> bytes:
    """Return the columns behind the trace: what is seldom given, but for the actor."""
    actor = event.actor
    state = event.trace.tracestate if event.trace else ""
    if not (event.source_version or event.request_id or event.released_from or state):
        return _SIX_NULLS if actor is NOBODY else _actor_alone(actor)
    return b"".join(
        (
            _text(event.source_version),
            _text(event.request_id),
            _text(actor.actor_id),
            _text(actor.name),
            _text(state),
            _KEY_LENGTH + event.released_from if event.released_from else _NULL,
        )
    )


@lru_cache(ACTORS_KEPT)
def _actor_alone(actor: Actor) -> bytes:
    return b"".join((_TWO_NULLS, _text(actor.actor_id), _text(actor.name), _TWO_NULLS))


async def in_one_piece(stream: bytes) -> AsyncIterator[bytes]:
    """Give the stream to the driver, which wants an asynchronous iterator."""
    yield stream


def _text(text: str) -> bytes:
    if not text:
        return _NULL
    encoded = text.encode()
    return _length(len(encoded)) + encoded
