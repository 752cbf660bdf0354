"""What an account is opened with, and the port that it comes by. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headwater.connectors.base.granting import GrantKeeper


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connector account is opened with.

    Args:
        values: the secret's texts; never logged.
        grants: keeps the account's tokens beyond this process; None where only the values are kept.
    """

    values: Mapping[str, str] = field(repr=False)
    grants: GrantKeeper | None = field(default=None, repr=False)


class Secrets(Protocol):
    """Where credentials come from."""

    async def read(self, tenant_id: str, reference: str) -> Credentials:
        """Return what *reference* (`env:NAME`, `vault:NAME`) names.

        Raises:
            InvalidInput, NotFound: it is missing, or is no JSON object of texts.
            NotOpened, KeyRingFault: it is in the vault and does not open.
            Unavailable.
        """
        ...
