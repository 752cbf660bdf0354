"""Keeps and opens connections: puts the envelope, the key ring and the safe together."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from headwater.kernel.errors import InvalidInput, NotFound, PreconditionFailed
from headwater.kernel.secret import Secret
from headwater.sync.ports import StoreRaced
from headwater.sync.vault import envelope
from headwater.sync.vault.envelope import KEY_BYTES, Place, Randomness, RingKey
from headwater.sync.vault.ports import Kept, KeyRing, KeyRingFault, KeyView, Safe, WrappedKey

PUT_TRIES_MAX: Final = 5
FIELDS_MAX: Final = 32
VALUE_CHARS_MAX: Final = 16_384
"""Bounds of one connection: a private key in PEM is about 3,300 characters."""
OWN: Final = "headwater."
"""How names of connections begin that Headwater keeps for itself: nobody sets, removes or sends one."""
CONNECTION_PATTERN: Final = r"[a-z][a-z0-9_.-]{0,62}"
FIELD_PATTERN: Final = r"[a-z][a-z0-9_]{0,62}"


class Vault:
    """The connections of all tenants."""

    def __init__(self, safe: Safe, ring: KeyRing, randomness: Randomness = os.urandom) -> None:
        self.safe = safe
        self.ring = ring
        self.randomness = randomness

    async def put(self, tenant_id: str, connection: str, fields: Mapping[str, Secret], actor: str) -> int:
        """Keep *fields* as the connection's secret, under a new data key; return its version.

        A rotation that begins meanwhile, or another one who sets it, only makes this try again: the last one counts.

        Raises:
            PreconditionFailed: the vault has no key yet.
            KeyRingFault, Unavailable, StoreRaced.
        """
        _check(connection, fields)
        for _ in range(PUT_TRIES_MAX - 1):
            try:
                return await self._put(tenant_id, connection, fields, actor)
            except StoreRaced:
                continue
        return await self._put(tenant_id, connection, fields, actor)

    async def _put(self, tenant_id: str, connection: str, fields: Mapping[str, Secret], actor: str) -> int:
        key = await self.active_key()
        held = await self.safe.read(tenant_id, connection)
        place = Place(tenant_id, connection, 1 if held is None else held.wrapped.place.key_version + 1)
        data_key = self.randomness(KEY_BYTES)
        wrapped = WrappedKey(place, key.key_id, envelope.wrap(key, place, data_key, self.randomness))
        sealed = {
            name: envelope.seal(data_key, place, name, value.reveal(), self.randomness)
            for name, value in fields.items()
        }
        return await self.safe.write(Kept(wrapped, 0, sealed), actor)

    async def read(self, tenant_id: str, connection: str) -> tuple[Kept, dict[str, Secret]]:
        """Return the connection and its fields, opened.

        Raises:
            NotFound: there is none.
            NotOpened: it was tampered with.
            KeyRingFault: its key is not in the ring.
            Unavailable.
        """
        kept = await self.safe.read(tenant_id, connection)
        if kept is None:
            raise NotFound(
                f"the vault has no connection {connection!r} of tenant {tenant_id!r}; "
                f"store it with `headwater vault set {connection}` or `headwater connect`",
                reason="NO_CREDENTIALS",
            )
        data_key = await self._data_key(kept.wrapped)
        place = kept.wrapped.place
        opened = {
            name: Secret(envelope.unseal(data_key, place, name, sealed))
            for name, sealed in kept.fields.items()
        }
        return kept, opened

    async def sealed_beside(self, kept: Kept, fields: Mapping[str, Secret]) -> Kept:
        """Return *kept* with *fields* alone, sealed under its data key."""
        data_key = await self._data_key(kept.wrapped)
        place = kept.wrapped.place
        sealed = {
            name: envelope.seal(data_key, place, name, value.reveal(), self.randomness)
            for name, value in fields.items()
        }
        return replace(kept, fields=sealed)

    async def active_key(self) -> RingKey:
        """Return the key that wraps.

        Raises: PreconditionFailed, KeyRingFault.
        """
        active = next((view for view in await self.safe.keys() if view.state == "active"), None)
        if active is None:
            raise PreconditionFailed(
                "the vault has no key yet; make one with `headwater vault init`",
                reason="VAULT_NOT_INITIALISED",
            )
        return checked(await self.ring.read(), active, self.ring.where)

    async def _data_key(self, wrapped: WrappedKey) -> bytes:
        return self.opened_key(await self.ring.read(), wrapped)

    def opened_key(self, ring: Mapping[str, RingKey], wrapped: WrappedKey) -> bytes:
        """Return a data key, unwrapped.

        Raises: KeyRingFault, NotOpened.
        """
        key = ring.get(wrapped.key_id)
        if key is None:
            raise KeyRingFault(
                f"connection {wrapped.place.connection!r} needs key {wrapped.key_id!r}, "
                f"which is not in the key ring ({self.ring.where})"
            )
        return envelope.unwrap(key, wrapped.place, wrapped.sealed)


def checked(ring: Mapping[str, RingKey], view: KeyView, where: str) -> RingKey:
    """Return the ring's key for *view*.

    Raises: KeyRingFault when it is not there, or is another key of the same name.
    """
    key = ring.get(view.key_id)
    if key is None:
        raise KeyRingFault(f"key {view.key_id!r} is not in the key ring ({where})")
    if key.check_value() != view.check_value:
        raise KeyRingFault(
            f"key {view.key_id!r} in the key ring ({where}) is not the one that was used before"
        )
    return key


def check_free(connection: str) -> None:
    """Refuse a name that Headwater keeps for itself."""
    if connection.startswith(OWN):
        message = f"connection {connection[:63]!r}: names that begin with {OWN!r} are Headwater's own"
        raise InvalidInput(message, reason="BAD_NAME")


def _check(connection: str, fields: Mapping[str, Secret]) -> None:
    if not re.fullmatch(CONNECTION_PATTERN, connection):
        raise InvalidInput(
            f"connection {connection[:63]!r} must be a name as hubspot-main: a-z, 0-9, _ . -, at most 63",
            reason="BAD_NAME",
        )
    if not 1 <= len(fields) <= FIELDS_MAX:
        raise InvalidInput(f"a secret has 1 to {FIELDS_MAX} fields", reason="BAD_SECRET")
    for name, value in fields.items():
        if not re.fullmatch(FIELD_PATTERN, name):
            raise InvalidInput(f"field {name[:63]!r} must be a name as client_id", reason="BAD_NAME")
        if len(value.reveal()) > VALUE_CHARS_MAX:
            raise InvalidInput(
                f"field {name!r} has more than {VALUE_CHARS_MAX:,} characters", reason="BAD_SECRET"
            )
