"""An audit as a file: JSON lines that carry all that verifying takes, without a service or a database. Pure.

The first line is the header; as many lines of public keys as it says follow, then as many of checkpoints, then every
entry in the order of its numbers. All leaves are there, so the proof of each entry and between any two checkpoints can
be made from the file alone. A proof of one entry is a file of its own: a JSON object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from headwater.audit.checkpoints import Checkpoint, Keys, PublicKey, is_signed, read_checkpoint, read_key
from headwater.audit.entries import Entry, leaf_of
from headwater.audit.merkle import includes

FORMAT: Final = "headwater-audit/1"
PROOF_FORMAT: Final = "headwater-audit-proof/1"


class Header(msgspec.Struct, frozen=True):
    """The first line.

    Args:
        keys, checkpoints: lines of them that follow.
        size: entries numbered when the export began; there may be more.
    """

    tenant_id: str
    keys: int
    checkpoints: int
    size: int
    format: str = FORMAT


class EntryProof(msgspec.Struct, frozen=True):
    """One entry, the hashes from its leaf to a root, the checkpoint that signs it, and the keys known."""

    entry: Entry
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    keys: tuple[PublicKey, ...] = ()
    format: str = PROOF_FORMAT


class NoExport(ValueError):
    """The file is not what it should be."""


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before the entries."""

    header: Header
    keys: tuple[PublicKey, ...]
    checkpoints: tuple[Checkpoint, ...]

    @property
    def lines(self) -> int:
        """Lines before the first entry."""
        return 1 + self.header.keys + self.header.checkpoints


encode: Final = msgspec.json.Encoder().encode
_read_header: Final = msgspec.json.Decoder(Header).decode
_read_entry: Final = msgspec.json.Decoder(Entry).decode
_read_proof: Final = msgspec.json.Decoder(EntryProof).decode


def write_front(
    tenant_id: str, size: int, keys: Sequence[bytes], checkpoints: Sequence[bytes]
) -> Iterator[bytes]:
    """Yield the lines before the entries, without their ends, from lines of keys and of checkpoints."""
    yield encode(Header(tenant_id, len(keys), len(checkpoints), size))
    yield from keys
    yield from checkpoints


def read_front(lines: Iterator[bytes]) -> Front:
    """Read what stands before the entries, and leave *lines* at the first of them. Raises: NoExport."""
    try:
        header = _read_header(next(lines, b""))
        keys = tuple(read_key(line) for line in islice(lines, header.keys))
        checkpoints = tuple(read_checkpoint(line) for line in islice(lines, header.checkpoints))
    except msgspec.DecodeError as error:
        raise NoExport(f"not an export of the audit: {error}") from error
    if header.format != FORMAT:
        raise NoExport(f"an export of another form, {header.format!r}; this release reads {FORMAT!r}")
    if (len(keys), len(checkpoints)) != (header.keys, header.checkpoints):
        raise NoExport("the export ends before its first entry")
    return Front(header, keys, checkpoints)


def read_entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    """Read entries, from lines with their ends or without. Raises: NoExport, at a line that is none."""
    try:
        yield from map(_read_entry, lines)
    except msgspec.DecodeError as error:
        raise NoExport(f"a line of the export is no entry: {error}") from error


def read_proof(document: bytes) -> EntryProof:
    """Read a proof of one entry. Raises: NoExport."""
    try:
        proof = _read_proof(document)
    except msgspec.DecodeError as error:
        raise NoExport(f"not a proof of an entry: {error}") from error
    if proof.format != PROOF_FORMAT:
        raise NoExport(f"a proof of another form, {proof.format!r}; this release reads {PROOF_FORMAT!r}")
    return proof


def complaint_of(proof: EntryProof, keys: Keys, told: Sequence[Checkpoint]) -> str:
    """Return why *proof* proves nothing; empty when it does.

    Args:
        keys: those that are trusted.
        told: checkpoints of a second place, if there is one: that of the proof has to be among them.
    """
    entry, sealed = proof.entry, proof.checkpoint
    if not is_signed(sealed, keys):
        return f"none of the {len(keys)} known keys has signed the checkpoint of {sealed.size} entries"
    if told and sealed.hash not in {item.hash for item in told}:
        return f"the second place does not know the checkpoint of {sealed.size} entries"
    if entry.tenant_id != sealed.tenant_id:
        return f"the entry is of {entry.tenant_id!r}, the checkpoint of {sealed.tenant_id!r}"
    if leaf_of(entry) != entry.leaf:
        return "the content of the entry does not give its leaf"
    if not includes(entry.leaf, entry.seq - 1, sealed.size, proof.path, sealed.root):
        return f"the path does not lead from number {entry.seq} to the signed root"
    return ""
