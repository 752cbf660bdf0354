"""From a page of a CRM's changes to events, and what became of them. Pure.

An event's key is made of record, modification time and payload, so a record told twice is one event, and two states
that share a time are two.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headwater.connectors.base import Page, Polled, Seen
from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument

_canonical = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class PollPlan:
    """What one job reads.

    Args:
        system: the connector's system: source of the events.
    """

    system: str
    object_name: ObjectName
    polled: Polled
    page_records: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change in a CRM, as an event to record.

    Args:
        payload: UTF-8 JSON object with sorted names; empty for a deletion.
    """

    source: str
    object_name: ObjectName
    external_id: str
    event_time: dt.datetime
    deleted: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that ingest will not record."""

    external_id: str
    event_time: dt.datetime
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What ingest said of a batch; every event of it is durable or among *refused*.

    Args:
        keys: of the accepted events.
    """

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    refused: tuple[Refusal, ...] = field(default=())
    keys: tuple[str, ...] = field(default=(), compare=False)


def poll_plans(document: PolicyDocument, connector: str) -> dict[str, PollPlan]:
    """Return what is read of an account, by CRM object.

    Only fields that the inbound mapping reads, and where we write the one that holds the entity's id: by it a record
    that a write made is known for ours, also where its answer was lost. Where we only read, the CRM need not have it.
    """
    policy = document.connectors[connector]
    system = document.systems[policy.system]
    plans: dict[str, PollPlan] = {}
    for object_name, crm_object in policy.polled():
        marks = [
            item.external_id
            for item in policy.objects[object_name]
            if item.target == crm_object and item.direction != "in"
        ]
        paths = [path for path, _ in system.inbound[object_name].readings()]
        fields = tuple(dict.fromkeys([*paths, *marks]))
        polled = Polled(crm_object, fields, policy.poll.overlap_s, policy.poll.deletions)
        plans.setdefault(crm_object, PollPlan(policy.system, object_name, polled, policy.poll.page_records))
    return plans


def is_held_back(breaker: Mapping[str, Any], now: dt.datetime) -> bool:
    """Tell whether a stored breaker keeps calls back at *now*: by an operator's order, else by any hold that lasts.

    Once a hold is over a poll may call: an account without deliveries would otherwise never be tried again.
    """
    order = breaker.get("forced") or {}
    if order and (order.get("until") is None or dt.datetime.fromisoformat(order["until"]) > now):
        return bool(order.get("mode") == "open")
    held = [breaker, *(breaker.get("breakers") or {}).values()]
    times = [dt.datetime.fromisoformat(item["probe_time"]) for item in held if item.get("probe_time")]
    return any(time > now for time in times)


def changes_of(plan: PollPlan, page: Page) -> list[Change]:
    """Return the events of *page*, the oldest first."""
    told = [(item, False) for item in page.records] + [(item, True) for item in page.deleted]
    told.sort(key=lambda pair: pair[0].modify_time)
    return [_change(plan, item, deleted=deleted) for item, deleted in told]


def _change(plan: PollPlan, item: Seen, *, deleted: bool) -> Change:
    payload = b"" if deleted else _canonical(dict(item.fields))
    return Change(plan.system, plan.object_name, item.crm_id, item.modify_time, deleted, payload)


def summed(parts: Sequence[Recorded]) -> Recorded:
    """Return several batches as one."""
    return Recorded(
        sum(part.accepted for part in parts),
        sum(part.duplicates for part in parts),
        sum(part.quarantined for part in parts),
        tuple(refusal for part in parts for refusal in part.refused),
        tuple(key for part in parts for key in part.keys),
    )
