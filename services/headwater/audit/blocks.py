"""Many entries checked against their leaves at once, so that other processes can do it. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from headwater.audit.entries import ERASED_ACTION, Entry, leaf_of
from headwater.audit.merkle import hashes_of

_read: Final = msgspec.json.Decoder(Entry).decode


class Block(NamedTuple):
    """Entries of consecutive numbers that all give their leaves, none of them about an erasure.

    Args:
        joined: their leaves, 32 bytes each, one behind the other.
    """

    first_seq: int
    joined: bytes
    audit_id_max: int

    @property
    def leaves(self) -> list[bytes]:
        """The leaves, one by one."""
        return hashes_of(self.joined)


def block_of(lines: bytes) -> Block | None:
    """Return whole lines of an export as a block; None when they are none: somebody has to look at each entry."""
    try:
        entries = [_read(line) for line in lines.split(b"\n") if line]
    except msgspec.DecodeError:
        return None
    if not entries:
        return None
    for seq, entry in enumerate(entries, entries[0].seq):
        if (
            entry.seq != seq
            or entry.commitment
            or entry.action == ERASED_ACTION
            or entry.missing
            or entry.stray
        ):
            return None
        if leaf_of(entry) != entry.leaf:
            return None
    return Block(
        entries[0].seq,
        b"".join(entry.leaf for entry in entries),
        max(entry.audit_id for entry in entries),
    )
