# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of periodic jobs: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

from headwater.kernel.rpc.checks import Checks
from headwater.sync.rpc.requests import read_actor
from headwater.sync.rpc.responses import moment_message
from headwater.sync.scheduling.ports import ExpiryView, ScheduleView
from headwater.sync.usecases.schedules import SteeredSchedules
from headwater.sync.v1 import schedules_pb2 as pb
from headwater.sync.v1 import schedules_pb2_grpc

SCHEDULES_NAME: Final = pb.DESCRIPTOR.services_by_name["ScheduleService"].full_name

Steered = pb.RunScheduleRequest | pb.PauseScheduleRequest | pb.ResumeScheduleRequest


class ScheduleServicer(schedules_pb2_grpc.ScheduleServiceServicer):
    """Serves `headwater.sync.v1.ScheduleService`."""

    def __init__(self, schedules: SteeredSchedules) -> None:
        self._schedules = schedules

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Any) -> pb.ListSchedulesResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.finish()
        schedules, expiries = await self._schedules.listed(tenant_id)
        return pb.ListSchedulesResponse(
            schedules=[_schedule(item) for item in schedules], expiries=[_expiry(item) for item in expiries]
        )

    async def RunSchedule(self, request: pb.RunScheduleRequest, context: Any) -> pb.RunScheduleResponse:
        found = await self._schedules.run_now(*_read(request))
        return pb.RunScheduleResponse(schedule=_schedule(found))

    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: Any) -> pb.PauseScheduleResponse:
        found = await self._schedules.set_paused(*_read(request), paused=True)
        return pb.PauseScheduleResponse(schedule=_schedule(found))

    async def ResumeSchedule(
        self, request: pb.ResumeScheduleRequest, context: Any
    ) -> pb.ResumeScheduleResponse:
        found = await self._schedules.set_paused(*_read(request), paused=False)
        return pb.ResumeScheduleResponse(schedule=_schedule(found))


def _read(request: Steered) -> tuple[str, str, str]:
    checks = Checks()
    order = (
        checks.tenant(request.tenant_id),
        checks.text("name", request.name),
        read_actor(checks, request.actor),
    )
    checks.finish()
    return order


def _schedule(item: ScheduleView) -> pb.Schedule:
    return pb.Schedule(
        name=item.name,
        kind=item.kind,
        connector=item.connector,
        engine=item.engine,
        every_s=item.every_s,
        next_time=moment_message(item.next_time),
        paused=item.paused,
        asked=item.asked,
        run_count=item.run_count,
        failure_count=item.failure_count,
        missed_count=item.missed_count,
        begin_time=moment_message(item.begin_time),
        end_time=moment_message(item.end_time),
        outcome=item.outcome,
        detail=item.detail,
    )


def _expiry(item: ExpiryView) -> pb.Expiry:
    expiry = item.warned.expiry
    return pb.Expiry(
        connector=item.connector,
        kind=expiry.kind,
        subject=expiry.subject,
        expire_time=moment_message(expiry.expire_time),
        renewable=expiry.renewable,
        warned=item.warned.warned_days is not None,
        warned_days=item.warned.warned_days or 0,
        finding=item.warned.finding,
        check_time=moment_message(item.check_time),
    )
