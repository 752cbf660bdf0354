# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service: each method reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

from headwater.sync.domain.replaying import ReplayState
from headwater.sync.rpc import requests, responses, workbench
from headwater.sync.usecases.operations import Operations
from headwater.sync.usecases.workbench import Workbench
from headwater.sync.v1 import sync_pb2 as pb
from headwater.sync.v1 import sync_pb2_grpc

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["SyncService"].full_name


class SyncServicer(sync_pb2_grpc.SyncServiceServicer):
    """Serves `headwater.sync.v1.SyncService`."""

    def __init__(self, operations: Operations, desk: Workbench) -> None:
        self._operations = operations
        self._desk = desk

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        return responses.status_response(await self._operations.status(requests.read_tenant(request)))

    async def GetEventFate(self, request: pb.GetEventFateRequest, context: Any) -> pb.GetEventFateResponse:
        fate = await self._operations.fate(*requests.read_fate(request))
        return pb.GetEventFateResponse(fate=responses.fate_message(fate))

    async def GetEntityState(
        self, request: pb.GetEntityStateRequest, context: Any
    ) -> pb.GetEntityStateResponse:
        return responses.entity_response(await self._operations.entity(*requests.read_entity(request)))

    async def ListConnectors(
        self, request: pb.ListConnectorsRequest, context: Any
    ) -> pb.ListConnectorsResponse:
        accounts = await self._operations.accounts(requests.read_tenant(request))
        return pb.ListConnectorsResponse(connectors=[responses.connector_message(one) for one in accounts])

    async def PauseConnector(
        self, request: pb.PauseConnectorRequest, context: Any
    ) -> pb.PauseConnectorResponse:
        account = await self._operations.pause(*requests.read_steering(request))
        return pb.PauseConnectorResponse(connector=responses.connector_message(account))

    async def ResumeConnector(
        self, request: pb.ResumeConnectorRequest, context: Any
    ) -> pb.ResumeConnectorResponse:
        account = await self._operations.resume(*requests.read_steering(request))
        return pb.ResumeConnectorResponse(connector=responses.connector_message(account))

    async def ResetBreaker(self, request: pb.ResetBreakerRequest, context: Any) -> pb.ResetBreakerResponse:
        account = await self._operations.reset_breaker(*requests.read_steering(request))
        return pb.ResetBreakerResponse(connector=responses.connector_message(account))

    async def SetBreaker(self, request: pb.SetBreakerRequest, context: Any) -> pb.SetBreakerResponse:
        order = requests.read_breaker_order(request)
        account, changed = await self._operations.set_breaker(*order, dry_run=request.dry_run)
        return pb.SetBreakerResponse(connector=responses.connector_message(account), changed=changed)

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, context: Any
    ) -> pb.ListDeliveriesResponse:
        return responses.deliveries_response(
            *await self._operations.deliveries(*requests.read_deliveries(request))
        )

    async def ListAudit(self, request: pb.ListAuditRequest, context: Any) -> pb.ListAuditResponse:
        return responses.audit_response(*await self._operations.audit(*requests.read_audit(request)))

    async def ListErrorGroups(
        self, request: pb.ListErrorGroupsRequest, context: Any
    ) -> pb.ListErrorGroupsResponse:
        return workbench.groups_response(*await self._desk.groups(*workbench.read_groups(request)))

    async def GetErrorGroup(self, request: pb.GetErrorGroupRequest, context: Any) -> pb.GetErrorGroupResponse:
        return workbench.group_response(*await self._desk.group(*workbench.read_group(request)))

    async def PreviewDeliveries(
        self, request: pb.PreviewDeliveriesRequest, context: Any
    ) -> pb.PreviewDeliveriesResponse:
        return workbench.preview_response(await self._desk.preview(*workbench.read_preview(request)))

    async def StartReplay(self, request: pb.StartReplayRequest, context: Any) -> pb.StartReplayResponse:
        order = workbench.read_start(request)
        replay = await self._desk.start_replay(*order, dry_run=request.dry_run)
        return pb.StartReplayResponse(replay=workbench.replay_message(replay))

    async def GetReplay(self, request: pb.GetReplayRequest, context: Any) -> pb.GetReplayResponse:
        replay = await self._desk.replay(*workbench.read_replay(request))
        return pb.GetReplayResponse(replay=workbench.replay_message(replay))

    async def ListReplays(self, request: pb.ListReplaysRequest, context: Any) -> pb.ListReplaysResponse:
        return workbench.replays_response(*await self._desk.replays(*workbench.read_replays(request)))

    async def PauseReplay(self, request: pb.PauseReplayRequest, context: Any) -> pb.PauseReplayResponse:
        order = workbench.read_replay_order(request)
        replay = await self._desk.steer(*order, state=ReplayState.PAUSED)
        return pb.PauseReplayResponse(replay=workbench.replay_message(replay))

    async def ResumeReplay(self, request: pb.ResumeReplayRequest, context: Any) -> pb.ResumeReplayResponse:
        order = workbench.read_replay_order(request)
        replay = await self._desk.steer(*order, state=ReplayState.RUNNING)
        return pb.ResumeReplayResponse(replay=workbench.replay_message(replay))

    async def CancelReplay(self, request: pb.CancelReplayRequest, context: Any) -> pb.CancelReplayResponse:
        order = workbench.read_replay_order(request)
        replay = await self._desk.steer(*order, state=ReplayState.CANCELLED)
        return pb.CancelReplayResponse(replay=workbench.replay_message(replay))
