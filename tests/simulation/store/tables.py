"""The database of a simulation: plain tables, changed in one step, read by everyone at once.

Owns rows and the time that the database tells. Must not suspend: what runs here is one transaction. Statements
are in the modules beside this one; they follow sync's SQL word for word in meaning, which the conformance suite
holds them to.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.echoing import CrmKey, FormerRecord, Ruling
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.projecting import Effect
from headwater.sync.domain.replaying import Replay
from headwater.sync.domain.settling import ConnectorState, State
from headwater.sync.domain.states import EntityKey, EntityState, RecordState

AccountKey = tuple[str, str]
"""Tenant and connector."""

DUE_STATES = frozenset({State.PENDING, State.RETRYING, State.IN_DOUBT})
"""A row of the queue exactly for these."""


@dataclass(slots=True)
class LeaseRow:
    """`sync.lease`."""

    holder: str
    fence: int
    expire_time: dt.datetime


@dataclass(slots=True)
class DeliveryRow:
    """`sync.delivery` with its row of `sync.due`, if it has one."""

    tenant_id: str
    connector: str
    entity_id: uuid.UUID
    object: str
    state: State
    desired_version: int
    event_key: uuid.UUID
    mark_time: dt.datetime
    dirty_time: dt.datetime
    lane: Lane
    due_time: dt.datetime
    trace: TraceContext | None = None
    last_trace: TraceContext | None = None
    delivered_version: int = 0
    crm_object: str = ""
    crm_id: str = ""
    known: Mapping[str, Any] = field(default_factory=dict)
    failure_count: int = 0
    try_count: int = 0
    wait_since: dt.datetime | None = None
    lacks_reference: bool = False
    reference_came: bool = False
    last_error_class: str = ""
    last_error: str = ""
    fail_time: dt.datetime | None = None
    settle_time: dt.datetime | None = None
    """`sync.error_member`: when its last try failed, while that stands."""
    doubt: bool = False
    """`sync.error_member`: nobody knows whether its last try was applied."""

    @property
    def is_due(self) -> bool:
        """Whether the queue holds it."""
        return self.state in DUE_STATES


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """`sync.attempt`, as far as anyone asks."""

    tenant_id: str
    connector: str
    entity_id: uuid.UUID
    number: int
    version: int
    outcome: str
    error_class: str
    fence: int
    state: State
    """How the delivery stood after it; for the checker."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`sync.audit`."""

    tenant_id: str
    action: str
    actor: str
    entity_id: uuid.UUID
    event_key: uuid.UUID
    connector: str
    changes: tuple[Mapping[str, Any], ...]
    time: dt.datetime


@dataclass(slots=True)
class InflightRow:
    """`sync.inflight`: what a slot has claimed."""

    fence: int
    turn_number: int
    entities: tuple[uuid.UUID, ...]


@dataclass(slots=True)
class Tables:
    """Everything that survives a process."""

    now: Callable[[], dt.datetime]
    shard_count: int = 4
    leases: dict[str, LeaseRow] = field(default_factory=dict)
    heartbeats: dict[str, dt.datetime] = field(default_factory=dict)
    events: dict[int, list[LogEvent]] = field(default_factory=dict)
    policies: dict[str, tuple[uuid.UUID, bytes]] = field(default_factory=dict)
    cursors: dict[int, Position] = field(default_factory=dict)
    projections: dict[tuple[str, uuid.UUID], Effect] = field(default_factory=dict)
    rulings: dict[tuple[str, uuid.UUID], Ruling] = field(default_factory=dict)
    former: dict[CrmKey, FormerRecord] = field(default_factory=dict)
    records: dict[RecordKey, RecordState] = field(default_factory=dict)
    members: dict[EntityKey, dict[RecordKey, RecordState]] = field(default_factory=dict)
    entities: dict[EntityKey, EntityState] = field(default_factory=dict)
    entity_changes: dict[EntityKey, int] = field(default_factory=dict)
    references: dict[EntityKey, tuple[tuple[str, uuid.UUID], ...]] = field(default_factory=dict)
    referrers: dict[EntityKey, set[uuid.UUID]] = field(default_factory=dict)
    deliveries: dict[AccountKey, dict[uuid.UUID, DeliveryRow]] = field(default_factory=dict)
    inflight: dict[AccountKey, dict[int, InflightRow]] = field(default_factory=dict)
    attempts: list[AttemptRow] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)
    states: dict[AccountKey, ConnectorState] = field(default_factory=dict)
    findings: dict[AccountKey, str] = field(default_factory=dict)
    rolling: Any = None
    """`RolloutTables`, of the module beside this one."""
    replays: dict[tuple[str, uuid.UUID], Replay] = field(default_factory=dict)
    approvals: dict[tuple[str, str, uuid.UUID], Any] = field(default_factory=dict)
    """`ApprovalRow`, of the module beside this one."""
    granted: dict[tuple[str, str, uuid.UUID], list[Any]] = field(default_factory=dict)
    """All that was approved, `Granted`; for the checker."""
    usage: dict[AccountKey, Any] = field(default_factory=dict)
    quota: dict[tuple[str, str, dt.date], Any] = field(default_factory=dict)
    listeners: dict[str, Callable[[str, str], None]] = field(default_factory=dict)

    def account(self, key: AccountKey) -> dict[uuid.UUID, DeliveryRow]:
        """Return the deliveries of an account."""
        return self.deliveries.setdefault(key, {})

    def notify(self, channel: str, payload: str = "") -> None:
        """Tell everyone who listens."""
        for listener in list(self.listeners.values()):
            listener(channel, payload)

    def is_held(self, name: str) -> bool:
        """Return whether some living process has the lease called *name*."""
        row, now = self.leases.get(name), self.now()
        if row is None or row.expire_time <= now:
            return False
        beat = self.heartbeats.get(row.holder)
        return beat is None or beat > now

    def holds(self, name: str, fence: int) -> bool:
        """Return whether *fence* is in force for *name* at this moment."""
        return self.is_held(name) and self.leases[name].fence == fence
