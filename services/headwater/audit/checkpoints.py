"""Signed heads of a tenant's tree, each bound to the one before; their line of JSON, keys and the check of a chain.

A checkpoint is a promise about all entries up to its size: whoever holds it can show later that one was changed. Signed
bytes, all numbers big-endian: "headwater-audit-checkpoint" 00 01, length of the tenant as int32, tenant, size as
int64, root, time as int64 microseconds since 1970 UTC, hash of the checkpoint before (zeros: the first), key id. The
hash of a checkpoint is SHA-256 over these bytes; its key id is SHA-256 over the raw public key.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FIRST: Final = bytes(32)
"""The hash before the first checkpoint."""
_DOMAIN: Final = b"headwater-audit-checkpoint\x00\x01"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class Checkpoint(msgspec.Struct, frozen=True):
    """A signed head of a tree.

    Args:
        size: entries under it.
        previous: hash of the checkpoint before; zeros for the first.
        key_id: SHA-256 over the public key, 32 bytes.
    """

    tenant_id: str
    size: int
    root: bytes
    time: dt.datetime
    previous: bytes
    key_id: bytes
    signature: bytes = b""

    @property
    def body(self) -> bytes:
        """The bytes that are signed."""
        tenant = self.tenant_id.encode()
        moment = (self.time - _EPOCH) // _MICROSECOND
        return b"".join(
            (
                _DOMAIN,
                struct.pack(">i", len(tenant)),
                tenant,
                struct.pack(">q", self.size),
                self.root,
                struct.pack(">q", moment),
                self.previous,
                self.key_id,
            )
        )

    @property
    def hash(self) -> bytes:
        """What the next checkpoint names."""
        return sha256(self.body).digest()


class PublicKey(msgspec.Struct, frozen=True):
    """A key that checkpoints are or were signed with: 32 raw bytes of Ed25519."""

    key_id: bytes
    public_key: bytes
    create_time: dt.datetime


Keys = Mapping[bytes, bytes]
"""Key id to public key."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    private_key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """The raw public key."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        """The id of the key."""
        return key_id_of(self.public_key)

    def sign(self, tenant_id: str, size: int, root: bytes, time: dt.datetime, previous: bytes) -> Checkpoint:
        """Return the signed checkpoint."""
        unsigned = Checkpoint(tenant_id, size, root, time, previous, self.key_id)
        return msgspec.structs.replace(unsigned, signature=self.private_key.sign(unsigned.body))


def key_id_of(public_key: bytes) -> bytes:
    """Return the id of a public key."""
    return sha256(public_key).digest()


def keys_of(found: Iterable[PublicKey]) -> dict[bytes, bytes]:
    """Return keys by the id that they really have, whatever was said."""
    return {key_id_of(key.public_key): key.public_key for key in found}


def is_signed(checkpoint: Checkpoint, keys: Keys) -> bool:
    """Say whether one of *keys* signed *checkpoint*."""
    public = keys.get(checkpoint.key_id)
    if public is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(checkpoint.signature, checkpoint.body)
    except (InvalidSignature, ValueError):
        return False
    return True


_encode: Final = msgspec.json.Encoder().encode
_read_checkpoint: Final = msgspec.json.Decoder(Checkpoint).decode
_read_key: Final = msgspec.json.Decoder(PublicKey).decode


def write_line(item: Checkpoint | PublicKey) -> bytes:
    """Return one line of JSON, without its end; bytes are base64."""
    return _encode(item)


def read_checkpoint(line: bytes) -> Checkpoint:
    """Read a line. Raises: msgspec.DecodeError."""
    return _read_checkpoint(line)


def read_key(line: bytes) -> PublicKey:
    """Read a line. Raises: msgspec.DecodeError."""
    return _read_key(line)
