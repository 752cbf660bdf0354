"""What erasing people needs of others, in its own words."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from headwater.sync.domain.erasing import HeldRecord, Subject
from headwater.sync.domain.leasing import Lease


@dataclass(frozen=True, slots=True)
class Order:
    """An order to erase a person that is being worked on.

    Args:
        records: names of the person's records, each with an event that spoke of it, where one is known.
        texts: addresses, and numbers as `tel:46:8123456`.
        tries: how often it was looked at in its state in vain.
    """

    tenant_id: str
    erasure_id: uuid.UUID
    state: str
    actor: str
    reason: str
    entities: tuple[uuid.UUID, ...]
    records: tuple[HeldRecord, ...]
    texts: tuple[str, ...]
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """What is found of a person now.

    Args:
        digests: keyed hash of an identifier to its kind.
        places: records of accounts that sources' records name: account, CRM object, CRM id.
    """

    entities: tuple[uuid.UUID, ...]
    records: tuple[HeldRecord, ...]
    texts: tuple[str, ...]
    digests: Mapping[bytes, str] = field(repr=False)
    places: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A record of a CRM that is to be erased."""

    tenant_id: str
    connector: str
    erasure_id: uuid.UUID
    crm_object: str
    crm_id: str
    state: str
    tries: int


@dataclass(frozen=True, slots=True)
class Settled:
    """How far a record of a CRM is.

    Args:
        wait_s: until it is tried again.
    """

    target: Target
    state: str
    method: str = ""
    finding: str = ""
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetView:
    """A record of a CRM as operators see it."""

    connector: str
    crm_object: str
    crm_id: str
    state: str
    method: str = ""
    tries: int = 0
    finding: str = ""
    erase_time: dt.datetime | None = None
    verify_time: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ErasureView:
    """An order as operators see it; once it is done, its certificate."""

    erasure_id: uuid.UUID
    state: str
    actor: str
    reason: str
    request_time: dt.datetime
    deadline_time: dt.datetime
    end_time: dt.datetime | None
    overdue: bool
    finding: str
    steps: tuple[Mapping[str, Any], ...]
    entities: tuple[uuid.UUID, ...]
    suppressed: int
    targets: tuple[TargetView, ...] = ()


@dataclass(frozen=True, slots=True)
class Traced:
    """Events of a person that are not erased."""

    keys: tuple[uuid.UUID, ...]
    quarantined: int = 0
    archived: int = 0


MENTIONS_MAX: Final = 100
"""Records of others that are named; whether there are more is said."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Records of others whose values hold an address or a number of the person, as free text does: they are told, not erased.

    Args:
        records: names, as `contact erp/c-7`; the first `MENTIONS_MAX`, those with an address before those with a number.
        complete: there are no more, and all were looked at.
    """

    records: tuple[str, ...]
    complete: bool = True

    def step(self) -> dict[str, Any]:
        """Return what the certificate says of it."""
        counts = {
            "records of others": len(self.records),
            "not looked at or not named": int(not self.complete),
        }
        return {"step": "mentions", "counts": counts, "records": list(self.records)}


class Finding(Protocol):
    """Looks for people. Every method raises Unavailable."""

    async def entities_of(self, tenant_id: str, subject: Subject) -> Sequence[uuid.UUID]:
        """Return the entities that *subject* names, merged ones and activities that name one of them with them."""
        ...

    async def closure(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
        """Return entities with those merged with them, and the activities that name one."""
        ...

    async def records_of(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Sequence[HeldRecord]:
        """Return the sources' records of entities."""
        ...

    async def key(self, tenant_id: str) -> bytes:
        """Return the key of a tenant's hashes."""
        ...

    async def mentions(self, tenant_id: str, entities: Sequence[uuid.UUID], texts: Sequence[str]) -> Mentions:
        """Look for *texts* in what records of other entities say now."""
        ...

    async def trace(self, tenant_id: str, records: Sequence[HeldRecord], texts: Sequence[str]) -> Traced:
        """Return the events of records in the log and in quarantine that are not erased."""
        ...


class Forgetting(Protocol):
    """Identity, as far as it forgets."""

    async def erase(
        self, tenant_id: str, records: Sequence[HeldRecord], *, dry_run: bool = False
    ) -> Mapping[str, int]:
        """Empty records of all that identity knows of them; return counts of what went. Raises: Unavailable."""
        ...


class ErasureBook(Finding, Protocol):
    """Orders and how far they are. Every method may raise Unavailable and StoreRaced; those with a lease, FenceLost."""

    async def claim(self, seconds: float, limit: int) -> Sequence[Order]:
        """Return orders that are due; nobody else gets them for so long."""
        ...

    async def drained(self, order: Order) -> bool:
        """Say whether all that was under way when the order was heard of has ended."""
        ...

    async def extend(self, order: Order, person: Person) -> None:
        """Add what was found of the person meanwhile."""
        ...

    async def move(self, order: Order, state: str, step: Mapping[str, Any]) -> None:
        """Bring an order into its next state, with what was done."""
        ...

    async def note(self, order: Order, step: Mapping[str, Any]) -> None:
        """Note what was done, under the name `step`."""
        ...

    async def put_off(self, order: Order, wait_s: float, finding: str) -> None:
        """Look at an order again later."""
        ...

    async def erase_events(self, tenant_id: str, keys: Sequence[uuid.UUID]) -> int:
        """Take out of the log what events say; return of how many."""
        ...

    async def erase_state(self, order: Order) -> Mapping[str, int]:
        """Take the person out of all that sync keeps, and bring the order into `propagating`; return what was there."""
        ...

    async def open_targets(self, order: Order) -> int:
        """Count the records of CRMs that are not erased."""
        ...

    async def certify(self, order: Order) -> None:
        """End an order: certificate into the audit, names forgotten."""
        ...

    async def due_targets(self, accounts: Sequence[tuple[str, str]], limit: int) -> Sequence[Target]:
        """Return up to *limit* records of each account that are to be erased now."""
        ...

    async def settle(self, lease: Lease, settled: Sequence[Settled]) -> None:
        """Note how far records of one account are."""
        ...
