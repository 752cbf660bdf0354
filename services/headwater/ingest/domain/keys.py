"""The event key, the content hash and the shard. Pure; changing any of it breaks every ledger.

Parts are framed as a JSON array before they are hashed, so that no two lists of parts give the same
bytes. The hash is BLAKE2b; 128 bits make a chance collision within 10^15 events less likely than 10^-9.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from headwater.ingest.domain.event import Arrival, JsonObject

SHARDS: Final = 16
"""Shards of the log; the database publishes it as `ingest.shard_count()` and checks it on each row."""

_MILLISECONDS_BITS: Final = 48
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_encode = msgspec.json.Encoder().encode


def canonical_payload(payload: JsonObject) -> bytes:
    """Return the payload as compact JSON with sorted keys: one text for all spellings of a content."""
    return _encode_sorted(payload)


def event_key(tenant_id: str, arrival: Arrival, event_time_us: int, canonical: bytes) -> bytes:
    """Return the idempotency key.

    With a request id it hangs on tenant, source and that id alone. Without, the event time's milliseconds
    lead (keys of a batch fall on few index pages) and the rest is a hash of what the event says.

    Args:
        event_time_us: microseconds since 1970, below 2^48 ms.
        canonical: of `canonical_payload`; empty for a delete.
    """
    if arrival.request_id:
        framed = _encode(("request", tenant_id, arrival.source, arrival.request_id))
        return blake2b(framed, digest_size=16).digest()
    framed = _encode(
        (
            tenant_id,
            arrival.source,
            arrival.object,
            arrival.external_id,
            arrival.source_version or event_time_us,
            arrival.operation,
        )
    )
    lead = (event_time_us // 1000).to_bytes(_MILLISECONDS_BITS // 8, "big")
    return lead + blake2b(framed + canonical, digest_size=10).digest()


def content_hash(tenant_id: str, arrival: Arrival, event_time_us: int, canonical: bytes) -> bytes:
    """Return 16 bytes that stand for everything the event means; its trace is no part of that."""
    actor = arrival.actor
    framed = _encode(
        (
            tenant_id,
            arrival.source,
            arrival.object,
            arrival.external_id,
            arrival.source_version,
            event_time_us,
            arrival.operation,
            actor.kind,
            actor.actor_id,
            actor.name,
            arrival.request_id,
        )
    )
    return blake2b(framed + canonical, digest_size=16).digest()


def record_hash(tenant_id: str, source: str, object_name: str, external_id: str) -> int:
    """Return the signed 32-bit hash that all events of one record share; its low bits are the shard."""
    framed = _encode((tenant_id, source, object_name, external_id))
    return int.from_bytes(blake2b(framed, digest_size=4).digest(), "big", signed=True)


def shard_of(hash_of_record: int) -> int:
    """Return the shard, 0 up to `SHARDS` - 1."""
    return hash_of_record & (SHARDS - 1)


def key_text(key: bytes) -> str:
    """Return the canonical text of a key: a UUID in lower case, 36 characters."""
    digits = key.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
