"""What operators see of failures: groups of errors, and what deliveries would write now. Pure."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.sync.domain.delivering import (
    Claimed,
    Hold,
    Plan,
    Send,
    Settled,
    Wait,
    choose_outbound,
    chunks,
    field_changes,
    plan_delivery,
)
from headwater.sync.domain.operating import Delivery

PREVIEWS_MAX: Final = 100
"""Deliveries of one preview."""


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """One cause of failed tries.

    Args:
        failure_count: failed tries so far.
        delivery_count: deliveries whose last try failed this way.
        dead_count: those of them that are dead.
    """

    group_id: uuid.UUID
    connector: str
    endpoint: str
    error_class: str
    error_code: str
    message: str
    last_message: str
    failure_count: int
    first_seen_time: dt.datetime
    last_seen_time: dt.datetime
    sample_entity_ids: Sequence[uuid.UUID]
    delivery_count: int
    dead_count: int

    @property
    def is_open(self) -> bool:
        """Whether some delivery stands in it."""
        return self.delivery_count > 0


@dataclass(frozen=True, slots=True)
class ErrorGroupView:
    """A group and who answers for its account; empty texts when the policy names it no more."""

    group: ErrorGroup
    owner: str
    backup: str
    runbook: str


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups are wanted; an empty connector and state 0 mean any."""

    connector: str
    state: int


GroupPlace = tuple[dt.datetime, uuid.UUID]
"""A place in the list of groups: newest failure and group."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery as it stands, with all that a plan needs."""

    delivery: Delivery
    claimed: Claimed


@dataclass(frozen=True, slots=True)
class Preview:
    """What one delivery would do now.

    Args:
        action: create, update, unchanged, superseded, held or wait.
        changes: objects of field, before, after and rule.
        rule: what ends it without a write, or holds it.
        looks_up_first: the CRM is asked what became of an earlier write before anything is sent.
    """

    delivery: Delivery
    action: str
    crm_object: str
    changes: tuple[Mapping[str, Any], ...] = ()
    rule: str = ""
    looks_up_first: bool = False


@dataclass(frozen=True, slots=True)
class Prediction:
    """Previews, and the calls that they would take together."""

    previews: tuple[Preview, ...]
    calls: int
    quota_used: int = 0
    quota_limit: int = 0


def view_group(document: PolicyDocument | None, group: ErrorGroup) -> ErrorGroupView:
    """Return *group* with who answers for its account in the policy."""
    policy = document.connectors.get(group.connector) if document else None
    if policy is None:
        return ErrorGroupView(group, "", "", "")
    return ErrorGroupView(group, policy.owner, policy.backup, policy.runbook)


def predict(
    policy: ConnectorPolicy, standing: Sequence[Standing], reference_wait_s: float
) -> tuple[tuple[Preview, ...], int]:
    """Return what each delivery would do now, and how many batch calls that takes."""
    plans = [(item, plan_delivery(policy, item.claimed, reference_wait_s)) for item in standing]
    sends = [plan for _, plan in plans if isinstance(plan, Send)]
    previews = tuple(_preview(policy, item, plan) for item, plan in plans)
    return previews, len(chunks(sends, policy.limits.batch_records)) + _look_ups(policy, standing)


def _look_ups(policy: ConnectorPolicy, standing: Sequence[Standing]) -> int:
    by_target: dict[str, int] = {}
    for item in standing:
        outbound = choose_outbound(policy, item.claimed) if item.claimed.in_doubt else None
        if outbound is not None:
            by_target[outbound.target] = by_target.get(outbound.target, 0) + 1
    return sum(-(-count // policy.limits.batch_records) for count in by_target.values())


def _preview(policy: ConnectorPolicy, item: Standing, plan: Plan) -> Preview:
    claimed = item.claimed
    outbound = choose_outbound(policy, claimed)
    crm_object = outbound.target if outbound else ""
    match plan:
        case Send():
            changes = tuple(field_changes(claimed.known, plan.write))
            action = "update" if claimed.crm_id else "create"
            return Preview(item.delivery, action, crm_object, changes, looks_up_first=claimed.in_doubt)
        case Wait():
            return Preview(item.delivery, "wait", crm_object, looks_up_first=claimed.in_doubt)
        case Hold():
            return Preview(item.delivery, "held", crm_object, rule=plan.why, looks_up_first=claimed.in_doubt)
        case Settled():
            return Preview(
                item.delivery, plan.outcome, crm_object, rule=plan.rule, looks_up_first=claimed.in_doubt
            )
