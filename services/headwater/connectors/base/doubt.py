"""What may follow a write whose answer never came, as each vendor promises it. Pure.

Owns the kinds of writes and the words of a vendor's promise. Whether a policy makes use of a promise is
decided in `sync`.

    UPSERT  keyed by the external id: a repeat finds the record of the first try
    UPDATE  addressed by the CRM's own id: a repeat sets the same values
    CREATE  nothing the vendor checks: every repeat makes another record, so a look-up comes first
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.connectors.base.port import Write


class WriteKind(StrEnum):
    """How a vendor tells which record a write means."""

    UPSERT = "upsert"
    UPDATE = "update"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Promise:
    """What a vendor promises about sending one kind of write twice.

    Args:
        repeat_safe: a repeat of an applied write changes nothing; False: look the record up first.
        reason: why, in one sentence that names the vendor's own words or recording.
    """

    repeat_safe: bool
    reason: str


InDoubtProtocol = Mapping[WriteKind, Promise]
"""A vendor's promise for each kind of write that it makes."""


def keyed_kind(write: Write) -> WriteKind:
    """Return the kind of a write of a vendor that upserts by external id."""
    return WriteKind.UPDATE if write.crm_id else WriteKind.UPSERT


def creating_kind(write: Write) -> WriteKind:
    """Return the kind of a write of a vendor that knows records by its own id only."""
    return WriteKind.UPDATE if write.crm_id else WriteKind.CREATE
