"""What routing needs of the store and of the log, in its own words. Methods raise Unavailable, StoreRaced, StoreRefused."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.leads import LeadRow, Look, Touch
from headwater.sync.domain.sla import Timer
from headwater.sync.domain.tending import Tending


@dataclass(frozen=True, slots=True)
class Told:
    """What the log is to be told.

    Args:
        request_id: by which telling it twice changes nothing.
        number: of the assignment that it tells of; 0 of what tells of none.
        actor: the rule by which it came to be.
    """

    request_id: str
    entity_id: uuid.UUID
    number: int
    source: str
    object: str
    external_id: str
    payload: Mapping[str, Any]
    event_time: dt.datetime
    actor: str
    actor_name: str


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be looked at now.

    Args:
        rows: of the leads, and of all that were merged into them.
        timers: of those rows.
        loads: person to open leads.
        turns: pool to who had the last turn.
        marks: numbers of the marks that this is for.
        full: there may be more.
    """

    looks: Sequence[Look]
    touches: Sequence[Touch]
    rows: Sequence[LeadRow]
    timers: Sequence[Timer]
    loads: Counter[str]
    turns: dict[str, str]
    marks: Sequence[int]
    full: bool


class RoutingUnit(Protocol):
    """One tenant in one transaction, held by this process."""

    digest: str
    sweep_place: uuid.UUID | None

    async def rebuilding(self) -> bool:
        """Say whether the log is being projected again."""
        ...

    async def sweep(self, limit: int, now: dt.datetime) -> None:
        """Have the next leads behind the sweep's place looked at; move the place."""
        ...

    async def read_page(self, document: PolicyDocument, limit: int, now: dt.datetime) -> Page:
        """Return what is to be looked at: marked, due, or with a timer that has run out."""
        ...

    async def write(self, tending: Tending, told: Sequence[Told], marks: Sequence[int]) -> None:
        """Write what was changed: rows, timers, turns, audit, what the log is to be told; take the marks away."""
        ...

    async def save(self, digest: str) -> None:
        """Note by which policy the tenant is routed, and how far its sweep is."""
        ...


class RoutingStore(Protocol):
    """Where leads are kept."""

    async def busy(self, digests: Mapping[str, str], now: dt.datetime) -> Sequence[str]:
        """Return those of some tenants that have something to do; tenant to digest of its routing."""
        ...

    def taken(self, tenant_id: str, digest: str) -> AbstractAsyncContextManager[RoutingUnit | None]:
        """Begin a transaction that holds a tenant; None while another process does."""
        ...

    async def to_tell(self, tenant_id: str, limit: int) -> Sequence[Told]:
        """Return what the log is to be told next."""
        ...

    async def note_told(self, tenant_id: str, told: Sequence[tuple[Told, uuid.UUID | None]]) -> None:
        """Note what the log was told, and as which events; None where it refused."""
        ...

    async def now(self) -> dt.datetime:
        """Return the time by which leads go: one clock for all processes."""
        ...

    async def next_time(self, tenants: Sequence[str]) -> dt.datetime | None:
        """Return when something is to be looked at by itself; None when nothing is."""
        ...


class RoutingLog(Protocol):
    """Where the log is told."""

    async def tell(self, tenant_id: str, told: Sequence[Told]) -> Sequence[tuple[uuid.UUID | None, str]]:
        """Record events; return the key of each, or None and why it was refused. Raises: Unavailable."""
        ...
