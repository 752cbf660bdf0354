"""What the vault needs: a ring of keys and a safe for what is sealed; and the values that pass between them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from headwater.kernel.errors import HeadwaterError
from headwater.sync.vault.envelope import Place, RingKey, Sealed

KeyState = Literal["active", "decrypt_only", "retired"]
GrantState = Literal["ready", "reauthorize"]


class KeyRingFault(HeadwaterError):
    """The ring cannot be used as it stands: missing, unreadable, a key of it missing or another one."""

    default_reason = "VAULT_KEY_RING"


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key of the ring as the database knows it, without the key.

    Args:
        connections: data keys that are wrapped by it now.
    """

    key_id: str
    state: KeyState
    check_value: bytes
    state_time: dt.datetime
    connections: int


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A connection's data key as it is kept."""

    place: Place
    key_id: str
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Kept:
    """A connection as the safe holds it.

    Args:
        version: counts every change of what is sealed.
        left_s: life of the access token from now; None when it is not known.
        pause_s: how long nobody else may refresh: one does, or the last one failed.
    """

    wrapped: WrappedKey
    version: int
    fields: Mapping[str, Sealed]
    state: GrantState = "ready"
    finding: str = ""
    left_s: float | None = None
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A connection for those who look: names of fields, never their values."""

    connection: str
    fields: tuple[str, ...]
    version: int
    key_id: str
    state: GrantState
    finding: str
    update_time: dt.datetime


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """A data key in its new wrapping, valid while the old one is still there."""

    old: WrappedKey
    sealed: Sealed = field(repr=False)


class KeyRing(Protocol):
    """Where the keys are. It holds material; the database holds their states."""

    @property
    def where(self) -> str:
        """Return the ring's place, for messages."""
        ...

    async def read(self) -> Mapping[str, RingKey]:
        """Return every key by id, the oldest first; a change is seen at the next call.

        Raises: KeyRingFault.
        """
        ...

    async def add(self, key: RingKey) -> None:
        """Keep a new key, durably, before it is used.

        Raises: KeyRingFault when the ring cannot be written.
        """
        ...

    async def discard(self, key_id: str) -> None:
        """Forget a retired key.

        Raises: KeyRingFault when the ring cannot be written.
        """
        ...


class Safe(Protocol):
    """What is sealed, and the states of keys. Raises Unavailable, StoreRaced, StoreRefused."""

    async def keys(self) -> tuple[KeyView, ...]:
        """Return the keys known, the oldest first."""
        ...

    async def promote(self, key_id: str, check_value: bytes, expected: str) -> bool:
        """Make a new key the active one in place of *expected* ("" for none), which then only opens.

        Returns False, without a change, when another one is active by now.
        """
        ...

    async def retire(self, key_id: str) -> int:
        """Retire a key unless a data key is wrapped by it; return how many are: 0 means that it is retired.

        Exact: nobody can wrap with a key that is not active, and this waits for those who are at it.
        """
        ...

    async def write(self, kept: Kept, actor: str) -> int:
        """Keep a connection in place of what was there, with audit and wake-up; return its version."""
        ...

    async def read(self, tenant_id: str, connection: str) -> Kept | None:
        """Return a connection; None when there is none."""
        ...

    async def connections(self, tenant_id: str) -> tuple[ConnectionView, ...]:
        """Return a tenant's connections by name."""
        ...

    async def remove(self, tenant_id: str, connection: str, actor: str) -> bool:
        """Remove a connection, with audit and wake-up; False when there was none."""
        ...

    async def wrapped_by(
        self, key_ids: Sequence[str], after: tuple[str, str], limit: int
    ) -> tuple[WrappedKey, ...]:
        """Return up to *limit* data keys wrapped by *key_ids*, behind tenant and connection *after*."""
        ...

    async def rewrap(self, key_id: str, keys: Sequence[Rewrapped]) -> int:
        """Exchange wrappings in one transaction; return how many: those changed meanwhile are left alone."""
        ...

    async def claim_refresh(
        self, tenant_id: str, connection: str, version: int, holder: str, ttl_s: float
    ) -> bool:
        """Become the one who refreshes *version*; False when another one is, or it is another version by now."""
        ...

    async def settle_refresh(self, kept: Kept, holder: str, life_s: float | None) -> bool:
        """Keep the fields of *kept* beside the others; False when the claim was lost or the secret set anew."""
        ...

    async def fail_refresh(self, kept: Kept, holder: str, finding: str, pause_s: float) -> None:
        """Give the claim back; with a *finding*, the connection must be authorised again."""
        ...
