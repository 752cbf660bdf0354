# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of reconciliation: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final, cast, get_args

import msgspec

from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.sync.domain.reconciling import DriftKind
from headwater.sync.reconciling.desk import DriftPlace, RunView, Standing
from headwater.sync.reconciling.ports import DriftRow, DriftState, JobName, Order
from headwater.sync.rpc.requests import read_actor
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.reconciliation import ReconciliationOffice
from headwater.sync.v1 import reconciliation_pb2 as pb
from headwater.sync.v1 import reconciliation_pb2_grpc

RECONCILIATION_NAME: Final = pb.DESCRIPTOR.services_by_name["ReconciliationService"].full_name
LIST: Final = "drift"
"""The list, as page tokens name it."""
_FIRST: Final[DriftPlace] = ("", "", "", "")
_encode = msgspec.json.Encoder().encode


class ReconciliationServicer(reconciliation_pb2_grpc.ReconciliationServiceServicer):
    """Serves `headwater.sync.v1.ReconciliationService`."""

    def __init__(self, office: ReconciliationOffice) -> None:
        self._office = office

    async def RunReconciliation(
        self, request: pb.RunReconciliationRequest, context: Any
    ) -> pb.RunReconciliationResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        connector = checks.name("connector", request.connector, required=False)
        job = _choice(checks, "job", request.job, get_args(JobName))
        order = Order(request.dry_run, request.whole, read_actor(checks, request.actor))
        checks.finish()
        names = await self._office.run(tenant_id, connector, cast("JobName", job), order)
        return pb.RunReconciliationResponse(connectors=names)

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        connector = checks.name("connector", request.connector, required=False)
        job = _choice(checks, "job", request.job, ("", *get_args(JobName)))
        page_size = checks.page_size(request.page_size)
        checks.finish()
        runs, standings = await self._office.runs(tenant_id, connector, job, page_size)
        return pb.ListRunsResponse(
            runs=[_run(item) for item in runs], standings=[_standing(item) for item in standings]
        )

    async def ListDrift(self, request: pb.ListDriftRequest, context: Any) -> pb.ListDriftResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        connector = checks.name("connector", request.connector, required=False)
        state = _choice(checks, "state", request.state, ("", *get_args(DriftState)))
        place = checks.page_token(request.page_token, LIST, 4)
        page_size = checks.page_size(request.page_size)
        checks.finish()
        after = _FIRST if place is None else (place[0], place[1], place[2], place[3])
        page, more = await self._office.drift(tenant_id, connector, state, after, page_size)
        token = ""
        if more:
            last = page[-1]
            token = write_page_token(LIST, (last.connector, last.crm_object, last.crm_id, last.kind.value))
        return pb.ListDriftResponse(drifts=[_drift(item) for item in page], next_page_token=token)

    async def RepairDrift(self, request: pb.RepairDriftRequest, context: Any) -> pb.RepairDriftResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        connector = checks.name("connector", request.connector)
        kind = _choice(checks, "kind", request.kind, [item.value for item in DriftKind])
        action = checks.text("action", request.action)
        actor = read_actor(checks, request.actor)
        checks.finish()
        decided = await self._office.decide(
            tenant_id, connector, DriftKind(kind), list(request.crm_ids), action, actor, dry=request.dry_run
        )
        return pb.RepairDriftResponse(drift_count=decided)


def _choice(checks: Checks, field: str, value: str, choices: Any) -> str:
    if value not in choices:
        checks.broken(field, value, "choice", f"must be one of {', '.join(one for one in choices if one)}")
    return value


def _run(item: RunView) -> pb.ReconciliationRun:
    return pb.ReconciliationRun(
        run_id=str(item.run_id),
        connector=item.connector,
        job=item.job,
        dry_run=item.dry,
        begin_time=moment_message(item.begin_time),
        end_time=moment_message(item.end_time),
        detail=item.detail,
        report=_encode(item.report),
    )


def _standing(item: Standing) -> pb.DriftStanding:
    return pb.DriftStanding(
        connector=item.connector,
        open_count=item.open_count,
        asked_count=item.asked_count,
        healed_count=item.healed_count,
        detect_p95_s=item.detect_p95_s,
        heal_p95_s=item.heal_p95_s,
        parity=item.parity,
    )


def _drift(item: DriftRow) -> pb.Drift:
    return pb.Drift(
        connector=item.connector,
        crm_object=item.crm_object,
        crm_id=item.crm_id,
        kind=item.kind.value,
        entity_id=str(item.entity_id or ""),
        state=item.state,
        repair=item.repair,
        repair_count=item.repair_count,
        drift_time=moment_message(item.drift_time),
        detect_time=moment_message(item.detect_time),
        heal_time=moment_message(item.heal_time),
        fields=[
            pb.DriftField(
                field=one.field, expected=_encode(one.expected).decode(), found=_encode(one.found).decode()
            )
            for one in item.fields
        ],
    )
