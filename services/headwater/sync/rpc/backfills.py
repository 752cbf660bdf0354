# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of backfills: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

import math
import uuid
from typing import Any, Final, cast

from headwater.kernel.rpc.checks import Checks
from headwater.sync.domain.backfilling import SHARE, BackfillState, Part
from headwater.sync.rpc.requests import read_actor
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.backfills import Backfills, BackfillView, Order
from headwater.sync.v1 import backfills_pb2 as pb
from headwater.sync.v1 import backfills_pb2_grpc

BACKFILLS_NAME: Final = pb.DESCRIPTOR.services_by_name["BackfillService"].full_name
OBJECTS_MAX: Final = 100
"""Objects that one order may name."""

Steered = pb.PauseBackfillRequest | pb.ResumeBackfillRequest | pb.CancelBackfillRequest


class BackfillServicer(backfills_pb2_grpc.BackfillServiceServicer):
    """Serves `headwater.sync.v1.BackfillService`."""

    def __init__(self, backfills: Backfills) -> None:
        self._backfills = backfills

    async def StartBackfill(self, request: pb.StartBackfillRequest, context: Any) -> pb.StartBackfillResponse:
        return pb.StartBackfillResponse(backfill=_message(await self._backfills.start(_read_order(request))))

    async def GetBackfill(self, request: pb.GetBackfillRequest, context: Any) -> pb.GetBackfillResponse:
        checks = Checks()
        named = checks.tenant(request.tenant_id), checks.uuid("backfill_id", request.backfill_id)
        checks.finish()
        return pb.GetBackfillResponse(backfill=_message(await self._backfills.one(*named)))

    async def ListBackfills(self, request: pb.ListBackfillsRequest, context: Any) -> pb.ListBackfillsResponse:
        checks = Checks()
        asked = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        checks.finish()
        found = await self._backfills.listed(*asked)
        return pb.ListBackfillsResponse(backfills=[_message(item) for item in found])

    async def PauseBackfill(self, request: pb.PauseBackfillRequest, context: Any) -> pb.PauseBackfillResponse:
        found = await self._backfills.steer(*_read(request), state=BackfillState.PAUSED)
        return pb.PauseBackfillResponse(backfill=_message(found))

    async def ResumeBackfill(
        self, request: pb.ResumeBackfillRequest, context: Any
    ) -> pb.ResumeBackfillResponse:
        share = _checked_share(request.share)
        found = await self._backfills.steer(*_read(request), state=BackfillState.RUNNING, share=share)
        return pb.ResumeBackfillResponse(backfill=_message(found))

    async def CancelBackfill(
        self, request: pb.CancelBackfillRequest, context: Any
    ) -> pb.CancelBackfillResponse:
        found = await self._backfills.steer(*_read(request), state=BackfillState.CANCELLED)
        return pb.CancelBackfillResponse(backfill=_message(found))


def _read(request: Steered) -> tuple[str, uuid.UUID, str]:
    checks = Checks()
    order = (
        checks.tenant(request.tenant_id),
        checks.uuid("backfill_id", request.backfill_id),
        read_actor(checks, request.actor),
    )
    checks.finish()
    return order


def _read_order(request: pb.StartBackfillRequest) -> Order:
    checks = Checks()
    checks.size("crm_objects", request.crm_objects, 0, OBJECTS_MAX)
    order = Order(
        tenant_id=checks.tenant(request.tenant_id),
        backfill_id=checks.uuid("backfill_id", request.backfill_id),
        connector=checks.name("connector", request.connector),
        since=checks.moment("since_time", request.since_time) if request.HasField("since_time") else None,
        until=checks.moment("until_time", request.until_time) if request.HasField("until_time") else None,
        crm_objects=tuple(request.crm_objects),
        share=_share(checks, request.share) or SHARE,
        dry_run=request.dry_run,
        absences=request.absences,
        actor=read_actor(checks, request.actor),
    )
    checks.finish()
    return order


def _checked_share(value: float) -> float:
    checks = Checks()
    share = _share(checks, value)
    checks.finish()
    return share


def _share(checks: Checks, value: float) -> float:
    if not (math.isfinite(value) and 0 <= value <= 1):
        checks.broken("share", str(value), "range", "above 0, up to 1; 0 for the default")
    return value


def _message(view: BackfillView) -> pb.Backfill:
    backfill = view.backfill
    return pb.Backfill(
        backfill_id=str(backfill.backfill_id),
        connector=backfill.connector,
        since_time=moment_message(backfill.since),
        until_time=moment_message(backfill.until),
        share=backfill.share,
        dry_run=backfill.dry_run,
        state=cast("pb.BackfillState.ValueType", int(backfill.state)),
        finding=backfill.finding,
        call_count=backfill.calls,
        parts=[_part(item) for item in backfill.parts],
        work_s=backfill.work_s,
        predicted_end_time=moment_message(view.predicted_end),
        call_pause_s=view.call_pause_s,
        actor=backfill.actor,
        create_time=moment_message(backfill.create_time),
        update_time=moment_message(backfill.update_time),
        absences=backfill.absences,
    )


def _part(part: Part) -> pb.BackfillPart:
    return pb.BackfillPart(
        crm_object=part.crm_object,
        object=part.object,
        done=part.done,
        expected_count=part.expected,
        read_count=part.read,
        deleted_count=part.deleted,
        accepted_count=part.accepted,
        duplicate_count=part.duplicates,
        quarantined_count=part.quarantined,
        refused_count=part.refused,
        predicted_calls=part.predicted_calls,
        absent_count=part.absent,
    )
