"""`headwater approvals`: writes to the CRMs that wait for a person."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from headwater.cli.asking import asking
from headwater.cli.options import PageSize, PageToken, Yes
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.reasons import shown_fields
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.errors import HeadwaterError, InvalidInput
from headwater.sync.v1 import approvals_pb2 as pb
from headwater.sync.v1 import provenance_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Writes that wait for a person, as `approval` in the policy says: list, show, approve, reject.",
)

CALLS_MAX: Final = 2_000
"""Calls of one command, 500 writes each: a bound, no aim."""


class Kind(StrEnum):
    """What a write does to the CRM's record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"


class StateName(StrEnum):
    """States that the list may be asked for."""

    ASKED = "asked"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


ApprovalIds = Annotated[list[str] | None, typer.Argument(help="Approvals, as the list names them.")]
Connector = Annotated[str, typer.Option("--connector", help="Only this account.")]
Object = Annotated[str, typer.Option("--object", help="Only this canonical object.")]
KindOption = Annotated[Kind | None, typer.Option("--kind", help="Only writes of this kind.")]
Rule = Annotated[str, typer.Option("--rule", help="Only what this approval of the policy asks.")]
Entity = Annotated[str, typer.Option("--entity", help="Only this entity.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the audit.")]


@app.command("list")
@asking
async def list_approvals(
    session: Session,
    services: Services,
    connector: Connector = "",
    object_name: Object = "",
    kind: KindOption = None,
    rule: Rule = "",
    entity: Entity = "",
    state: Annotated[
        list[StateName] | None, typer.Option("--state", help="What was decided instead.")
    ] = None,
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List writes that wait for somebody, the longest waiting first.

    Example:

      headwater approvals list --connector salesforce --kind create
    """
    wanted = _filter(None, connector, object_name, kind, rule, entity)
    request = pb.ListApprovalsRequest(
        tenant_id=session.tenant_id,
        filter=wanted,
        states=[pb.ApprovalState.Value(f"APPROVAL_STATE_{item.name}") for item in state or ()],
        page_size=limit,
        page_token=page_token,
    )
    found = await services.ask(services.approvals.ListApprovals, request)
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), _shown(found.approvals), more)


@app.command()
@asking
async def show(
    session: Session, services: Services, approval: Annotated[str, typer.Argument(help="Approval.")]
) -> None:
    """Show a write side by side: what the CRM holds, what would be written, and why."""
    request = pb.GetApprovalRequest(tenant_id=session.tenant_id, approval_id=approval)
    found = (await services.ask(services.approvals.GetApproval, request)).approval
    why = await _why(session, services, found)
    changes = table(
        ("field", "the CRM holds", "would be written"),
        [(item.field, item.before_json, item.after_json) for item in found.changes],
    )
    document = {**plain(found), "why": [plain(item) for item in why]}
    session.output.result(document, facts(_about(found)), changes, *shown_fields(why))


@app.command()
@asking
async def approve(
    session: Session,
    services: Services,
    approvals: ApprovalIds = None,
    connector: Connector = "",
    object_name: Object = "",
    kind: KindOption = None,
    rule: Rule = "",
    entity: Entity = "",
    reason: Why = "",
    yes: Yes = False,
) -> None:
    """Let writes go out, each as it was shown: one that has changed since is asked anew.

    Named one by one they go at once; by filter it says first how many, and needs --yes.

    Example:

      headwater approvals approve --connector salesforce --kind create --yes
    """
    wanted = _filter(approvals, connector, object_name, kind, rule, entity)
    await _decide(session, services, wanted, pb.APPROVAL_STATE_APPROVED, reason, yes=yes or bool(approvals))


@app.command()
@asking
async def reject(
    session: Session,
    services: Services,
    reason: Why,
    approvals: ApprovalIds = None,
    connector: Connector = "",
    object_name: Object = "",
    kind: KindOption = None,
    rule: Rule = "",
    entity: Entity = "",
    yes: Yes = False,
) -> None:
    """Keep writes from going out, with a reason; a later change of the entity is asked anew."""
    if not reason.strip():
        raise InvalidInput("--reason must say why")
    wanted = _filter(approvals, connector, object_name, kind, rule, entity)
    await _decide(session, services, wanted, pb.APPROVAL_STATE_REJECTED, reason, yes=yes or bool(approvals))


async def _decide(
    session: Session, services: Services, wanted: pb.ApprovalFilter, decision: Any, reason: str, *, yes: bool
) -> None:
    if wanted == pb.ApprovalFilter():
        raise InvalidInput("name approvals, or one of: --connector, --object, --kind, --rule, --entity")
    request = pb.DecideApprovalsRequest(
        tenant_id=session.tenant_id,
        filter=wanted,
        decision=decision,
        reason=reason,
        actor=session.actor,
        dry_run=True,
    )
    counted = await services.ask(services.approvals.DecideApprovals, request)
    decided = await _all(services, request, counted.as_of) if yes and counted.allowed_count else 0
    word = "approved" if decision == pb.APPROVAL_STATE_APPROVED else "rejected"
    if yes:
        done = f"{decided:,} of {counted.waiting_count:,} writes that wait are {word}"
    else:
        done = f"{counted.allowed_count:,} of {counted.waiting_count:,} writes that wait would be {word}; add --yes to do it"
    document = {**plain(counted), "decided_count": decided, "decision": word, "dry_run": not yes}
    session.output.result(document, done)


async def _all(services: Services, request: pb.DecideApprovalsRequest, as_of: Timestamp) -> int:
    """Decide call by call about what was asked by then; return about how many."""
    request.dry_run = False
    request.filter.asked_before.CopyFrom(as_of)
    decided = 0
    for _ in range(CALLS_MAX):
        found = await services.ask(services.approvals.DecideApprovals, request)
        decided += found.decided_count
        if found.decided_count >= found.allowed_count or not found.decided_count:
            break
    return decided


async def _why(
    session: Session, services: Services, found: pb.Approval
) -> list[provenance_pb2.ExplainedField]:
    """Return why the entity's fields are as they would be written; of an entity that ended nothing."""
    request = provenance_pb2.ExplainEntityRequest(tenant_id=session.tenant_id, entity_id=found.entity_id)
    try:
        told = await services.ask(services.provenance.ExplainEntity, request)
    except HeadwaterError:
        return []  # why they are so is an addition: what would be written is shown without it
    changed = {item.field for item in found.changes}
    return [
        item
        for item in told.fields
        if any(one.connector == found.connector and one.crm_field in changed for one in item.held)
    ]


def _filter(
    ids: list[str] | None, connector: str, object_name: str, kind: Kind | None, rule: str, entity: str
) -> pb.ApprovalFilter:
    return pb.ApprovalFilter(
        approval_ids=ids or [],
        connector=connector,
        object=object_name,
        kind=kind or "",
        rule=rule,
        entity_id=entity,
    )


def _state(item: pb.Approval) -> str:
    name = pb.ApprovalState.Name(item.state).removeprefix("APPROVAL_STATE_").lower()
    return "not needed any more" if name == "asked" and not item.waits else name


def _about(item: pb.Approval) -> dict[str, Any]:
    return {
        "approval": item.approval_id,
        "state": _state(item),
        "asked by": f"approval {item.rule} of policy {item.policy_version}",
        "would": f"{item.kind} {item.crm_object} {item.crm_id}".strip(),
        "account": item.connector,
        "entity": f"{item.object} {item.entity_id}, version {item.version}",
        "because of event": item.event_key,
        "asked": moment(item.create_time),
        "by itself": f"{item.on_expiry} at {moment(item.expire_time)}",
        "decided": f"by {item.actor}, {moment(item.decide_time)}: {item.reason}" if item.actor else "",
    }


def _shown(approvals: Any) -> Any:
    rows = [
        (
            item.approval_id,
            _state(item),
            item.connector,
            item.object,
            item.kind,
            item.crm_id,
            "; ".join(f"{one.field}: {one.before_json} -> {one.after_json}" for one in item.changes)[:200],
            item.rule,
            moment(item.create_time),
            moment(item.expire_time),
            f"{item.actor}: {item.reason}" if item.actor else "",
        )
        for item in approvals
    ]
    names = (
        "approval",
        "state",
        "connector",
        "object",
        "would",
        "CRM id",
        "changes",
        "asked by",
        "asked",
        "until",
        "decided by",
    )
    return table(names, rows)
