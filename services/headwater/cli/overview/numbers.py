"""The five numbers and each account's objective, from what the services answered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.identity.v1 import identity_pb2
from headwater.policy.alarms import Alarms
from headwater.sync.v1 import sync_pb2

OBJECTIVE: Final = float(Alarms.model_fields["objective"].default)
"""Share of deliveries that shall succeed, where the policy says nothing else (requirement F2)."""
LATENCY_MS: Final = 60_000.0
"""95th percentile from event to CRM (requirement F2)."""
QUOTA_SHARE: Final = 0.6
"""Share of the day's quota from which people are told (requirement F3)."""
CONFLICT: Final = "conflict"


@dataclass(frozen=True, slots=True)
class Number:
    """One of the five.

    Args:
        value: in *unit*; None while nothing is known.
        goal: in words; empty where there is none.
        met: None without a goal or a value.
    """

    name: str
    value: float | None
    unit: str
    goal: str = ""
    met: bool | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Objective:
    """How one account stands against its objective.

    Args:
        success: share of the deliveries that are delivered, of those that are delivered or dead; None of none.
        budget_used: share of the failures that the objective allows; above 1: missed.
    """

    connector: str
    success: float | None
    budget_used: float | None
    p50_ms: float | None
    p95_ms: float | None


def five_numbers(
    sync: sync_pb2.GetStatusResponse,
    identity: identity_pb2.GetIdentityStatusResponse,
    connectors: Iterable[sync_pb2.Connector],
    groups: Iterable[sync_pb2.ErrorGroup],
) -> tuple[Number, ...]:
    """Return success, latency, duplicates, conflicts and quota.

    Args:
        groups: causes of failed tries; those of class `conflict` met a record that somebody had changed meanwhile.
    """
    delivered, dead = _ends(sync.deliveries)
    success = _share(delivered, delivered + dead)
    slowest = max(sync.latencies, key=lambda row: row.p95_ms, default=None)
    used = {item.connector: item.quota_used / item.quota_limit for item in connectors if item.quota_limit}
    busiest = max(used, key=lambda name: used[name], default="")
    merged = sum(row.merged for row in identity.counts)
    made = merged + sum(row.entities for row in identity.counts)
    conflicts = sum(group.failure_count for group in groups if group.error_class == CONFLICT)
    return (
        _at_least("sync success", success, OBJECTIVE),
        Number(
            "event to CRM, p95", slowest.p95_ms / 1e3 if slowest else None, "s", f"<= {LATENCY_MS / 1e3:g} s",
            slowest.p95_ms <= LATENCY_MS if slowest else None, slowest.connector if slowest else "",
        ),
        Number("duplicates made", _share(merged, made), "share", of="entities that were merged into another"),
        Number("overwrite conflicts", float(conflicts), "tries", of="met a record changed in the CRM meanwhile"),
        Number(
            "calls against quota", used.get(busiest), "share", f"< {QUOTA_SHARE:.0%}",
            used[busiest] < QUOTA_SHARE if busiest else None, busiest,
        ),
    )  # fmt: skip


def objectives(
    sync: sync_pb2.GetStatusResponse, connectors: Sequence[str], wanted: Mapping[str, float]
) -> tuple[Objective, ...]:
    """Return how each account stands.

    Args:
        wanted: connector to the share that its policy wants to succeed; `OBJECTIVE` for the others.
    """
    latencies = {row.connector: row for row in sync.latencies}
    found = []
    for name in connectors:
        delivered, dead = _ends(row for row in sync.deliveries if row.connector == name)
        success = _share(delivered, delivered + dead)
        budget = 1 - wanted.get(name, OBJECTIVE)
        told = latencies.get(name)
        used = None if success is None else (1 - success) / budget
        found.append(
            Objective(name, success, used, told.p50_ms if told else None, told.p95_ms if told else None)
        )
    return tuple(found)


def _ends(rows: Iterable[sync_pb2.DeliveryCount]) -> tuple[int, int]:
    """Return how many deliveries are delivered and how many are dead."""
    delivered = dead = 0
    for row in rows:
        delivered += row.count if row.state == sync_pb2.DELIVERY_STATE_DELIVERED else 0
        dead += row.count if row.state == sync_pb2.DELIVERY_STATE_DEAD else 0
    return delivered, dead


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _at_least(name: str, value: float | None, bound: float) -> Number:
    return Number(name, value, "share", f">= {bound:.0%}", value >= bound if value is not None else None)
