# ruff: noqa: N802 - names are those of the generated base class
"""Weights over gRPC: checks requests, translates both ways, decides nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.identity.domain.merging import Actor
from headwater.identity.domain.scoring.changes import LevelChange
from headwater.identity.domain.scoring.versions import name_of
from headwater.identity.domain.teaching import Outcome
from headwater.identity.domain.weighing import OBJECTS, Activation, MadeBy, Source, Version
from headwater.identity.rpc.checks import Checks
from headwater.identity.usecases.choosing import Choice, Chooser, VersionView
from headwater.identity.usecases.learning import Learned, Learner, Wish
from headwater.identity.v1 import weights_pb2 as pb
from headwater.identity.v1 import weights_pb2_grpc
from headwater.kernel.ids import TenantId

WEIGHTS_SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["WeightsService"].full_name
VERSION_MAX: Final = 2**31 - 1

_OUTCOMES: Final[Mapping[Outcome, pb.WeightsOutcome.ValueType]] = {
    one: pb.WeightsOutcome.Value(f"WEIGHTS_OUTCOME_{one.name}") for one in Outcome
}
_MAKERS: Final[Mapping[MadeBy, pb.WeightsMaker.ValueType]] = {
    "job": pb.WEIGHTS_MAKER_JOB,
    "review": pb.WEIGHTS_MAKER_REVIEW,
    "operator": pb.WEIGHTS_MAKER_OPERATOR,
}


class WeightsServicer(weights_pb2_grpc.WeightsServiceServicer):
    """Serves `headwater.identity.v1.WeightsService`."""

    def __init__(self, learner: Learner, chooser: Chooser) -> None:
        self._learner, self._chooser = learner, chooser

    async def LearnWeights(self, request: pb.LearnWeightsRequest, context: Any) -> None:  # type: ignore[override]
        """Learn, telling how it goes; a handler that writes: the stubs know generators only."""
        tenant_id, wish = _read_learn(request)

        async def tell(object_name: str, stage: str, count: int) -> None:
            progress = pb.LearningProgress(object=object_name, stage=stage, records=count)
            await context.write(pb.LearnWeightsResponse(progress=progress))

        for one in await self._learner.learn(tenant_id, wish, context.time_remaining(), tell):
            await context.write(pb.LearnWeightsResponse(result=_result(one)))

    async def ListWeights(self, request: pb.ListWeightsRequest, context: Any) -> pb.ListWeightsResponse:  # noqa: ARG002
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        if request.object:
            _object(checks, "object", request.object)
        checks.finish()
        found = await self._chooser.list_versions(tenant_id, request.object)
        return pb.ListWeightsResponse(versions=[_version(one) for one in found])

    async def GetWeights(self, request: pb.GetWeightsRequest, context: Any) -> pb.GetWeightsResponse:  # noqa: ARG002
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        _object(checks, "object", request.object)
        number = _number(checks, request.version) if request.HasField("version") else None
        checks.finish()
        return _view(request.object, await self._chooser.get(tenant_id, request.object, number))

    async def ActivateWeights(
        self,
        request: pb.ActivateWeightsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ActivateWeightsResponse:
        tenant_id, choice = _read_choice(request, "activation_reason", request.activation_reason)
        done = await self._chooser.activate(tenant_id, choice)
        return pb.ActivateWeightsResponse(activation=None if done is None else _activation(done))

    async def RollbackWeights(
        self,
        request: pb.RollbackWeightsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.RollbackWeightsResponse:
        tenant_id, choice = _read_choice(request, "rollback_reason", request.rollback_reason)
        return pb.RollbackWeightsResponse(
            activation=_activation(await self._chooser.roll_back(tenant_id, choice))
        )


def _read_learn(request: pb.LearnWeightsRequest) -> tuple[TenantId, Wish]:
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    checks.size("objects", request.objects, 0, len(OBJECTS))
    names = [_object(checks, f"objects[{at}]", name) for at, name in enumerate(request.objects)]
    actor = checks.actor("actor", request.actor)
    checks.finish()
    objects = tuple(dict.fromkeys(names)) or OBJECTS
    return tenant_id, Wish(objects, actor, request.activate, request.validate_only)


def _read_choice(
    request: pb.ActivateWeightsRequest | pb.RollbackWeightsRequest, field: str, reason: str
) -> tuple[TenantId, Choice]:
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    choice = Choice(
        _object(checks, "object", request.object),
        _number(checks, request.version),
        checks.actor("actor", request.actor),
        checks.text(field, reason, required=False),
    )
    checks.finish()
    return tenant_id, choice


def _object(checks: Checks, field: str, value: str) -> str:
    if value not in OBJECTS:
        checks.broken(field, value, "allowed" if value else "required", f"one of {', '.join(OBJECTS)}")
    return value


def _number(checks: Checks, value: int) -> int:
    if not 0 <= value <= VERSION_MAX:
        checks.broken("version", str(value), "range", "0 for the shipped weights, or a version's number")
    return value


def _result(one: Learned) -> pb.LearningResult:
    lesson = one.lesson
    source = Source(
        0,
        lesson.records,
        lesson.pairs,
        lesson.answers,
        lesson.held,
        lesson.agreed_before,
        lesson.agreed_after,
        lesson.findings,
    )
    return pb.LearningResult(
        object=one.object,
        outcome=_OUTCOMES[lesson.outcome],
        version=one.number,
        active=one.active,
        source=_source(source),
        levels=_levels(lesson.levels),
    )


def _levels(levels: Sequence[LevelChange]) -> list[pb.LevelBits]:
    return [
        pb.LevelBits(field=one.field, level=one.level, bits_before=one.before, bits=one.after)
        for one in levels
    ]


def _source(source: Source) -> pb.WeightsSource:
    return pb.WeightsSource(
        records=source.records,
        pairs=source.pairs,
        answers=source.answers,
        held_answers=source.held,
        agreed_before=source.agreed_before,
        agreed_after=source.agreed_after,
        findings=source.findings,
    )


def _version(one: Version) -> pb.WeightsVersion:
    return pb.WeightsVersion(
        object=one.object,
        version=one.number,
        weights_version=name_of(one.number),
        active=one.active,
        base_version=one.source.base_version,
        source=_source(one.source),
        made_by=_MAKERS[one.made_by],
        actor=_actor(one.actor),
        create_time=_stamp(one.create_time),
    )


def _view(object_name: str, view: VersionView) -> pb.GetWeightsResponse:
    version = pb.WeightsVersion(object=object_name, version=view.number, weights_version=name_of(view.number))
    if view.version is not None:
        version = _version(view.version)
    version.active = view.active == view.number
    return pb.GetWeightsResponse(
        version=version,
        levels=_levels(view.levels),
        activations=[_activation(one) for one in view.activations],
    )


def _activation(one: Activation) -> pb.WeightsActivation:
    return pb.WeightsActivation(
        version=one.version,
        previous_version=one.previous_version,
        rollback=one.undoes is not None,
        actor=_actor(one.actor),
        reason=one.reason,
        activate_time=_stamp(one.activate_time),
    )


def _actor(actor: Actor) -> event_pb2.Actor:
    return event_pb2.Actor(
        type=event_pb2.ActorType.ValueType(actor.type), id=actor.id, display_name=actor.display_name
    )


def _stamp(moment: dt.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
