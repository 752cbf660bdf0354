"""The event key and the content hash, and with them the record hash. Pure; changing any of it breaks every ledger.

What is hashed, byte for byte (numbers big-endian; every part of variable length has its length before it, only
the last part of a text runs to its end, so no two lists of parts give the same bytes):

    frame  = len8 tenant | tenant | len8 source | source | len8 object | object
    timed  = "T" | frame | time_us 64 | operation 8 | len16 | external id | canonical payload
    version= "V" | frame | operation 8 | len16 | len16 | external id | source version | canonical payload
    request= "R" | len8 tenant | tenant | len8 source | source | request id
    whole  = "C" | time_us 64 | actor kind 8 | len16 actor id | len16 actor name | len16 request id
             | actor id | actor name | request id | timed or version

`said` is `version` where the event has a source version, else `timed`; the hash is SHA-256 (half the price of
BLAKE2b where the processor knows it, and Postgres has it too), cut to what is used:

    event key    = milliseconds 48 | sha256(said)[0:10], or sha256(request)[0:16] where there is a request id
    content hash = sha256(said)[10:18], or sha256(whole)[10:18] where there is version, actor or request id

128 bits of a hash make a chance collision within 10^15 events less likely than 10^-9; within one millisecond
80 bits do. 64 bits of content are compared only where the keys are equal already.
"""

from __future__ import annotations

import hashlib
import zlib
from functools import lru_cache
from struct import Struct
from typing import Final

import msgspec

from headwater.ingest.domain.event import NOBODY, Actor, Arrival
from headwater.kernel.record_hash import RECORD_MASK, framed, names_crc, tenant_range

SHARDS: Final = 16
"""Shards of the log; the database publishes it as `ingest.shard_count()` and checks it on each row."""

STEMS_KEPT: Final = 4096
"""Stems at hand; each is about 400 bytes."""

_TIMED: Final = Struct(">QBH").pack
_VERSIONED: Final = Struct(">BHH").pack
_WHOLE: Final = Struct(">BHHH").pack
_sha256 = hashlib.sha256
_crc32 = zlib.crc32
canonical_payload = msgspec.json.Encoder(order="sorted").encode
"""Return a payload as compact JSON with sorted keys: one text for all spellings of a content."""


class Stem(msgspec.Struct, frozen=True, gc=False):
    """What the keys of all events of one tenant, source and object begin with.

    Args:
        record_base: the tenant's place in the range of record hashes.
        crc: checksum of source and object, carried on over the external id.
    """

    timed: bytes
    versioned: bytes
    record_base: int
    crc: int


@lru_cache(STEMS_KEPT)
def stem_of(tenant_id: str, source: str, object_name: str) -> Stem:
    """Return the stem of well-formed names (each under 256 bytes)."""
    frame = b"".join(framed(name) for name in (tenant_id, source, object_name))
    low, _ = tenant_range(tenant_id)
    return Stem(b"T" + frame, b"V" + frame, low, names_crc(source, object_name))


def identify(
    tenant_id: str, stem: Stem, arrival: Arrival, event_time_us: int, operation: int, canonical: bytes
) -> tuple[bytes, bytes, int]:
    """Return event key, content hash and record hash.

    With a request id the key hangs on tenant, source and that id alone. Without, the event time's
    milliseconds lead (keys of a batch fall on few index pages), the rest is a hash of what the event says.

    Args:
        arrival: well-formed; its operation may be left unsaid.
        event_time_us: microseconds since 1970, below 2^48 ms.
        canonical: of `canonical_payload`; empty for a delete.
    """
    external = arrival.external_id.encode()
    record = stem.record_base | (_crc32(external, stem.crc) & RECORD_MASK)
    version = arrival.source_version
    if version:
        named = version.encode()
        sizes = _VERSIONED(operation, len(external), len(named))
        said = b"".join((stem.versioned, sizes, external, named, canonical))
    else:
        sizes = _TIMED(event_time_us, operation, len(external))
        said = b"".join((stem.timed, sizes, external, canonical))
    digest = _sha256(said).digest()
    key = (event_time_us // 1000).to_bytes(6, "big") + digest[:10]
    actor = arrival.actor
    if arrival.request_id or version or (actor is not NOBODY and actor != NOBODY):
        who = _whole(actor, arrival.request_id) if arrival.request_id else _actor_part(actor)
        digest = _sha256(b"".join((b"C", event_time_us.to_bytes(8, "big"), who, said))).digest()
    if arrival.request_id:
        key = _request_key(tenant_id, arrival)
    return key, digest[10:18], record


def shard_of(hash_of_record: int) -> int:
    """Return the shard, 0 up to `SHARDS` - 1."""
    return hash_of_record & (SHARDS - 1)


def key_text(key: bytes) -> str:
    """Return the canonical text of a key: a UUID in lower case, 36 characters."""
    digits = key.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _request_key(tenant_id: str, arrival: Arrival) -> bytes:
    said = b"".join((b"R", framed(tenant_id), framed(arrival.source), arrival.request_id.encode()))
    return _sha256(said).digest()[:16]


def _whole(actor: Actor, request_id: str) -> bytes:
    """Return what stands between the time and what the event says."""
    actor_id, name, requested = actor.actor_id.encode(), actor.name.encode(), request_id.encode()
    sizes = _WHOLE(actor.kind, len(actor_id), len(name), len(requested))
    return b"".join((sizes, actor_id, name, requested))


@lru_cache(STEMS_KEPT)
def _actor_part(actor: Actor) -> bytes:
    return _whole(actor, "")
