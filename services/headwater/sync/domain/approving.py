"""Which writes a person has to approve, and what follows from the answer. Pure.

An approval is of one write as it was seen: its id is made of all that would change, before and after. What changes
meanwhile is another write, with another id, and is asked anew.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal

import msgspec

from headwater.policy.document import ConnectorPolicy
from headwater.policy.writing import Approval, WriteKind
from headwater.sync.domain.delivering import Hold, Send, choose_outbound, field_changes

Subject = Literal["write", "merge", "removal"]
"""What is asked about: a delivery's write, the merge of two records in the CRM, or the removal of one."""
Approvals = Sequence[tuple[str, Approval]]
"""Name and approval of all that may concern an account, in the policy's order."""
APPROVAL_WAITS: Final = "approval:"
"""How the reason of a delivery begins that a person has to decide about, or has decided about."""
EXPIRED_BY: Final = "policy"
"""Who decides what nobody decided in time."""


class ApprovalState(IntEnum):
    """Where an approval stands; numbers of approvals.proto."""

    ASKED = 1
    APPROVED = 2
    REJECTED = 3
    EXPIRED = 4


@dataclass(frozen=True, slots=True)
class Ask:
    """A write that somebody has to decide about.

    Args:
        approval_id: made of the account, the entity and all that would change.
        rule: the policy's approval that asks.
        changes: objects of field, before, after and rule.
    """

    tenant_id: str
    connector: str
    entity_id: uuid.UUID
    subject: Subject
    approval_id: uuid.UUID
    object: str
    crm_object: str
    crm_id: str
    kind: WriteKind
    rule: str
    version: int
    event_key: uuid.UUID
    policy_version: str
    changes: tuple[Mapping[str, Any], ...]
    expire_s: float
    on_expiry: Literal["reject", "approve"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an ask stands, and by whom."""

    state: ApprovalState
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of writes that had to be approved."""

    sends: tuple[Send, ...]
    holds: tuple[Hold, ...] = ()
    refused: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """An approval as operators see it.

    Args:
        waits: it is asked and the write would still be the one that is shown.
    """

    ask: Ask
    verdict: Verdict
    create_time: dt.datetime
    expire_time: dt.datetime
    decide_time: dt.datetime | None
    waits: bool


@dataclass(frozen=True, slots=True)
class ApprovalFilter:
    """Which approvals are wanted; what is empty means any.

    Args:
        states: none: those that wait.
        before: only what was asked before this moment; None: all.
    """

    connector: str = ""
    object: str = ""
    kind: str = ""
    rule: str = ""
    entity_id: uuid.UUID | None = None
    approval_ids: tuple[uuid.UUID, ...] = ()
    states: tuple[int, ...] = ()
    before: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator decides about approvals."""

    approves: bool
    actor: str
    reason: str
    policy_version: str


def kind_of(send: Send) -> WriteKind:
    """Return what *send* does to the CRM's record."""
    match send.claimed.state:
        case "deleted":
            return "delete"
        case "merged":
            return "merge"
        case _:
            return "update" if send.claimed.crm_id else "create"


def needed(
    approvals: Approvals, policy: ConnectorPolicy, sends: Iterable[Send], waiting: Mapping[str, int]
) -> dict[uuid.UUID, str]:
    """Return the approval that each of *sends* needs; those that need none are absent.

    An approval that asks from a number of writes on asks about all that comes while some wait for it already.

    Args:
        waiting: approval to the writes that wait for it.
    """
    found = {
        send.claimed.entity_id: name
        for send in sends
        if (name := next((name for name, item in approvals if names(item, policy, send)), None)) is not None
    }
    counts, least = Counter(found.values()), {name: item.records_min for name, item in approvals}
    return {
        entity_id: name
        for entity_id, name in found.items()
        if counts[name] >= least[name] or waiting.get(name, 0) > 0
    }


def names(approval: Approval, policy: ConnectorPolicy, send: Send) -> bool:
    """Return whether *approval* asks about a write like *send*."""
    if approval.objects and send.claimed.object not in approval.objects:
        return False
    if approval.kinds and kind_of(send) not in approval.kinds:
        return False
    return not approval.fields or not _written(policy, send).isdisjoint(approval.fields)


def _written(policy: ConnectorPolicy, send: Send) -> set[str]:
    """Return the canonical fields that *send* changes."""
    outbound = choose_outbound(policy, send.claimed)
    if outbound is None:
        return set()
    fields = {item.field for name, item in outbound.fields.items() if name in send.write.fields}
    references = {outbound.references[item.name] for item in send.write.references}
    return {name for name in fields if name} | references


def ask_of(send: Send, rule: str, approval: Approval, policy_version: str) -> Ask:
    """Return what is asked about *send*."""
    claimed = send.claimed
    changes = tuple(field_changes(claimed.known, send.write))
    kind, crm_object = kind_of(send), send.target.crm_object
    seen = (kind, crm_object, claimed.crm_id, claimed.delivered_version, changes)
    return Ask(
        claimed.tenant_id, claimed.connector, claimed.entity_id, "write",
        _named(claimed.tenant_id, claimed.connector, str(claimed.entity_id), "write", seen),
        claimed.object, crm_object, claimed.crm_id, kind, rule, claimed.version, claimed.event_key,
        policy_version, changes, approval.expire_s, approval.on_expiry,
    )  # fmt: skip


def ask_of_merge(
    where: tuple[str, str],
    merged: tuple[str, uuid.UUID, uuid.UUID],
    merge_id: uuid.UUID,
    event_key: uuid.UUID,
    named: tuple[str, Approval, str],
) -> Ask:
    """Return what is asked about the merge of two records in a CRM.

    Args:
        where: tenant and connector.
        merged: object, the entity that stays and the one that goes.
        named: the approval's name, itself, and the policy's version.
    """
    (tenant_id, connector), (object_name, winner, loser), (rule, approval, version) = where, merged, named
    change = {"field": "#merge", "before": str(loser), "after": str(winner), "rule": "record_merge"}
    return Ask(
        tenant_id, connector, loser, "merge", _named(tenant_id, connector, str(loser), "merge", str(merge_id)),
        object_name, "", "", "merge", rule, 0, event_key, version, (change,), approval.expire_s,
        approval.on_expiry,
    )  # fmt: skip


def ask_of_removal(
    where: tuple[str, str],
    record: tuple[str, str, str],
    entity: tuple[uuid.UUID, int, uuid.UUID],
    named: tuple[str, Approval, str],
) -> Ask:
    """Return what is asked about the removal of a record from a CRM.

    Args:
        where: tenant and connector.
        record: canonical object, the CRM's object and its id.
        entity: its id, version and the event behind that.
        named: the approval's name, itself, and the policy's version.
    """
    (tenant_id, connector), (object_name, crm_object, crm_id) = where, record
    (entity_id, entity_version, event_key), (rule, approval, version) = entity, named
    change = {"field": "#record", "before": crm_id, "after": None, "rule": "grace_days"}
    return Ask(
        tenant_id, connector, entity_id, "removal",
        _named(tenant_id, connector, str(entity_id), "removal", [crm_object, crm_id, entity_version]),
        object_name, crm_object, crm_id, "delete", rule, entity_version, event_key, version, (change,),
        approval.expire_s, approval.on_expiry,
    )  # fmt: skip


def bare_needs(approvals: Approvals, object_name: str, kind: WriteKind) -> tuple[str, Approval] | None:
    """Return the approval that the merge or the removal of an object's records needs; None for none."""
    return next(
        (
            (name, item)
            for name, item in approvals
            if (not item.objects or object_name in item.objects)
            and (not item.kinds or kind in item.kinds)
            and not item.fields
            and item.records_min == 1
        ),
        None,
    )


def judged(
    sends: Sequence[Send], asks: Mapping[uuid.UUID, Ask], verdicts: Mapping[uuid.UUID, Verdict]
) -> Judged:
    """Return what becomes of *sends*: written, held, or given up.

    A write that has to be approved goes out for APPROVED alone: whatever else is said, or nothing, holds it.

    Args:
        asks: of those that have to be approved, by entity.
        verdicts: by the id of the ask.
    """
    free: list[Send] = []
    holds: list[Hold] = []
    refused: list[Hold] = []
    for send in sends:
        ask = asks.get(send.claimed.entity_id)
        verdict = None if ask is None else verdicts.get(ask.approval_id)
        if ask is None or (verdict is not None and verdict.state is ApprovalState.APPROVED):
            free.append(send)
        elif verdict is not None and verdict.state in {ApprovalState.REJECTED, ApprovalState.EXPIRED}:
            refused.append(Hold(send.claimed, refusal_of(verdict)))
        else:
            holds.append(Hold(send.claimed, f"{APPROVAL_WAITS} {ask.rule} waits for a decision"))
    return Judged(tuple(free), tuple(holds), tuple(refused))


def refusal_of(verdict: Verdict) -> str:
    """Return why a write was not allowed, for people."""
    if verdict.state is ApprovalState.EXPIRED:
        return f"{APPROVAL_WAITS} nobody approved it in time"
    return f"{APPROVAL_WAITS} rejected by {verdict.actor}: {verdict.reason}"


def _named(tenant_id: str, connector: str, entity_id: str, subject: Subject, seen: object) -> uuid.UUID:
    text = msgspec.json.encode([tenant_id, connector, entity_id, subject, seen], order="sorted")
    return uuid.UUID(bytes=hashlib.sha256(text).digest()[:16])
