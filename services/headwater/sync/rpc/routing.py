# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of routing: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from headwater.kernel.ids import parse_uuid
from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.sync.domain.lead_reports import Loads, PersonLoad, SlaSummary
from headwater.sync.domain.leads import LeadRow, LeadState
from headwater.sync.domain.renewing import NOWHERE
from headwater.sync.domain.routing_preview import RoutingPreview
from headwater.sync.domain.sla import Timer
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.routing import RoutingOffice
from headwater.sync.v1 import routing_pb2 as pb
from headwater.sync.v1 import routing_pb2_grpc

ROUTING_NAME: Final = pb.DESCRIPTOR.services_by_name["RoutingService"].full_name
CHANGES_MAX: Final = 5_000
CHANGES_DEFAULT: Final = 200
_LIST: Final = "assignments"


class RoutingServicer(routing_pb2_grpc.RoutingServiceServicer):
    """Serves `headwater.sync.v1.RoutingService`."""

    def __init__(self, office: RoutingOffice) -> None:
        self._office = office

    async def ListAssignments(
        self, request: pb.ListAssignmentsRequest, context: Any
    ) -> pb.ListAssignmentsResponse:
        checks = Checks()
        tenant_id, size = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        person = checks.text("person", request.person, required=False)
        known = {int(state) for state in LeadState}
        if unknown := [state for state in request.states if state not in known]:
            checks.broken("states", str(unknown[0]), "allowed", "must be states of leads")
        after = _place(checks, request.page_token)
        checks.finish()
        states = [LeadState(state) for state in request.states]
        found, more = await self._office.listed(tenant_id, after, states, person, size)
        token = write_page_token(_LIST, [str(found[-1].entity_id)]) if more else ""
        return pb.ListAssignmentsResponse(
            assignments=[_assignment(row) for row in found], next_page_token=token
        )

    async def GetAssignment(self, request: pb.GetAssignmentRequest, context: Any) -> pb.GetAssignmentResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        entity_id = checks.uuid("entity_id", request.entity_id)
        checks.finish()
        lead = await self._office.lead(tenant_id, entity_id)
        return pb.GetAssignmentResponse(
            assignment=_assignment(lead.row), timers=[_timer(item) for item in lead.timers]
        )

    async def GetLoads(self, request: pb.GetLoadsRequest, context: Any) -> pb.GetLoadsResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.finish()
        return _loads(await self._office.loads(tenant_id))

    async def PreviewRouting(
        self, request: pb.PreviewRoutingRequest, context: Any
    ) -> AsyncIterator[pb.PreviewRoutingResponse]:
        checks = Checks()
        tenant_id, text = checks.tenant(request.tenant_id), request.policy_document
        if not text.strip():
            checks.broken("policy_document", "", "required", "the text of a policy")
        if not 0 <= request.changes_max <= CHANGES_MAX:
            checks.broken("changes_max", str(request.changes_max), "range", f"0..{CHANGES_MAX}")
        since = checks.moment("since_time", request.since_time) if request.HasField("since_time") else None
        checks.finish()
        changes_max = request.changes_max or CHANGES_DEFAULT
        async with aclosing(self._office.preview(tenant_id, text, since, changes_max)) as steps:
            async for step in steps:
                yield pb.PreviewRoutingResponse(
                    scanned_count=step.scanned,
                    wanted_count=step.wanted,
                    preview=None if step.preview is None else _preview(step.preview),
                )

    async def GetSla(self, request: pb.GetSlaRequest, context: Any) -> pb.GetSlaResponse:
        checks = Checks()
        tenant_id, size = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        since = checks.moment("since_time", request.since_time) if request.HasField("since_time") else None
        checks.finish()
        report = await self._office.sla(tenant_id, since, size)
        return pb.GetSlaResponse(
            open_timers=[_timer(item) for item in report.open],
            breaches=[_timer(item) for item in report.breaches],
            summaries=[_summary(item) for item in report.summaries],
        )


def _place(checks: Checks, token: str) -> uuid.UUID:
    place = checks.page_token(token, _LIST, 1)
    found = parse_uuid(place[0]) if place else NOWHERE
    if found is None:
        checks.broken_token(token)
    return found or NOWHERE


def _assignment(row: LeadRow) -> pb.LeadAssignment:
    return pb.LeadAssignment(
        entity_id=str(row.entity_id),
        home_id=str(row.home_id),
        object=row.object,
        source=row.source,
        state=pb.LeadState.ValueType(row.state),
        person=row.person,
        role=row.role,
        rule=row.rule,
        pool=row.pool,
        lane=row.lane,
        reason=row.reason,
        number=row.number,
        move_count=row.moves,
        policy_version=row.policy_version,
        lead_time=moment_message(row.lead_time),
        assign_time=moment_message(row.assign_time),
        touch_time=moment_message(row.touch_time),
        check_time=moment_message(row.check_time),
        event_key=str(row.event_key or ""),
    )


def _timer(timer: Timer) -> pb.SlaTimer:
    return pb.SlaTimer(
        entity_id=str(timer.entity_id),
        number=timer.number,
        kind=pb.TimerKind.ValueType(timer.kind),
        state=pb.TimerState.ValueType(timer.state),
        target=timer.target,
        rule=timer.rule,
        person=timer.person,
        escalate_to=timer.escalate_to,
        start_time=moment_message(timer.start_time),
        due_time=moment_message(timer.due_time),
        end_time=moment_message(timer.end_time),
        elapsed_s=timer.elapsed_s or 0.0,
    )


def _loads(loads: Loads) -> pb.GetLoadsResponse:
    return pb.GetLoadsResponse(
        people=[_person(item) for item in loads.people],
        pools=[
            pb.PoolTurn(pool=item.pool, members=item.members, last=item.last, next=item.next)
            for item in loads.pools
        ],
        waiting_count=loads.states.get(LeadState.WAITING, 0),
        suppressed_count=loads.states.get(LeadState.SUPPRESSED, 0),
        done_count=loads.states.get(LeadState.DONE, 0),
    )


def _person(item: PersonLoad) -> pb.PersonLoad:
    return pb.PersonLoad(
        person=item.person,
        known=item.known,
        role=item.role,
        open_count=item.open,
        untouched_count=item.untouched,
        capacity=-1 if item.capacity is None else item.capacity,
        hindrance=item.hindrance,
        at_work=item.at_work,
        oldest_time=moment_message(item.oldest_time),
    )


def _preview(found: RoutingPreview) -> pb.RoutingPreview:
    people = sorted({*found.before, *found.after, *found.given})
    return pb.RoutingPreview(
        lead_count=found.leads,
        exact=found.exact,
        state_counts={state.name.lower(): count for state, count in sorted(found.states.items())},
        rule_counts=dict(sorted(found.rules.items())),
        changed_count=found.changed,
        changes=[
            pb.RoutingChange(
                entity_id=str(item.entity_id),
                before=item.before,
                after=item.after,
                rule=item.rule,
                reason=item.reason,
                lead_time=moment_message(item.lead_time),
            )
            for item in found.changes
        ],
        people=[
            pb.PersonPreview(
                person=name,
                before_count=found.before[name],
                after_count=found.after[name],
                given_count=found.given[name],
            )
            for name in people
        ],
    )


def _summary(item: SlaSummary) -> pb.SlaSummary:
    p50, p90, p95, p99 = item.percentiles or (0.0, 0.0, 0.0, 0.0)
    return pb.SlaSummary(
        kind=pb.TimerKind.ValueType(item.kind),
        target=item.target,
        open_count=item.open,
        met_count=item.met,
        breached_count=item.breached,
        p50_s=p50,
        p90_s=p90,
        p95_s=p95,
        p99_s=p99,
    )
