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
_KEY_LENGTH: Final = b"\0\0\0\x10"
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts microseconds."""

_fixed = struct.Struct(">hiqi16si16siiihihih").pack
_length = struct.Struct(">i").pack
_prefixes: dict[tuple[str, str, str], bytes] = {}
_PREFIXES_MAX: Final = 4096
ACTORS_KEPT: Final = 1024
"""Actors whose columns are at hand."""
_unhex = bytes.fromhex


def copy_stream(events: Iterable[NewEvent]) -> bytes:
    """Return the whole stream of a COPY into `COPY_COLUMNS`."""
    parts = [_HEADER]
    columns, epoch_us = len(COPY_COLUMNS), _POSTGRES_EPOCH_US
    tenant_id = source = object_name = prefix = None
    for event in events:
        if event.object is not object_name or event.source is not source or event.tenant_id is not tenant_id:
            tenant_id, source, object_name = event.tenant_id, event.source, event.object
            prefix = _prefixes.get((tenant_id, source, object_name)) or _prefix(
                (tenant_id, source, object_name)
            )
        payload, external_id = event.payload, event.external_id.encode()
        parts += (
            _fixed(
                columns,
                8,
                event.event_time_us - epoch_us,
                16,
                event.event_key,
                16,
                event.content_hash,
                4,
                event.record_hash,
                2,
                3 if event.violations else 1,
                2,
                event.operation,
                2,
                event.actor.kind,
            ),
            prefix,
            _length(len(external_id)),
            external_id,
            _length(len(payload)),
            payload,
            _tail(event),
        )
    parts.append(_TRAILER)
    return b"".join(parts)


def _tail(event: NewEvent) -> bytes:
    """Return the columns behind the payload: a trace or none, and what is seldom given."""
    actor, trace, state = event.actor, event.trace, ""
    if trace is None:
        raw = _NULL
    else:  # by hand: `to_bytes` takes three times as long; the first byte is the version's
        raw = _TRACE_LENGTH + _unhex(trace.traceparent.replace("-", ""))[1:]
        state = trace.tracestate
    if state or event.source_version or event.request_id or event.released_from:
        return b"".join(
            (
                raw,
                _text(event.source_version),
                _text(event.request_id),
                _who(actor),
                _text(state),
                _KEY_LENGTH + event.released_from if event.released_from else _NULL,
            )
        )
    return raw + _SIX_NULLS if actor is NOBODY else b"".join((raw, _TWO_NULLS, _who(actor), _TWO_NULLS))


@lru_cache(ACTORS_KEPT)
def _who(actor: Actor) -> bytes:
    return _text(actor.actor_id) + _text(actor.name)


async def in_one_piece(stream: bytes) -> AsyncIterator[bytes]:
    """Give the stream to the driver, which wants an asynchronous iterator."""
    yield stream


def _prefix(group: tuple[str, str, str]) -> bytes:
    if len(_prefixes) >= _PREFIXES_MAX:
        _prefixes.clear()
    prefix = _prefixes[group] = b"".join(map(_text, group))
    return prefix


def _text(text: str) -> bytes:
    if not text:
        return _NULL
    encoded = text.encode()
    return _length(len(encoded)) + encoded
