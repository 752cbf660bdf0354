"""What enrichment needs of the store, the log and the policies, in its own words. Stores raise Unavailable, StoreRaced."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headwater.sync.domain.breaker import ALL_CLOSED, Breakers
from headwater.sync.domain.enriching import Answer, Ending, Outcome, Task
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.polling import Change, Recorded


@dataclass(frozen=True, slots=True)
class Due:
    """An entity to look at, as of what was wanted."""

    task: Task
    wanted_version: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One entity with how its enrichment stands, for those who look."""

    task: Task
    seen_version: int | None
    due_time: dt.datetime | None
    settle_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one provider was asked on one UTC day.

    Args:
        refused: calls that the day's budget did not allow.
        cached: questions that a kept answer served.
    """

    provider: str
    day: dt.date
    calls: int = 0
    cost: float = 0.0
    hits: int = 0
    misses: int = 0
    failed: int = 0
    cached: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Fares:
    """How a provider fares."""

    breaker: Breakers = ALL_CLOSED
    last_error: str = ""
    last_error_time: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many entities of an object there are in enrichment.

    Args:
        due: wait for the worker now.
        later: wait for a retry or a refresh.
    """

    object: str
    entities: int
    due: int
    later: int
    retrying: int
    oldest_due_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class DayBudget:
    """What the calls of one day may come to; None: no bound."""

    calls: int | None = None
    cost: float | None = None


class EnrichmentStore(Protocol):
    """Where the worker keeps what it must not forget."""

    async def now(self) -> dt.datetime:
        """Return the time by which entities are due: one clock for all processes."""
        ...

    async def due(self, tenant_id: str, now: dt.datetime, limit: int) -> Sequence[Due]:
        """Return entities that are due, the longest waiting first; none while the log is projected again."""
        ...

    async def next_due(self, tenant_id: str) -> dt.datetime | None:
        """Return when an entity is due next."""
        ...

    async def settle(
        self,
        lease: Lease,
        due: Due,
        ending: Ending,
        notes: Mapping[str, Sequence[Mapping[str, Any]]],
        policy_version: str,
    ) -> None:
        """Keep how a round ended, with audit entries (actor to changes); what was wanted meanwhile stays due.

        Raises: FenceLost.
        """
        ...

    async def find_answer(
        self, tenant_id: str, provider: str, digest: str, now: dt.datetime
    ) -> Answer | None:
        """Return an answer to the same question that is not too old."""
        ...

    async def keep_answer(
        self, tenant_id: str, provider: str, answer: Answer, expire_time: dt.datetime, entity_id: uuid.UUID
    ) -> None:
        """Keep an answer that was asked for an entity."""
        ...

    async def drop_answers(self, tenant_id: str, now: dt.datetime) -> None:
        """Remove some of the answers that expired."""
        ...

    async def reserve(
        self, tenant_id: str, provider: str, day: dt.date, cost: float, budget: DayBudget
    ) -> bool:
        """Count a call before it is made; return False where the day's budget does not allow it."""
        ...

    async def give_back(self, tenant_id: str, provider: str, day: dt.date, cost: float) -> None:
        """Take back a call that certainly was not made."""
        ...

    async def count(
        self, tenant_id: str, provider: str, day: dt.date, outcome: Outcome, *, cached: bool
    ) -> None:
        """Count how asking ended."""
        ...

    async def fares(self, tenant_id: str) -> Mapping[str, Fares]:
        """Return how the tenant's providers fare."""
        ...

    async def keep_fares(self, tenant_id: str, provider: str, fares: Fares) -> None:
        """Keep how a provider fares."""
        ...


class EnrichmentDesk(Protocol):
    """What operators read and order. Every method raises Unavailable."""

    async def read(self, tenant_id: str, entity_id: uuid.UUID) -> Standing | None:
        """Return an entity; None when there is none."""
        ...

    async def force(self, task: Task, actor: str) -> None:
        """Have everybody asked again about an entity."""
        ...

    async def tallies(self, tenant_id: str) -> Sequence[Tally]:
        """Return how many entities wait."""
        ...

    async def usage(self, tenant_id: str, since: dt.date) -> Sequence[Usage]:
        """Return the ledger since a day, the newest day first."""
        ...

    async def fares(self, tenant_id: str) -> Mapping[str, Fares]:
        """Return how the tenant's providers fare."""
        ...


class ValueLog(Protocol):
    """Where providers' values become events."""

    async def record(self, tenant_id: str, changes: Sequence[Change]) -> Recorded:
        """Record *changes*; safe to repeat. Raises: Unavailable."""
        ...
