"""What an account holds that ends by itself: credentials, webhook subscriptions, watches.

Owns the port and what credentials themselves say. A connector that knows more (a subscription it made) says so
by the same port; whether to warn or to renew is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

from headwater.kernel.errors import InvalidInput

ExpiryKind = Literal["token", "subscription", "watch"]
EXPIRE_SUFFIX: Final = "_expire_time"
"""A credential's part `refresh_token_expire_time` says when its part `refresh_token` ends, ISO 8601 with offset."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something that ends.

    Args:
        subject: what, unique in its account, as `refresh_token` or a subscription's id.
        renewable: `renew` can put the end off without a person.
    """

    kind: ExpiryKind
    subject: str
    expire_time: dt.datetime
    renewable: bool = False


@runtime_checkable
class Expiring(Protocol):
    """A connector that knows what of it ends."""

    async def expiries(self) -> Sequence[Expiry]:
        """Return everything that ends. Raises: CallFailed."""
        ...

    async def renew(self, expiry: Expiry) -> Expiry:
        """Put off the end of a renewable one; return it as it is now. Raises: CallFailed."""
        ...


def credential_expiries(account: str, credentials: Mapping[str, str]) -> tuple[Expiry, ...]:
    """Return the ends that the credentials state themselves, by part.

    Raises:
        InvalidInput: one is no time with its offset.
    """
    return tuple(
        Expiry("token", name.removesuffix(EXPIRE_SUFFIX), _moment(account, name, text))
        for name, text in sorted(credentials.items())
        if name.endswith(EXPIRE_SUFFIX) and text
    )


def _moment(account: str, name: str, text: str) -> dt.datetime:
    moment = None
    with contextlib.suppress(ValueError):
        moment = dt.datetime.fromisoformat(text)
    if moment is None or moment.tzinfo is None:
        message = f"credentials of connector {account!r}: {name} must be a time as 2026-01-31T12:00:00Z"
        raise InvalidInput(message, reason="CREDENTIALS_MALFORMED")
    return moment.astimezone(dt.UTC)
