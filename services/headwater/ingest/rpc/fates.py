"""Asks the sync service what followed from an event; a short question whose failure is an answer too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc

from headwater.sync.v1 import sync_pb2, sync_pb2_grpc

NOT_CONFIGURED: Final = "SYNC_NOT_CONFIGURED"
NOT_PROJECTED: Final = "NOT_PROJECTED"
UNAVAILABLE: Final = "SYNC_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Fate:
    """What followed from an event, or why that cannot be told."""

    fate: sync_pb2.EventFate | None = None
    missing_reason: str = ""


class SyncFates:
    """Asks one sync service.

    Args:
        channel: to the sync service; None when there is none.
        timeout_s: longest wait for the answer.
    """

    def __init__(self, channel: grpc.aio.Channel | None, *, timeout_s: float) -> None:
        self._stub = sync_pb2_grpc.SyncServiceStub(channel) if channel is not None else None
        self._timeout_s = timeout_s

    async def fate_of(self, tenant_id: str, event_key: str, *, wait_s: float) -> Fate:
        """Return the fate of an event; never raises for want of an answer."""
        if self._stub is None:
            return Fate(missing_reason=NOT_CONFIGURED)
        request = sync_pb2.GetEventFateRequest(tenant_id=tenant_id, event_key=event_key)
        try:
            answer = await self._stub.GetEventFate(request, timeout=min(self._timeout_s, wait_s))
        except grpc.aio.AioRpcError as error:
            not_found = error.code() is grpc.StatusCode.NOT_FOUND
            return Fate(missing_reason=NOT_PROJECTED if not_found else UNAVAILABLE)
        return Fate(answer.fate)
