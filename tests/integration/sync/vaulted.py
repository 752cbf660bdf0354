"""A vault on a database and a key ring of the test's own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headwater.kernel.clock import SteppedClock
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.secret import Secret
from headwater.sync.store.vault import PostgresSafe
from headwater.sync.vault import rotating
from headwater.sync.vault.rings import FileRing
from headwater.sync.vault.vault import Vault

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

TENANT: Final = "acme"
OAUTH: Final = {"client_id": "application-7", "client_secret": "s3cret", "refresh_token": "refresh-0"}


@dataclass(slots=True)
class VaultWorld:
    """One vault, and its database to look into."""

    pool: Pool
    vault: Vault
    path: Path
    clock: SteppedClock

    async def fill(self, count: int) -> None:
        """Store that many connections."""
        for number in range(count):
            await self.put(f"crm-{number:05}", token=f"token-{number}")

    async def put(self, connection: str, **fields: str) -> int:
        """Store one connection."""
        return await self.vault.put(
            TENANT, connection, {name: Secret(value) for name, value in fields.items()}, "ann"
        )

    async def opened(self, connection: str) -> dict[str, str]:
        """Return a connection's fields in plain."""
        _, fields = await self.vault.read(TENANT, connection)
        return {name: value.reveal() for name, value in fields.items()}

    async def states(self) -> dict[str, tuple[str, int]]:
        """Return state and uses of every key."""
        return {view.key_id: (view.state, view.connections) for view in await self.vault.safe.keys()}

    def another(self) -> Vault:
        """Return the vault as another process has it."""
        return Vault(PostgresSafe(self.pool), FileRing(self.path), os.urandom)


@asynccontextmanager
async def vault_world(database_url: str, directory: Path) -> AsyncIterator[VaultWorld]:
    """Yield a vault that has its first key."""
    path, clock = directory / "vault-keys.json", SteppedClock()
    async with await open_pool(database_url, application_name="test", size_max=8) as pool:
        vault = Vault(PostgresSafe(pool), FileRing(path), os.urandom)
        await rotating.initialise(vault, clock.now())
        yield VaultWorld(pool, vault, path, clock)
