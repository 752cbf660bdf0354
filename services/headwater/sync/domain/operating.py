"""What operators see and ask for, in the words of sync. Pure."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater.policy.document import ConnectorPolicy
from headwater.policy.opening import Standing as Opening
from headwater.policy.survivorship import Chosen
from headwater.sync.domain.breaker import BreakerName, Breakers, BreakerState, Forced, Mode
from headwater.sync.domain.quota import Ledger
from headwater.sync.domain.settling import State
from headwater.sync.domain.standing import Standing, stand
from headwater.sync.domain.usage import Usage

STOPPED: Final[frozenset[int]] = frozenset({State.DEAD, State.DISCARDED, State.HELD})
"""States that only an operator or a newer version ends."""
ALL_STATES: Final[tuple[int, ...]] = tuple(State)
DISABLED: Final = "disabled in the policy"
"""Finding about an account that the policy switches off."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of one connector account."""

    connector: str
    count: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that a tenant has in the projection and in delivery.

    Args:
        superseded: rule to events.
        events_parked: that wait for something that the tenant lacks, not among those waiting.
        parked_reason: what, and what to do; empty when none is.
        entities: object to entities, active ones only.
        records: object to source records.
        deliveries: connector, object and state to deliveries.
    """

    events_projected: int
    events_poisoned: int
    events_waiting: int
    superseded: Mapping[str, int]
    entities: Mapping[str, int]
    records: Mapping[str, int]
    deliveries: Mapping[tuple[str, str, int], int]
    latencies: tuple[Latency, ...]
    events_parked: int = 0
    parked_reason: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The standing order for one entity in one connector account."""

    connector: str
    object: str
    entity_id: uuid.UUID
    state: int
    desired_version: int
    delivered_version: int
    crm_id: str
    failure_count: int
    due_time: dt.datetime | None
    last_error_class: str
    last_error: str
    event_key: uuid.UUID
    settle_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to write one delivery."""

    connector: str
    object: str
    entity_id: uuid.UUID
    attempt_number: int
    version: int
    start_time: dt.datetime
    end_time: dt.datetime
    outcome: str
    error_class: str
    error_code: str
    error_message: str
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, by whom and why.

    Args:
        xid: transaction that wrote it; entries stand in the order (xid, audit_id).
        changes: objects of field, before, after and rule.
    """

    xid: int
    audit_id: int
    audit_time: dt.datetime
    action: str
    actor: str
    entity_id: uuid.UUID | None
    event_key: uuid.UUID | None
    connector: str
    changes: tuple[Mapping[str, Any], ...]
    policy_version: str


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one event."""

    event_key: uuid.UUID
    rule: str
    project_time: dt.datetime
    entity_ids: tuple[uuid.UUID, ...]
    trace_id: str
    deliveries: tuple[Delivery, ...]
    attempts: tuple[Attempt, ...]
    audit: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity's values with their provenance, and where they go."""

    entity_id: uuid.UUID
    object: str
    state: str
    version: int
    merged_into: uuid.UUID | None
    fields: Mapping[str, Chosen]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are wanted.

    Args:
        connector: empty for all.
        states: at least one.
    """

    connector: str
    states: tuple[int, ...]
    entity_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class DeliveryPlace:
    """A place in the list of deliveries: behind this one."""

    connector: str
    entity_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Steering:
    """An operator's order about one connector account, for the audit too."""

    tenant_id: str
    connector: str
    actor: str
    policy_version: str


@dataclass(frozen=True, slots=True)
class BreakerOrder:
    """What an operator wants of an account's breakers.

    Args:
        mode: None resets them.
        ttl_s: how long the order stands; None: until a reset.
    """

    mode: Mode | None
    ttl_s: float | None = None
    reason: str = ""

    def as_forced(self, now: dt.datetime, actor: str) -> Forced | None:
        """Return the order as it is stored; None for a reset."""
        if self.mode is None:
            return None
        until = None if self.ttl_s is None else now + dt.timedelta(seconds=self.ttl_s)
        return Forced(self.mode, until, self.reason, actor)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What is stored about one connector account.

    Args:
        quota_used: calls of the day, ours or the vendor's count where that is higher.
        vendor_limit: calls a day as the vendor says; None when it never did.
        holder: process that runs the actor; empty when none.
    """

    connector: str
    paused: bool
    breaker: Breakers
    finding: str
    quota_used: int
    vendor_limit: int | None
    pending_count: int
    oldest_pending_s: float
    dead_count: int
    holder: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """A connector account as operators see it.

    Args:
        breaker_time: when an open breaker lets a probe through, or an order to hold it open ends.
        breakers: key, name and state of every breaker that is not idle, by key.
        forced: the operator's order in force.
        opening: whether the policy's schedules let it be written now; None without any.
    """

    facts: AccountFacts
    vendor: str
    owner: str
    backup: str
    runbook: str
    breaker_name: BreakerName
    breaker_time: dt.datetime | None
    breakers: tuple[tuple[str, BreakerName, BreakerState], ...]
    forced: Forced | None
    quota_limit: int
    finding: str
    standing: Standing
    opening: Opening | None = None


def view_account(
    policy: ConnectorPolicy, facts: AccountFacts, books: tuple[Usage, Ledger], now: dt.datetime
) -> AccountView:
    """Return what the policy and the stored facts say together about an account."""
    limits = policy.limits
    stated = (
        facts.vendor_limit if facts.vendor_limit is not None else limits.daily_tokens or limits.daily_calls
    )
    forced = facts.breaker.forced_at(now)
    return AccountView(
        facts=facts,
        vendor=policy.vendor,
        owner=policy.owner,
        backup=policy.backup,
        runbook=policy.runbook,
        breaker_name=facts.breaker.name(now),
        breaker_time=forced.until if forced else facts.breaker.worst(now).probe_time,
        breakers=tuple(
            (key, one.name(now), one) for key, one in sorted(facts.breaker.by_key.items()) if not one.idle
        ),
        forced=forced,
        quota_limit=stated,
        finding=facts.finding if policy.enabled else DISABLED,
        standing=stand(limits, books[1], books[0], now),
    )
