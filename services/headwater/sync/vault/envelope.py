"""Sealing and opening: AES-256-GCM, a random 96-bit nonce, and associated data that names the place. Pure.

What is sealed for one tenant, connection, field and key version opens nowhere else: a row moved or exchanged in the
database is refused, not read.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headwater.kernel.errors import HeadwaterError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""Source: NIST SP 800-38D, 8.2: random 96-bit nonces, fewer than 2^32 of them under one key."""
CHECK_BYTES: Final = 16
_CHECK_LABEL: Final = b"headwater vault key check v1"
_FIELD: Final = b"field"
_DATA_KEY: Final = b"data key"

Randomness = Callable[[int], bytes]
"""Returns that many random bytes, as `os.urandom`."""


class NotOpened(HeadwaterError):
    """It was sealed for another place or with another key, or was changed since."""

    default_reason = "VAULT_NOT_OPENED"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Something sealed: the nonce and the text with its tag."""

    nonce: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a data key and what is sealed with it belong.

    Args:
        key_version: which data key of the connection it is, from 1.
    """

    tenant_id: str
    connection: str
    key_version: int


@dataclass(frozen=True, slots=True)
class RingKey:
    """One key of the ring."""

    key_id: str
    material: bytes = field(repr=False)

    def check_value(self) -> bytes:
        """Return what tells this key from another one of the same name, and nothing about it."""
        return hmac.digest(self.material, _CHECK_LABEL, "sha256")[:CHECK_BYTES]


def seal(data_key: bytes, place: Place, name: str, value: str, randomness: Randomness) -> Sealed:
    """Seal the field *name* of a connection."""
    return _sealed(data_key, value.encode(), _field_data(place, name), randomness)


def unseal(data_key: bytes, place: Place, name: str, sealed: Sealed) -> str:
    """Return the field *name* of a connection.

    Raises: NotOpened.
    """
    what = f"field {name!r} of connection {place.connection!r}"
    return _opened(data_key, sealed, _field_data(place, name), what).decode()


def wrap(key: RingKey, place: Place, data_key: bytes, randomness: Randomness) -> Sealed:
    """Seal a data key with a key of the ring."""
    return _sealed(key.material, data_key, _key_data(place, key.key_id), randomness)


def unwrap(key: RingKey, place: Place, sealed: Sealed) -> bytes:
    """Return the data key.

    Raises: NotOpened.
    """
    what = f"the data key of connection {place.connection!r}, wrapped by key {key.key_id!r},"
    return _opened(key.material, sealed, _key_data(place, key.key_id), what)


def _sealed(key: bytes, text: bytes, associated: bytes, randomness: Randomness) -> Sealed:
    nonce = randomness(NONCE_BYTES)
    return Sealed(nonce, AESGCM(key).encrypt(nonce, text, associated))


def _opened(key: bytes, sealed: Sealed, associated: bytes, what: str) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed.nonce, sealed.text, associated)
    except (InvalidTag, ValueError) as error:
        raise NotOpened(f"{what} does not open: it was changed, moved, or sealed with another key") from error


def _field_data(place: Place, name: str) -> bytes:
    return _joined(_FIELD, place, name)


def _key_data(place: Place, key_id: str) -> bytes:
    return _joined(_DATA_KEY, place, key_id)


def _joined(purpose: bytes, place: Place, name: str) -> bytes:
    """Join with lengths: no two different lists of parts give the same bytes."""
    parts = (
        purpose,
        place.tenant_id.encode(),
        place.connection.encode(),
        name.encode(),
        str(place.key_version).encode(),
    )
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
