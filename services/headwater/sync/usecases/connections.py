"""What others may have of the vault: a webhook's secrets, and whether an account's credentials work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from headwater.connectors.base import Account, Connector, Report, load_vendor
from headwater.connectors.base.asking import OpenGate
from headwater.connectors.base.trying import try_account
from headwater.kernel.errors import HeadwaterError, NotFound
from headwater.policy.document import ConnectorPolicy
from headwater.policy.scoping import access_of
from headwater.sync.delivery.credentials import Secrets
from headwater.sync.ports import Policies

VAULT: Final = "vault:"
FIELD: Final = "secret"
"""Field of a connection that holds a webhook's secret."""

OpenAccount = Callable[[str, Account], Connector]
"""Opens an account of a vendor."""


class ReadsFields(Protocol):
    """The vault, as far as one field of a connection goes."""

    async def read_field(self, tenant_id: str, connection: str, name: str) -> str:
        """Return a field; empty where there is no such connection or field. Raises: KeyRingFault, NotOpened, Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """One secret; empty where the vault has none."""

    reference: str
    secret: str


def open_account(vendor: str, account: Account) -> Connector:
    """Open *account* for a few questions."""
    return load_vendor(vendor).open(account, OpenGate())


class Connections:
    """The use cases of connections."""

    def __init__(
        self, policies: Policies, vault: ReadsFields, secrets: Secrets, opened: OpenAccount = open_account
    ) -> None:
        self._policies = policies
        self._vault = vault
        self._secrets = secrets
        self._opened = opened

    async def webhook_secrets(self, tenant_id: str, source: str) -> Sequence[Opened]:
        """Return what the policy in force names of the vault for the webhook of *source*.

        Raises:
            NotFound: there is no such policy, source or webhook.
            KeyRingFault, NotOpened, Unavailable.
        """
        document = self._policies.current().get(tenant_id)
        system = document.systems.get(source) if document else None
        if system is None or system.webhook is None:
            raise NotFound("no such webhook", reason="UNKNOWN_WEBHOOK")
        named = [reference for reference in system.webhook.secrets if reference.startswith(VAULT)]
        return [
            Opened(reference, await self._vault.read_field(tenant_id, reference.removeprefix(VAULT), FIELD))
            for reference in named
        ]

    async def tried(self, tenant_id: str, connector: str) -> Report:
        """Try an account with its credentials.

        Raises:
            NotFound: the policy in force has no such account.
        """
        document = self._policies.current().get(tenant_id)
        policy = document.connectors.get(connector) if document else None
        if document is None or policy is None:
            raise NotFound(f"the policy in force has no connector {connector!r}", reason="UNKNOWN_CONNECTOR")
        try:
            account = await self._account(tenant_id, connector, policy)
            opened = self._opened(policy.vendor, account)
        except HeadwaterError as refused:  # what it says never holds a secret
            return Report(ok=False, findings=(refused.message,))
        try:
            return await try_account(connector, policy.vendor, access_of(document, connector), opened)
        finally:
            await opened.aclose()

    async def _account(self, tenant_id: str, name: str, policy: ConnectorPolicy) -> Account:
        kept = await self._secrets.read(tenant_id, policy.credentials)
        return Account(
            name,
            policy.base_url.rstrip("/"),
            kept.values,
            policy.timeout_s,
            networks=policy.networks,
            grants=kept.grants,
        )
