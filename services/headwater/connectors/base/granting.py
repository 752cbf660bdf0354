"""What passes between a token endpoint, an account's tokens and who keeps them. Values and a port; no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token endpoint gave.

    Args:
        access_token: the bearer token.
        expires_in_s: its life; None when the vendor does not say.
        refresh_token: the next refresh token; "" keeps the present one.
        base_url: where to call from now on; "" keeps the account's.
        scopes: what it was granted; None where the vendor did not tell.
    """

    access_token: str = field(repr=False)
    expires_in_s: float | None = None
    refresh_token: str = field(default="", repr=False)
    base_url: str = ""
    scopes: tuple[str, ...] | None = None


Fetch = Callable[[str], Awaitable[Grant]]
"""Asks the token endpoint, with the refresh token given. Raises CallFailed."""


class GrantKeeper(Protocol):
    """Keeps one connection's tokens for every process that uses it."""

    async def renewed(self, refused_token: str, fetch: Fetch) -> Grant:
        """Return a kept token other than *refused_token*, or fetch one: one process at a time does.

        A new grant is kept, durably, before it is returned: a rotated refresh token is never lost by a crash.
        Raises: CallFailed.
        """
        ...
