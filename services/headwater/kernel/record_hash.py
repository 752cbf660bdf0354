"""The hash that all events of one record share: by it the log finds them. Pure; changing it breaks every ledger.

The upper 12 bits are the tenant's (of its MD5), the lower 20 the record's (of its CRC-32, over framed source and object and
the external id); of these the lowest 4 are the shard. So a tenant's records are one range, `tenant_range`.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

RECORD_BITS: Final = 20
RECORD_MASK: Final = (1 << RECORD_BITS) - 1
TENANT_BITS: Final = 12


def record_hash(tenant_id: str, source: str, object_name: str, external_id: str) -> int:
    """Return the signed 32-bit hash of a record with well-formed names (each under 256 bytes)."""
    low, _ = tenant_range(tenant_id)
    return low | (zlib.crc32(external_id.encode(), names_crc(source, object_name)) & RECORD_MASK)


def tenant_range(tenant_id: str) -> tuple[int, int]:
    """Return the lowest and the highest record hash that a tenant's records can have, both inclusive."""
    digest = hashlib.md5(tenant_id.encode(), usedforsecurity=False).digest()
    unsigned = int.from_bytes(digest[:2], "big") >> (16 - TENANT_BITS) << RECORD_BITS
    low = unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned
    return low, low | RECORD_MASK


def names_crc(source: str, object_name: str) -> int:
    """Return the checksum of source and object, to be carried on over the external id."""
    return zlib.crc32(framed(source) + framed(object_name))


def framed(name: str) -> bytes:
    """Return a name behind its length, one byte."""
    data = name.encode()
    return bytes((len(data),)) + data
