# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of merges in CRMs: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

from headwater.kernel.errors import NotFound
from headwater.kernel.rpc.checks import Checks
from headwater.sync.domain.following import RecordMerge
from headwater.sync.domain.forecasting import Forecast
from headwater.sync.following.forecaster import Foresight
from headwater.sync.rpc.requests import read_actor
from headwater.sync.v1 import merges_pb2 as pb
from headwater.sync.v1 import merges_pb2_grpc

MERGES_NAME: Final = pb.DESCRIPTOR.services_by_name["MergeService"].full_name


class MergeServicer(merges_pb2_grpc.MergeServiceServicer):
    """Serves `headwater.sync.v1.MergeService`."""

    def __init__(self, foresight: Foresight) -> None:
        self._foresight = foresight

    async def PreviewMerge(self, request: pb.PreviewMergeRequest, context: Any) -> pb.PreviewMergeResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        winner_id = checks.uuid("winner_entity_id", request.winner_entity_id)
        loser_id = checks.uuid("loser_entity_id", request.loser_entity_id)
        checks.finish()
        found = await self._foresight.of_merge(tenant_id, winner_id, loser_id)
        return pb.PreviewMergeResponse(forecasts=[_forecast(item) for item in found])

    async def PreviewSplit(self, request: pb.PreviewSplitRequest, context: Any) -> pb.PreviewSplitResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        merge_id = checks.uuid("merge_id", request.merge_id)
        checks.finish()
        found = await self._foresight.of_split(tenant_id, merge_id)
        return pb.PreviewSplitResponse(forecasts=[_forecast(item) for item in found])

    async def ListRecordMerges(
        self, request: pb.ListRecordMergesRequest, context: Any
    ) -> pb.ListRecordMergesResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        merge_id = checks.uuid("merge_id", request.merge_id) if request.merge_id else None
        checks.finish()
        found = await self._foresight.book.read(tenant_id, merge_id)
        return pb.ListRecordMergesResponse(merges=[_merge(item) for item in found])

    async def RetryRecordMerge(
        self, request: pb.RetryRecordMergeRequest, context: Any
    ) -> pb.RetryRecordMergeResponse:
        checks = Checks()
        tenant_id, connector = checks.tenant(request.tenant_id), checks.name("connector", request.connector)
        merge_id = checks.uuid("merge_id", request.merge_id)
        actor = read_actor(checks, request.actor)
        checks.finish()
        if not await self._foresight.book.retry(tenant_id, connector, merge_id, actor):
            raise NotFound(f"merge {merge_id} has not failed in {connector}")
        return pb.RetryRecordMergeResponse()


def _forecast(item: Forecast) -> pb.MergeForecast:
    return pb.MergeForecast(
        connector=item.connector,
        mode=item.mode,
        crm_object=item.crm_object,
        survivor_crm_id=item.survivor_id,
        loser_crm_id=item.loser_id,
        changes=[
            pb.MergeFieldChange(field=one.field, before=one.before, after=one.after) for one in item.changes
        ],
        steps=item.steps,
        call_count=item.calls,
        notes=item.notes,
        hindrance=item.hindrance,
    )


def _merge(item: RecordMerge) -> pb.RecordMerge:
    both = item.both
    return pb.RecordMerge(
        merge_id=str(item.merge_id),
        connector=item.connector,
        winner_entity_id=str(item.winner_id),
        loser_entity_id=str(item.loser_id),
        wanted=item.wanted,
        state=item.state.value,
        crm_object=item.crm_object,
        survivor_crm_id=both.survivor.crm_id if both else "",
        loser_crm_id=both.loser.crm_id if both else "",
        merged_crm_id=both.after.crm_id if both and both.after else "",
        restored_crm_id=item.course.restored,
        finding=item.finding,
    )
