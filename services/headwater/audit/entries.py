"""An entry of the audit and its canonical form: the one place that says what a leaf of the tree commits to.

Canonical form, version 1. All numbers are big-endian.

    commitment = SHA-256( 02 | salt, 16 bytes | text of the changes, UTF-8 )
    record     = 18 as int32, then for each field of the table below:
                 its type as int32, the length of its value as int32 (-1 and no value: null), the value
    leaf       = SHA-256( 00 | 01 | record )           00: leaf (RFC 6962), 01: version of this form
    node       = SHA-256( 01 | left | right )          RFC 6962; see `merkle`

    field            type  value                   field            type  value
    tenant_id          25  text, UTF-8             trace_id           25  text
    audit_id           20  int64                   object             25  text
    audit_time       1184  int64, microseconds     attempt_number     23  int32
                           since 2000-01-01 UTC    version            20  int64
    action             25  text                    start_time       1184  int64, as audit_time
    actor              25  text                    outcome            25  text
    entity_id        2950  16 bytes                latency_ms        701  IEEE 754 double
    event_key        2950  16 bytes                span_id            25  text
    connector          25  text                    commitment         17  32 bytes
    policy_version     25  text

The record is what PostgreSQL's own `record_send(row(...))` writes, so the database hashes a batch of entries in one
statement, and a verifier needs nothing of it but this page. Every value has its length before it: no two entries
have one form.

Personal values are committed to, not hashed plainly: a leaf holds `commitment`, made with a salt of the entry's own.
Erasing destroys the values and their salt and keeps the commitment, so leaf and proofs stand, and without the salt
nobody can test a guess against it (hiding: 128 random bits; binding: SHA-256).
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
ERASED_ACTION: Final = "values_erased"
"""Action of the entry that orders an erasure: an erased entry is sound only when a later one of its entity has it."""

_EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_LEAF: Final = b"\x00\x01"
_COMMITMENT: Final = b"\x02"
_FIELDS: Final = 18
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_FRAMES: Final = 4_096
"""Combinations of action, actor, account and so on that are kept encoded."""
_TEXT: Final = struct.Struct(">ii").pack
_TEXT_TYPE: Final = 25
_NO_TEXT: Final = struct.pack(">ii", 25, -1)
_ID: Final = struct.pack(">ii", 2950, 16)
_NO_ID: Final = struct.pack(">ii", 2950, -1)
_HEAD: Final = struct.Struct(">iiqiiq").pack
_TRY: Final = struct.Struct(">iiiiiqiiq").pack
_NOT_TRIED: Final = struct.pack(">iiiiii", 23, -1, 20, -1, 1184, -1)
_LATENCY: Final = struct.Struct(">iid").pack
_NO_LATENCY: Final = struct.pack(">ii", 701, -1)
_COUNT: Final = struct.pack(">i", _FIELDS)
_COMMITTED: Final = struct.pack(">ii", 17, HASH_BYTES)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One entry as it is exported: a JSON object of these names on one line.

    Args:
        seq: number in the tenant's audit, from 1, without gaps.
        leaf: hash recorded when the entry was numbered.
        salt: 16 bytes; empty once erased.
        changes: what was changed, the JSON text as stored; not there when erased or missing.
        changes_text: the same where the text has line breaks in it.
        commitment: of an erased entry alone: what its leaf was made of.
        order_id: of an erased entry alone: audit id of the entry that ordered it.
        missing: the entry was numbered and is not there.
        stray: the entry is there and was never numbered, though later ones were.
    """

    seq: int
    audit_id: int
    leaf: bytes = b""
    tenant_id: str = ""
    audit_time: dt.datetime = _EPOCH
    action: str = ""
    actor: str = ""
    entity_id: uuid.UUID | None = None
    event_key: uuid.UUID | None = None
    connector: str = ""
    policy_version: str = ""
    trace_id: str = ""
    object: str | None = None
    attempt_number: int | None = None
    version: int | None = None
    start_time: dt.datetime | None = None
    outcome: str | None = None
    latency_ms: float | None = None
    span_id: str | None = None
    salt: bytes = b""
    changes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    changes_text: str = ""
    commitment: bytes = b""
    order_id: int = 0
    missing: bool = False
    stray: bool = False

    @property
    def is_erased(self) -> bool:
        """Whether the values were erased."""
        return bool(self.commitment)


def commit(salt: bytes, changes: bytes) -> bytes:
    """Return the commitment to a text of changes."""
    return sha256(_COMMITMENT + salt + changes).digest()


def commitment_of(entry: Entry) -> bytes:
    """Return the commitment that the leaf of *entry* is made of."""
    if entry.commitment:
        return entry.commitment
    changes = entry.changes
    text = entry.changes_text.encode() if changes is msgspec.UNSET else bytes(changes)
    return sha256(_COMMITMENT + entry.salt + text).digest()


def leaf_of(entry: Entry) -> bytes:
    """Return the leaf that the content of *entry* gives."""
    return sha256(_LEAF + record_of(entry)).digest()


def record_of(entry: Entry) -> bytes:
    """Return the canonical record of *entry*. Written out rather than composed: it is what verifying spends its time on."""
    entity, event, latency = entry.entity_id, entry.event_key, entry.latency_ms
    number, version, start, trace, span = (
        entry.attempt_number,
        entry.version,
        entry.start_time,
        entry.trace_id.encode(),
        entry.span_id,
    )
    begin, who, where, thing, ending = _frame(
        entry.tenant_id,
        entry.action,
        entry.actor,
        entry.connector,
        entry.policy_version,
        entry.object,
        entry.outcome,
    )
    if number is not None and version is not None and start is not None:
        tried = _TRY(23, 4, number, 20, 8, version, 1184, 8, (start - _EPOCH) // _MICROSECOND)
    elif number is None and version is None and start is None:
        tried = _NOT_TRIED
    else:
        tried = _tried(number, version, start)
    return b"".join(
        (
            begin,
            _HEAD(20, 8, entry.audit_id, 1184, 8, (entry.audit_time - _EPOCH) // _MICROSECOND),
            who,
            _NO_ID if entity is None else _ID + entity.int.to_bytes(16, "big"),
            _NO_ID if event is None else _ID + event.int.to_bytes(16, "big"),
            where,
            _TEXT(_TEXT_TYPE, len(trace)),
            trace,
            thing,
            tried,
            ending,
            _NO_LATENCY if latency is None else _LATENCY(701, 8, latency),
            _NO_TEXT if span is None else _text(span),
            _COMMITTED,
            entry.commitment or commitment_of(entry),
        )
    )


@lru_cache(_FRAMES)
def _frame(
    tenant_id: str,
    action: str,
    actor: str,
    connector: str,
    policy_version: str,
    object_name: str | None,
    outcome: str | None,
) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Return the texts of a small vocabulary, in the five places where they stand."""
    return (
        _COUNT + _text(tenant_id),
        _text(action) + _text(actor),
        _text(connector) + _text(policy_version),
        _text(object_name),
        _text(outcome),
    )


def _tried(number: int | None, version: int | None, start: dt.datetime | None) -> bytes:
    return b"".join(
        (
            _TEXT(23, -1) if number is None else struct.pack(">iii", 23, 4, number),
            _TEXT(20, -1) if version is None else struct.pack(">iiq", 20, 8, version),
            _TEXT(1184, -1)
            if start is None
            else struct.pack(">iiq", 1184, 8, (start - _EPOCH) // _MICROSECOND),
        )
    )


def _text(value: str | None) -> bytes:
    if value is None:
        return _NO_TEXT
    encoded = value.encode()
    return _TEXT(_TEXT_TYPE, len(encoded)) + encoded
