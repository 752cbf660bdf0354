# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of rollouts: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any, Final

from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.sync.domain.inspecting import Finding
from headwater.sync.domain.rollout import Fate, Rollout, Stage, Terms
from headwater.sync.domain.workbench import Preview
from headwater.sync.rollouts.ports import FailedMember
from headwater.sync.rpc.policies import staged_entity
from headwater.sync.rpc.requests import read_actor
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.rollouts import Forecast, Rollouts, Wish
from headwater.sync.v1 import rollouts_pb2 as pb
from headwater.sync.v1 import rollouts_pb2_grpc

ROLLOUTS_NAME: Final = pb.DESCRIPTOR.services_by_name["RolloutService"].full_name
ACKNOWLEDGED_MAX: Final = 1_000
"""Findings that a wish may acknowledge."""
CONDITIONS_MAX: Final = 8
"""Fields that a re-delivery may be narrowed by."""
_LIST: Final = "rollouts"
_NEWEST: Final = (dt.datetime(9999, 1, 1, tzinfo=dt.UTC), uuid.UUID(int=2**128 - 1))


class RolloutServicer(rollouts_pb2_grpc.RolloutServiceServicer):
    """Serves `headwater.sync.v1.RolloutService`."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts

    async def PreviewRollout(
        self, request: pb.PreviewRolloutRequest, context: Any
    ) -> pb.PreviewRolloutResponse:
        checks = Checks()
        tenant_id, wish = checks.tenant(request.tenant_id), _wish(checks, request.wish)
        checks.finish()
        found = await self._rollouts.preview(tenant_id, wish)
        return pb.PreviewRolloutResponse(
            forecasts=[_forecast(item) for item in found], values=any(item.values for item in found)
        )

    async def StartRollout(self, request: pb.StartRolloutRequest, context: Any) -> pb.StartRolloutResponse:
        checks = Checks()
        tenant_id, wish = checks.tenant(request.tenant_id), _wish(checks, request.wish)
        request_id = checks.uuid("request_id", request.request_id)
        actor = read_actor(checks, request.actor)
        checks.finish()
        begun = await self._rollouts.start(tenant_id, request_id, wish, actor)
        return pb.StartRolloutResponse(rollouts=[_rollout(item) for item in begun])

    async def ListRollouts(self, request: pb.ListRolloutsRequest, context: Any) -> pb.ListRolloutsResponse:
        checks = Checks()
        tenant_id, size = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        place = checks.page_token(request.page_token, _LIST, 2)
        before = _place(checks, request.page_token, place)
        checks.finish()
        found, more = await self._rollouts.listed(tenant_id, before, size)
        token = _token(found[-1]) if more else ""
        return pb.ListRolloutsResponse(rollouts=[_rollout(item) for item in found], next_page_token=token)

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Any) -> pb.GetRolloutResponse:
        checks = Checks()
        named = checks.tenant(request.tenant_id), checks.uuid("rollout_id", request.rollout_id)
        checks.finish()
        found = await self._rollouts.shown(*named)
        return pb.GetRolloutResponse(
            rollout=_rollout(found.rollout),
            stages=[_stage(item) for item in found.stages],
            failures=[_failure(item) for item in found.failed],
            entities=[staged_entity(item) for item in found.entities],
        )

    async def ApproveRollout(
        self, request: pb.ApproveRolloutRequest, context: Any
    ) -> pb.ApproveRolloutResponse:
        return pb.ApproveRolloutResponse(rollout=_rollout(await self._rollouts.approve(*_order(request))))

    async def HoldRollout(self, request: pb.HoldRolloutRequest, context: Any) -> pb.HoldRolloutResponse:
        return pb.HoldRolloutResponse(rollout=_rollout(await self._rollouts.hold(*_order(request))))

    async def AbortRollout(self, request: pb.AbortRolloutRequest, context: Any) -> pb.AbortRolloutResponse:
        checks = Checks()
        reason = checks.text("reason", request.reason, required=False)
        checks.finish()
        found = await self._rollouts.abort(*_order(request), reason)
        return pb.AbortRolloutResponse(rollout=_rollout(found))


def _order(
    request: pb.ApproveRolloutRequest | pb.HoldRolloutRequest | pb.AbortRolloutRequest,
) -> tuple[str, uuid.UUID, str]:
    checks = Checks()
    order = (
        checks.tenant(request.tenant_id),
        checks.uuid("rollout_id", request.rollout_id),
        read_actor(checks, request.actor),
    )
    checks.finish()
    return order


def _wish(checks: Checks, wish: pb.RolloutWish) -> Wish:
    checks.name("wish.connector", wish.connector, required=not wish.policy_document)
    checks.text("wish.object", wish.object, required=False)
    checks.size("wish.acknowledged", wish.acknowledged, 0, ACKNOWLEDGED_MAX)
    checks.size("wish.where", wish.where, 0, CONDITIONS_MAX)
    if wish.policy_document and (wish.look_up or wish.object or wish.where):
        rule = "a policy change reaches all that looks different under it"
        checks.broken("wish.policy_document", "", "exclusive", rule)
    return Wish(
        document=wish.policy_document,
        connector=wish.connector,
        object_name=wish.object,
        where=dict(wish.where),
        look_up=wish.look_up,
        at_once=wish.at_once,
        acknowledged=frozenset(wish.acknowledged),
    )


def _place(checks: Checks, token: str, place: tuple[str, ...] | None) -> tuple[dt.datetime, uuid.UUID]:
    if place is None:
        return _NEWEST
    try:
        return dt.datetime.fromisoformat(place[0]), uuid.UUID(place[1])
    except ValueError:
        checks.broken_token(token)
        return _NEWEST


def _token(last: Rollout) -> str:
    begun = last.create_time.isoformat() if last.create_time else ""
    return write_page_token(_LIST, [begun, str(last.rollout_id)])


def _terms(terms: Terms) -> pb.RolloutTerms:
    return pb.RolloutTerms(
        records=terms.records,
        ramp=terms.ramp,
        error_share_max=terms.error_share_max,
        errors_min=terms.errors_min,
        soak_s=terms.soak_s,
        rate_per_s=terms.rate_per_s,
        approval=terms.approval,
    )


def _forecast(item: Forecast) -> pb.RolloutForecast:
    impact = item.impact
    return pb.RolloutForecast(
        connector=impact.connector,
        scanned_count=impact.scanned,
        complete=impact.complete,
        record_count=impact.records,
        create_count=impact.creates,
        under_way_count=impact.under_way,
        field_counts=impact.fields,
        call_count=item.calls,
        quota_used=impact.quota_used,
        quota_limit=impact.quota_limit,
        quota_share=item.quota_share,
        terms=_terms(item.terms),
        stage_ends=item.ends,
        samples=[_sample(sample) for sample in impact.samples],
        findings=[_finding(one, known=one not in item.unacknowledged) for one in item.findings],
    )


def _finding(item: Finding, *, known: bool) -> pb.RolloutFinding:
    return pb.RolloutFinding(
        kind=item.kind, crm_object=item.crm_object, name=item.name, detail=item.detail, acknowledged=known
    )


def _sample(item: Preview) -> pb.RolloutSample:
    return pb.RolloutSample(
        entity_id=str(item.delivery.entity_id),
        object=item.delivery.object,
        crm_object=item.crm_object,
        crm_id=item.delivery.crm_id,
        action=item.action,
        changes=[
            pb.RolloutFieldChange(
                field=change["field"],
                before_json=json.dumps(change["before"], ensure_ascii=False),
                after_json=json.dumps(change["after"], ensure_ascii=False),
            )
            for change in item.changes
        ],
    )


def _rollout(item: Rollout) -> pb.Rollout:
    return pb.Rollout(
        rollout_id=str(item.rollout_id),
        connector=item.connector,
        kind=pb.RolloutKind.ValueType(item.kind),
        state=pb.RolloutState.ValueType(item.state),
        reason=item.reason,
        change_id=str(item.selection.change_id or ""),
        terms=_terms(item.terms),
        scanned_count=item.scanned_count,
        total_count=item.total_count,
        stage=_stage(item.stage),
        soak_time=moment_message(item.soak_time),
        actor=item.actor,
        policy_version=item.policy_version,
        create_time=moment_message(item.create_time),
        update_time=moment_message(item.update_time),
        acknowledged=item.acknowledged,
    )


def _stage(stage: Stage) -> pb.RolloutStage:
    return pb.RolloutStage(
        number=stage.number + 1,
        record_count=stage.size,
        open_count=stage.count(Fate.OPEN),
        delivered_count=stage.count(Fate.DELIVERED),
        failing_count=stage.count(Fate.FAILING),
        failed_count=stage.count(Fate.FAILED),
        left_count=stage.count(Fate.LEFT),
        begin_time=moment_message(stage.begin_time),
        settle_time=moment_message(stage.settle_time),
    )


def _failure(item: FailedMember) -> pb.RolloutFailure:
    return pb.RolloutFailure(
        entity_id=str(item.entity_id),
        stage=item.stage + 1,
        retrying=item.fate is Fate.FAILING,
        error_class=item.error_class,
        error=item.error,
    )
