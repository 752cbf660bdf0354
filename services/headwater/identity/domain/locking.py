"""Which locks a transaction takes, so that two batches that meet at a key resolve it one after the other. Pure.

Locks are stripes, not keys: their number per transaction is bounded, whatever the batch's size, and
fits the lock table of a server with default settings. Two keys in one stripe wait for each other
without need, which costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from headwater.identity.domain.records import Key, RecordId
from headwater.kernel.ids import TenantId

STRIPES: Final = 256
"""Locks per tenant; 10 connections hold 2,560 of the 6,400 that a stock server has room for."""

_SPACE: Final = 0x4944 << 48
"""First two bytes of every lock of this service: `ID`."""
_TENANT_LOCK: Final = 0xFFFF


def tenant_lock(tenant_id: TenantId) -> int:
    """Return the lock that a resolve shares and a merge or split holds alone."""
    return _base(tenant_id) | _TENANT_LOCK


def stripe_locks(tenant_id: TenantId, records: Iterable[RecordId], keys: Iterable[Key]) -> list[int]:
    """Return the locks of records and keys, ascending: taken in this order they cannot deadlock."""
    stripes = {record.int % STRIPES for record in records}
    stripes.update(crc32(f"{key.object}|{key.kind}|{key.value}".encode()) % STRIPES for key in keys)
    return sorted(_base(tenant_id) | stripe for stripe in stripes)


def _base(tenant_id: TenantId) -> int:
    return _SPACE | crc32(tenant_id.encode()) << 16
