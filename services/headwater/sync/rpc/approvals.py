# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of approvals: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final, cast, get_args

from headwater.kernel.ids import parse_uuid
from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.policy.writing import WriteKind
from headwater.sync.approvals.ports import ApprovalPlace
from headwater.sync.domain.approving import ApprovalFilter, ApprovalState, ApprovalView
from headwater.sync.domain.rows import from_micros, to_micros
from headwater.sync.rpc.requests import read_actor
from headwater.sync.rpc.responses import change_message, moment_message
from headwater.sync.usecases.approvals import DECISIONS_MAX, Approvals
from headwater.sync.v1 import approvals_pb2 as pb
from headwater.sync.v1 import approvals_pb2_grpc

APPROVALS_NAME: Final = pb.DESCRIPTOR.services_by_name["ApprovalService"].full_name
LIST: Final = "approvals"
"""The list, as page tokens name it."""
_MICROS_DIGITS_MAX: Final = 18
_STATES: Final = frozenset(map(int, ApprovalState))


class ApprovalServicer(approvals_pb2_grpc.ApprovalServiceServicer):
    """Serves `headwater.sync.v1.ApprovalService`."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def ListApprovals(self, request: pb.ListApprovalsRequest, context: Any) -> pb.ListApprovalsResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        for number, state in enumerate(request.states):
            if int(state) not in _STATES:
                checks.broken(f"states[{number}]", str(state), "allowed", "a known state of an approval")
        wanted = _filter(checks, request.filter, tuple(sorted(set(request.states))))
        after = _place(checks, request.page_token)
        page_size = checks.page_size(request.page_size)
        checks.finish()
        page, more = await self._approvals.listed(tenant_id, wanted, after, page_size)
        token = ""
        if more:
            last = page[-1]
            token = write_page_token(LIST, (str(to_micros(last.create_time)), str(last.ask.approval_id)))
        return pb.ListApprovalsResponse(approvals=[_approval(item) for item in page], next_page_token=token)

    async def GetApproval(self, request: pb.GetApprovalRequest, context: Any) -> pb.GetApprovalResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        approval_id = checks.uuid("approval_id", request.approval_id)
        checks.finish()
        return pb.GetApprovalResponse(approval=_approval(await self._approvals.one(tenant_id, approval_id)))

    async def DecideApprovals(
        self, request: pb.DecideApprovalsRequest, context: Any
    ) -> pb.DecideApprovalsResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        wanted = _filter(checks, request.filter)
        if wanted == ApprovalFilter(before=wanted.before):
            checks.broken(
                "filter", "", "required", "name an account, an object, a kind, a rule, an entity or ids"
            )
        rejects = request.decision == pb.APPROVAL_STATE_REJECTED
        if not rejects and request.decision != pb.APPROVAL_STATE_APPROVED:
            checks.broken("decision", str(request.decision), "allowed", "APPROVED or REJECTED")
        reason = checks.text("reason", request.reason, required=rejects and not request.dry_run)
        actor = read_actor(checks, request.actor)
        checks.finish()
        found = await self._approvals.decide(
            tenant_id, wanted, approves=not rejects, actor=actor, reason=reason, dry_run=request.dry_run
        )
        return pb.DecideApprovalsResponse(
            waiting_count=found.waiting,
            allowed_count=found.allowed,
            decided_count=found.decided,
            as_of=moment_message(found.as_of),
        )


def _filter(checks: Checks, given: pb.ApprovalFilter, states: tuple[int, ...] = ()) -> ApprovalFilter:
    kinds = get_args(WriteKind)
    if given.kind and given.kind not in kinds:
        checks.broken("filter.kind", given.kind, "allowed", ", ".join(kinds))
    checks.size("filter.approval_ids", given.approval_ids, 0, DECISIONS_MAX)
    asked = given.HasField("asked_before")
    return ApprovalFilter(
        connector=checks.name("filter.connector", given.connector, required=False),
        object=checks.text("filter.object", given.object, required=False),
        kind=given.kind,
        rule=checks.text("filter.rule", given.rule, required=False),
        entity_id=checks.optional_uuid("filter.entity_id", given.entity_id),
        approval_ids=tuple(
            checks.uuid(f"filter.approval_ids[{number}]", value)
            for number, value in enumerate(given.approval_ids[: DECISIONS_MAX + 1])
        ),
        states=states,
        before=checks.moment("filter.asked_before", given.asked_before) if asked else None,
    )


def _place(checks: Checks, token: str) -> ApprovalPlace | None:
    place = checks.page_token(token, LIST, 2)
    if place is None:
        return None
    micros, key = place[0], parse_uuid(place[1])
    if key is None or not (micros.isascii() and micros.isdigit() and len(micros) <= _MICROS_DIGITS_MAX):
        checks.broken_token(token)
        return None
    return from_micros(int(micros)), key


def _approval(item: ApprovalView) -> pb.Approval:
    ask, verdict = item.ask, item.verdict
    return pb.Approval(
        approval_id=str(ask.approval_id),
        state=cast("pb.ApprovalState.ValueType", int(verdict.state)),
        connector=ask.connector,
        object=ask.object,
        entity_id=str(ask.entity_id),
        crm_object=ask.crm_object,
        crm_id=ask.crm_id,
        kind=ask.kind,
        rule=ask.rule,
        version=ask.version,
        event_key=str(ask.event_key),
        policy_version=ask.policy_version,
        changes=[change_message(change) for change in ask.changes],
        create_time=moment_message(item.create_time),
        expire_time=moment_message(item.expire_time),
        on_expiry=ask.on_expiry,
        actor=verdict.actor,
        reason=verdict.reason,
        decide_time=moment_message(item.decide_time),
        waits=item.waits,
    )
