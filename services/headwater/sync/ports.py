"""What sync needs of others, in its own words."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from headwater.kernel.errors import HeadwaterError
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.breaker import Breakers
from headwater.sync.domain.delivering import Holder
from headwater.sync.domain.echoing import Seen
from headwater.sync.domain.leasing import Beat, Lease
from headwater.sync.domain.log import NOWHERE, LogEvent, Position, RecordKey, Stretch
from headwater.sync.domain.operating import (
    Steering,
)
from headwater.sync.domain.projecting import Effect, Workspace
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.reading import Answers, Parked, Subject
from headwater.sync.domain.replaying import Replay, ReplayState, Scope
from headwater.sync.domain.settling import Settlement
from headwater.sync.domain.states import EntityKey, EntityState, Loaded, RecordState
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.domain.usage import Usage


class StoreRaced(HeadwaterError):
    """A transaction lost a race for locks; nothing of it stands, trying again is safe."""

    default_reason = "STORE_RACED"


class StoreRefused(HeadwaterError):
    """The database refuses a value; the same transaction will never succeed."""

    default_reason = "STORE_REFUSED"


class Leases(Protocol):
    """The leases of one process. Every method raises Unavailable when the store cannot be reached.

    Args:
        ttl_s: how long everything held lasts without a heartbeat.
    """

    ttl_s: float

    async def beat(self) -> Beat:
        """Prolong everything held, or begin anew where it had lapsed; holds nothing before the first beat."""
        ...

    async def acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        """Take up to *limit* of *names* that are free; return their fences, higher than any before."""
        ...

    async def release(self, names: Sequence[str]) -> None:
        """Let go of *names*, so that another process may take them at once."""
        ...

    async def leave(self) -> None:
        """Let go of everything."""
        ...


@dataclass(frozen=True, slots=True)
class DueAccount:
    """An account with deliveries that wait.

    Args:
        due_s: seconds until the earliest is due; 0 or less when it is due already.
    """

    tenant_id: str
    connector: str
    due_s: float


class DueTimes(Protocol):
    """When the deliveries of many accounts are due."""

    async def due_accounts(self, accounts: Sequence[tuple[str, str]]) -> list[DueAccount]:
        """Return those of *accounts* (tenant, connector) that have deliveries waiting. Raises: Unavailable."""
        ...


class EventLog(Protocol):
    """The event log as its reader sees it. Every method raises Unavailable when it cannot be reached."""

    async def shard_count(self) -> int:
        """Return the number of shards."""
        ...

    async def current_policies(self) -> list[tuple[str, uuid.UUID, bytes]]:
        """Return tenant, event key and payload of the newest policy event of every tenant."""
        ...

    async def read_cursors(self, shards: Sequence[int]) -> dict[int, Position]:
        """Return the position up to which each of *shards* is projected; bulk sides have numbers of their own."""
        ...

    async def read_projected(self, events: Sequence[LogEvent]) -> set[tuple[str, uuid.UUID]]:
        """Return tenant and key of those of *events* that are projected already."""
        ...

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Tell the log how far its shards are projected; what is not may not be dropped from it."""
        ...

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> Stretch:
        """Return the next events of several shards in commit order, up to *shard_limit* of each."""
        ...


class ProjectionUnit(Protocol):
    """One transaction of the projector."""

    async def load(
        self, homes: Mapping[RecordKey, uuid.UUID | None], further: Mapping[EntityKey, str]
    ) -> Loaded:
        """Lock and return entities with all their records: of records (where each is, else its home) and further ones."""
        ...

    async def find_records(self, keys: Sequence[RecordKey]) -> dict[RecordKey, uuid.UUID]:
        """Return the entities that hold those of *keys* that are known."""
        ...

    async def lock_entities(self, wanted: Mapping[EntityKey, str]) -> list[EntityState]:
        """Lock *wanted* (entity to object), making room for new ones, and return them."""
        ...

    async def read_members(self, entities: Iterable[EntityKey]) -> list[RecordState]:
        """Return every record of *entities*."""
        ...

    async def write_workspace(self, workspace: Workspace, contexts: Mapping[uuid.UUID, TraceContext]) -> None:
        """Write what a workspace has changed, traced to the events' contexts."""
        ...

    async def write_effects(
        self, effects: Sequence[Effect], contexts: Mapping[uuid.UUID, TraceContext]
    ) -> None:
        """Record how each event ended."""
        ...

    async def observe(self, seen: Seen) -> None:
        """Take over what CRM records were seen to hold, and bind entities without one to the record seen."""
        ...

    async def suppressions(self) -> int:
        """Return the number of the newest suppression; asked once entities are locked."""
        ...

    async def park(self, readings: Sequence[Parked]) -> None:
        """Set events aside, with why: the cursors go past them."""
        ...

    async def unpark(self, events: Sequence[LogEvent]) -> None:
        """Forget that events were set aside: they are projected now."""
        ...

    async def erase_events(self, events: Sequence[LogEvent]) -> None:
        """Take out of the log what events say."""
        ...

    async def move_cursors(
        self, positions: Mapping[int, Position], further: Mapping[int, Position] = NOWHERE
    ) -> None:
        """Move the positions of shards forward.

        Args:
            positions: behind the events of the transaction.
            further: where nothing of the log's was left to do.
        """
        ...


class Projections(Protocol):
    """The projection's store."""

    def transaction(self, leases: Sequence[Lease]) -> AbstractAsyncContextManager[ProjectionUnit]:
        """Begin a transaction under *leases*.

        Raises: FenceLost, StoreRaced, StoreRefused, Unavailable (then the commit is in doubt: the
        cursor tells).
        """
        ...


class Deliveries(Protocol):
    """The tables of one connector account under one lease. Every method may raise Unavailable."""

    async def take_over(self) -> None:
        """Put in doubt what earlier actors of the account left in flight; once, before the first turn.

        Raises: FenceLost.
        """
        ...

    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Record how tries of a slot ended, then claim its next deliveries, in one transaction.

        Args:
            settlements: of the deliveries that the slot's last turn claimed; empty at first.

        Raises:
            FenceLost: another actor has the account; what was written to the CRM it will find there.
            StoreRefused: the database refuses a value of *settlements*; nothing is settled or claimed.
            StoreRaced: it lost a race for locks; trying again is safe.
        """
        ...

    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, Holder]:
        """Return which entities are delivered as these CRM records."""
        ...

    async def inherit_record(
        self, crm_object: str, crm_id: str, holder_id: uuid.UUID, heir_id: uuid.UUID
    ) -> Mapping[str, Any] | None:
        """Give a CRM record of a merged entity to the one it was merged into, which has none; audited.

        Returns: what the record is known to hold; None when nothing was given: the holder's delivery is on its
            way, or one of the two has another record by now.

        Raises: FenceLost.
        """
        ...

    async def write_breaker(self, state: Breakers, generation: int) -> None:
        """Store the breakers, unless an operator has given an order since *generation*. Raises: FenceLost."""
        ...

    async def write_finding(self, finding: str) -> None:
        """Store what keeps the account from being used; empty when nothing does."""
        ...


class LimitBooks(Protocol):
    """What an account has used of its vendor's limits, durably, under one lease.

    Every method raises FenceLost when a successor has the books, and Unavailable.
    """

    async def take_over(self, day: dt.date) -> tuple[Usage, Ledger]:
        """Claim the books; return the windows as written, and *day* with all that may have been used of it.

        From then on no predecessor can write, so none starts a call beyond what is returned.
        """
        ...

    async def write(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        """Write the books; calls may go only as far as they say."""
        ...


class Resolver(Protocol):
    """Places records: the identity service."""

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:
        """Return the entity of every subject (with the event that brought it); unmatched ones are absent.

        Raises: Unavailable when identity cannot be reached within its deadline.
        """
        ...


class Policies(Protocol):
    """The policies in force."""

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy, as last read."""
        ...


class ReplayQueue(Protocol):
    """Replays as the engine works them off."""

    async def now(self) -> dt.datetime:
        """Return the time by which replays go: the store's, which is one for all processes."""
        ...

    async def work_off(self, now: dt.datetime) -> bool:
        """Make the next portion of a replay due, or end it, in one transaction; return whether there was one.

        Raises: Unavailable, StoreRaced.
        """
        ...

    async def next_time(self) -> dt.datetime | None:
        """Return when a running replay is due next; None when none runs."""
        ...


class Replays(ReplayQueue, Protocol):
    """Replays: begun and steered by operators, worked off by the engine."""

    async def count(self, tenant_id: str, scope: Scope, *, dead_only: bool) -> int:
        """Return how many deliveries a replay of *scope* would be for; discarded ones count when they are named."""
        ...

    async def start(self, replay: Replay) -> None:
        """Begin *replay*, with audit and wake-up, unless it was begun before."""
        ...

    async def read(self, tenant_id: str, replay_id: uuid.UUID) -> Replay | None:
        """Return one replay; None when there is none."""
        ...

    async def list_replays(
        self, tenant_id: str, before: tuple[dt.datetime, uuid.UUID], limit: int
    ) -> tuple[Replay, ...]:
        """Return up to *limit* replays begun before *before*, the newest first."""
        ...

    async def steer(
        self, order: Steering, replay_id: uuid.UUID, state: ReplayState, now: dt.datetime
    ) -> bool:
        """Put a replay that has not ended into *state*, with audit; return False when that changed nothing."""
        ...
