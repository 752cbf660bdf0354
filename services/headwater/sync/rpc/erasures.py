# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of erasures: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from headwater.kernel.errors import InvalidInput
from headwater.kernel.rpc.checks import Checks
from headwater.sync.domain.erasing import DEADLINE_S, Subject, read_subject
from headwater.sync.erasing.ports import ErasureView, TargetView
from headwater.sync.rpc.requests import read_actor
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.erasures import Erasures
from headwater.sync.v1 import erasures_pb2 as pb
from headwater.sync.v1 import erasures_pb2_grpc

ERASURES_NAME: Final = pb.DESCRIPTOR.services_by_name["ErasureService"].full_name
DEADLINE_S_MAX: Final = 7_776_000.0
ROWS_DEFAULT: Final = 100
_STATES: Final = {
    "draining": pb.ERASURE_STATE_DRAINING,
    "destroying": pb.ERASURE_STATE_DESTROYING,
    "propagating": pb.ERASURE_STATE_PROPAGATING,
    "done": pb.ERASURE_STATE_DONE,
}


class ErasureServicer(erasures_pb2_grpc.ErasureServiceServicer):
    """Serves `headwater.sync.v1.ErasureService`."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures

    async def PreviewErasure(
        self, request: pb.PreviewErasureRequest, context: Any
    ) -> pb.PreviewErasureResponse:
        checks = Checks()
        tenant_id, subject = checks.tenant(request.tenant_id), _subject(checks, request.subject)
        checks.finish()
        found = await self._erasures.preview(tenant_id, subject)
        return pb.PreviewErasureResponse(
            entity_ids=[str(one) for one in found.person.entities],
            parts=[
                pb.HeldPart(place=one.place, what=one.what, count=one.count, fate=one.fate, why=one.why)
                for one in found.parts
            ],
            targets=[
                pb.ErasureTarget(connector=connector, crm_object=crm_object, crm_id=crm_id, state="open")
                for connector, crm_object, crm_id in found.places
            ],
        )

    async def StartErasure(self, request: pb.StartErasureRequest, context: Any) -> pb.StartErasureResponse:
        checks = Checks()
        tenant_id, subject = checks.tenant(request.tenant_id), _subject(checks, request.subject)
        reason, actor = checks.text("reason", request.reason), read_actor(checks, request.actor)
        erasure_id = checks.uuid("request_id", request.request_id)
        deadline_s = request.deadline_s or DEADLINE_S
        if not 1 <= deadline_s <= DEADLINE_S_MAX:
            checks.broken("deadline_s", str(deadline_s), "range", "1..7776000, 0 for 30 days")
        checks.finish()
        view = await self._erasures.start(tenant_id, erasure_id, subject, actor, reason, deadline_s)
        return pb.StartErasureResponse(erasure=_erasure(view))

    async def GetErasure(self, request: pb.GetErasureRequest, context: Any) -> pb.GetErasureResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        erasure_id = checks.uuid("erasure_id", request.erasure_id)
        checks.finish()
        return pb.GetErasureResponse(erasure=_erasure(await self._erasures.get(tenant_id, erasure_id)))

    async def ListErasures(self, request: pb.ListErasuresRequest, context: Any) -> pb.ListErasuresResponse:
        checks = Checks()
        tenant_id, rows = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        checks.finish()
        found = await self._erasures.listed(tenant_id, rows or ROWS_DEFAULT, open_only=request.open_only)
        return pb.ListErasuresResponse(erasures=[_erasure(one) for one in found])

    async def ConfirmErased(self, request: pb.ConfirmErasedRequest, context: Any) -> pb.ConfirmErasedResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        erasure_id = checks.uuid("erasure_id", request.erasure_id)
        connector = checks.name("connector", request.connector)
        reason, actor = checks.text("reason", request.reason), read_actor(checks, request.actor)
        checks.finish()
        count = await self._erasures.confirm(tenant_id, erasure_id, connector, actor, reason)
        return pb.ConfirmErasedResponse(confirmed_count=count)

    async def LiftSuppression(
        self, request: pb.LiftSuppressionRequest, context: Any
    ) -> pb.LiftSuppressionResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        erasure_id = checks.optional_uuid("erasure_id", request.erasure_id)
        subject = _subject(checks, request.subject) if request.subject or erasure_id is None else None
        if subject is not None and subject.kind == "entity":
            checks.broken(
                "subject", request.subject, "allowed", "an address, a number or source/object/external id"
            )
        reason, actor = checks.text("reason", request.reason), read_actor(checks, request.actor)
        checks.finish()
        count = await self._erasures.lift(tenant_id, subject, erasure_id, actor, reason)
        return pb.LiftSuppressionResponse(lifted_count=count)


def _subject(checks: Checks, text: str) -> Subject:
    try:
        return read_subject(text)
    except InvalidInput:
        words = "an entity's id, an e-mail address, a number as +46 8 123 456, or source/object/external id"
        checks.broken("subject", text, "format.subject" if text else "required", words)
        return Subject("email", ("",))


def _erasure(view: ErasureView) -> pb.Erasure:
    return pb.Erasure(
        erasure_id=str(view.erasure_id),
        state=_STATES[view.state],
        actor=view.actor,
        reason=view.reason,
        request_time=moment_message(view.request_time),
        deadline_time=moment_message(view.deadline_time),
        end_time=moment_message(view.end_time),
        overdue=view.overdue,
        finding=view.finding,
        steps=[_step(one) for one in view.steps],
        targets=[_target(one) for one in view.targets],
        entity_ids=[str(one) for one in view.entities],
        suppressed_count=view.suppressed,
    )


def _step(step: Mapping[str, Any]) -> pb.ErasureStep:
    return pb.ErasureStep(
        step=step["step"],
        step_time=moment_message(dt.datetime.fromisoformat(step["time"])),
        counts=step.get("counts", {}),
        records=step.get("records", ()),
    )


def _target(one: TargetView) -> pb.ErasureTarget:
    return pb.ErasureTarget(
        connector=one.connector,
        crm_object=one.crm_object,
        crm_id=one.crm_id,
        state=one.state,
        method=one.method,
        try_count=one.tries,
        finding=one.finding,
        erase_time=moment_message(one.erase_time),
        verify_time=moment_message(one.verify_time),
    )
