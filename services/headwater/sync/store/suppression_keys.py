"""The keys by which erased people are known again: sealed in the vault where it has a key, else beside the hashes.

A database alone must not tell who was erased: whoever has key and hashes can try addresses. Sealed, a key is a
connection of the vault like others, so that `headwater vault rotate` wraps it anew and `retire` waits for it. A key that
was made before the vault had one of its own is sealed when a process first needs it. Owns making, sealing and opening.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Final

import anyio

from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.kernel.pg import queries
from headwater.kernel.secret import Secret
from headwater.kernel.tenancy import every_tenant
from headwater.sync.projector.suppressing import SuppressionKeyClosed
from headwater.sync.store.faults import translated
from headwater.sync.vault.envelope import NotOpened
from headwater.sync.vault.ports import KeyRingFault
from headwater.sync.vault.vault import OWN

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool
    from headwater.sync.vault.vault import Vault

_SQL: Final = queries.load("headwater.sync", "erasure.sql")
KEY_BYTES: Final = 32
CONNECTION: Final = f"{OWN}suppression"
FIELD: Final = "key"
ACTOR: Final = "headwater"
TENANTS_MAX: Final = 10_000
"""Keys that a process remembers; then it forgets all and asks again."""


class PostgresSuppressionKeys:
    """Keys of all tenants.

    Args:
        vault: that seals them; None: none does.
    """

    def __init__(self, pool: Pool, vault: Vault | None = None) -> None:
        self._pool = pool
        self._vault = vault
        self._held: dict[str, bytes] = {}
        self._making = anyio.Lock()
        """Whoever makes one holds a connection and needs another: one at a time, or all would wait for each other."""

    async def key(self, tenant_id: str) -> bytes:
        """Return the key of a tenant's hashes, made when it is wanted first.

        Raises: Unavailable; KeyRingFault, a new one cannot be sealed.
        """
        if (held := self._held.get(tenant_id)) is not None:
            return held
        with every_tenant():  # the vault is the service's own, whoever asks for an erasure
            found = await self._find(tenant_id)
            return self._remember(tenant_id, await self._make(tenant_id) if found is None else found)

    async def opened(self, tenant_id: str, plain: bytes | None) -> bytes:
        """Return the key of a tenant that has hashes.

        Args:
            plain: as it is beside the hashes; None: the vault has it.

        Raises: SuppressionKeyClosed, it cannot be opened: nobody is taken in unasked meanwhile; Unavailable.
        """
        if (held := self._held.get(tenant_id)) is not None:
            return held
        found = await self._find(tenant_id, plain)
        if found is None:
            raise _gone(tenant_id)
        return self._remember(tenant_id, found)

    def _remember(self, tenant_id: str, key: bytes) -> bytes:
        if len(self._held) >= TENANTS_MAX:
            self._held.clear()
        self._held[tenant_id] = key
        return key

    async def _find(self, tenant_id: str, plain: bytes | None = None) -> bytes | None:
        """Return the key; one that is not sealed yet is, where that can be done."""
        if plain is None:
            async with translated():
                plain = await self._pool.fetchval(_SQL["read_suppression_key"].text, tenant_id)
        if plain is None:
            return await self._open(tenant_id)
        try:
            if await self._seals():
                await self._seal(tenant_id, bytes(plain))
        except KeyRingFault:
            pass  # it stays where it is, and is as good; `headwater vault status` tells of the ring
        return bytes(plain)

    async def _open(self, tenant_id: str) -> bytes | None:
        if self._vault is None:
            return None
        try:
            _, fields = await self._vault.read(tenant_id, CONNECTION)
        except NotFound:
            return None
        except (KeyRingFault, NotOpened) as error:
            raise SuppressionKeyClosed(
                f"the key that knows erased people of tenant {tenant_id!r} does not open: {error.message}; put the vault's "
                "key back (headwater vault status): its events wait until then, and go on by themselves"
            ) from error
        return base64.b64decode(fields[FIELD].reveal())

    async def _seals(self) -> bool:
        try:
            return self._vault is not None and bool(await self._vault.active_key())
        except PreconditionFailed:
            return False

    async def _make(self, tenant_id: str) -> bytes:
        """Make a key, one process at a time: whoever was later finds it. None beside hashes of another key."""
        async with (
            self._making,
            translated(),
            self._pool.acquire() as connection,
            connection.transaction(),
        ):
            await connection.execute(_SQL["lock_suppression_key"].text, tenant_id)
            found = await self._find(tenant_id)
            if found is not None:
                return found
            if await connection.fetchval(_SQL["has_suppressions"].text, tenant_id):
                raise _gone(tenant_id)
            fresh = secrets.token_bytes(KEY_BYTES)
            if await self._seals():
                await self._put(tenant_id, fresh)
            else:
                await connection.execute(_SQL["make_suppression_key"].text, tenant_id, fresh)
            return fresh

    async def _seal(self, tenant_id: str, key: bytes) -> None:
        """Put a key into the vault, then take it from beside the hashes: between the two it is in both, and the same."""
        await self._put(tenant_id, key)
        async with translated():
            await self._pool.execute(_SQL["drop_suppression_key"].text, tenant_id)

    async def _put(self, tenant_id: str, key: bytes) -> None:
        assert self._vault is not None  # noqa: S101 - asked before
        await self._vault.put(tenant_id, CONNECTION, {FIELD: Secret(base64.b64encode(key).decode())}, ACTOR)


def _gone(tenant_id: str) -> SuppressionKeyClosed:
    return SuppressionKeyClosed(
        f"the key that knows erased people of tenant {tenant_id!r} is gone: restore the vault's connection "
        f"{CONNECTION!r}, or lift the suppressions"
    )
