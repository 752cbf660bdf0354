"""What keeping and proving the audit needs of others, in its own words. Stores may raise Unavailable."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater.audit.checkpoints import Checkpoint, PublicKey
from headwater.audit.entries import Entry
from headwater.audit.merkle import Span
from headwater.kernel.errors import HeadwaterError
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.operating import AuditEntry


class SecondPlaceFailed(HeadwaterError):
    """The second place of checkpoints cannot be read or written, or the key cannot."""

    default_reason = "SECOND_PLACE_FAILED"


@dataclass(frozen=True, slots=True)
class Head:
    """A tenant's tree that has grown beyond its last checkpoint.

    Args:
        finding: why nothing was signed the last time; empty when nothing hindered.
    """

    tenant_id: str
    size: int
    finding: str
    last: Checkpoint | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant's audit stands: entries numbered, of them under a checkpoint, and what hinders signing."""

    size: int
    sealed: int
    finding: str


class Trail(Protocol):
    """Where the tree is kept. What writes raises FenceLost, StoreRaced, StoreRefused."""

    async def pending(self, after: str, limit: int) -> list[tuple[str, bool]]:
        """Return up to *limit* tenants behind *after* by name, and whether entries of theirs wait for a number."""
        ...

    async def number(self, lease: Lease, tenants: Collection[str], entries_max: int) -> int:
        """Number the next entries of *tenants*, at most *entries_max* of each; return how many, all in all."""
        ...

    async def heads(self, after: str, limit: int) -> list[Head]:
        """Return up to *limit* heads beyond their checkpoint, behind the tenant *after* by name."""
        ...

    async def root(self, tenant_id: str, size: int) -> bytes:
        """Return the root over the first *size* entries; *size* is the head's, or the tree has grown since."""
        ...

    async def seal(self, lease: Lease, checkpoint: Checkpoint, key: PublicKey) -> None:
        """Keep a checkpoint, and the key that it was signed with."""
        ...

    async def note(self, lease: Lease, tenant_id: str, finding: str) -> None:
        """Note why nothing is signed; empty when nothing hinders any more."""
        ...

    async def checkpoints(self, tenant_id: str, above: int, limit: int) -> list[Checkpoint]:
        """Return up to *limit* checkpoints of more than *above* entries, the smallest first."""
        ...


class SecondPlace(Protocol):
    """Where checkpoints are told, out of reach of whoever can write the database. Raises SecondPlaceFailed."""

    async def last(self, tenant_id: str) -> Checkpoint | None:
        """Return the checkpoint told last; None when none ever was."""
        ...

    async def tell(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep *checkpoints* of one tenant for good, in order, before returning."""
        ...

    async def tell_key(self, key: PublicKey) -> None:
        """Keep a public key for good. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are looked for; None: whatever it is.

    Args:
        since: not older.
        until: older.
    """

    entity_id: uuid.UUID | None = None
    event_key: uuid.UUID | None = None
    actor: str | None = None
    action: str | None = None
    connector: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


Place = tuple[int, int]
"""Transaction and audit id of an entry: the order that entries are numbered in."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came upon.

    Args:
        next_place: before which to go on; None when everything was looked at.
    """

    entries: tuple[AuditEntry, ...]
    next_place: Place | None


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure came to.

    Args:
        entries: of the audit that lost their values.
        traces: rows of other tables that did: approvals, answers of providers, snapshots of merges, errors.
        held: merges of the entity's records that are under way and keep their snapshots until they end.
    """

    entries: int
    traces: int
    held: int


class ProvableAudit(Protocol):
    """Reading the audit with what it takes to prove it."""

    async def standing(self, tenant_id: str) -> Standing:
        """Return how the audit stands."""
        ...

    async def keys(self) -> list[PublicKey]:
        """Return every public key, the oldest first."""
        ...

    async def checkpoints(self, tenant_id: str, above: int, limit: int) -> list[Checkpoint]:
        """Return up to *limit* checkpoints of more than *above* entries, the smallest first."""
        ...

    async def leaves(self, tenant_id: str, tile: int) -> list[Entry]:
        """Return the entries of a tile of leaves, those missing and those never numbered among them."""
        ...

    async def number_of(self, tenant_id: str, audit_id: int) -> int | None:
        """Return the number of an entry; None when it has none."""
        ...

    async def roots(self, tenant_id: str, spans: Sequence[Span]) -> list[bytes]:
        """Return the roots of spans of the tree.

        Raises:
            PreconditionFailed: the tree as stored does not hold them: it is damaged.
        """
        ...

    async def erasable(self, tenant_id: str, entity_id: uuid.UUID) -> Erased:
        """Return what `erase` would erase; changes nothing."""
        ...

    async def erase(self, tenant_id: str, entity_id: uuid.UUID, actor: str, reason: str) -> Erased:
        """Erase the values of an entity's entries, with an entry of its own, and those that other tables keep."""
        ...

    async def search(self, tenant_id: str, wanted: Wanted, before: Place | None, limit: int) -> Found:
        """Return entries that fit, newest first, before a place.

        Args:
            limit: found at most; fewer, with a next place, when as many were looked at as one call may.
        """
        ...
