"""Opens accounts' credentials by reference: from the environment, or from the vault with a keeper of their tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from headwater.kernel.errors import NotFound
from headwater.sync.delivery.credentials import Credentials
from headwater.sync.secrets import EnvironmentSecrets
from headwater.sync.vault.grants import OWN_FIELDS, VaultGrants
from headwater.sync.vault.vault import Vault, check_free
from headwater.sync.wakeup import read_accounts

VAULT: Final = "vault:"


class AccountSecrets:
    """Port `Secrets` over both places."""

    def __init__(self, environment: EnvironmentSecrets, vault: Vault, process: str) -> None:
        self._environment = environment
        self._vault = vault
        self._process = process

    async def read(self, tenant_id: str, reference: str) -> Credentials:
        """Return what a reference names; see the port."""
        if not reference.startswith(VAULT):
            return Credentials(self._environment.read(reference))
        connection = reference.removeprefix(VAULT)
        check_free(connection)
        _, fields = await self._vault.read(tenant_id, connection)
        values = {name: value.reveal() for name, value in fields.items() if name not in OWN_FIELDS}
        holder = f"{self._process}:{secrets.token_hex(4)}"
        return Credentials(values, VaultGrants(self._vault, tenant_id, connection, holder))

    async def read_field(self, tenant_id: str, connection: str, name: str) -> str:
        """Return one field of a connection of the vault; empty where there is no such connection or field.

        Raises: KeyRingFault, NotOpened, Unavailable.
        """
        check_free(connection)
        try:
            _, fields = await self._vault.read(tenant_id, connection)
        except NotFound:
            return ""
        value = fields.get(name)
        return "" if value is None else value.reveal()


class HasSecret(Protocol):
    """A running account, as far as its secret goes."""

    @property
    def secret(self) -> str:
        """Return where the secret is."""
        ...

    def reopen(self) -> None:
        """Open the account anew."""
        ...


def reopen_changed(accounts: Mapping[tuple[str, str], HasSecret], payload: str) -> None:
    """Reopen the accounts whose secret a notification names; all of the vault's when it names none."""
    named = _references(read_accounts(payload))
    for (tenant_id, _), account in accounts.items():
        if account.secret.startswith(VAULT) and (not named or (tenant_id, account.secret) in named):
            account.reopen()


def _references(connections: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(tenant_id, f"{VAULT}{connection}") for tenant_id, connection in connections}
