"""Ingest as the place where the log is told who was given what, and which timers ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from headwater.client import (
    Accepted,
    ClientSettings,
    Duplicate,
    IngestClient,
    Outcome,
    Quarantined,
    Refused,
    event,
)
from headwater.event.v1 import event_pb2
from headwater.kernel.rpc.client import IN_THE_CLEAR
from headwater.kernel.security.calling import ChannelSecurity
from headwater.sync.routing.ports import Told

GIVE_UP_S: Final = 2.0
"""How long events are sent again while ingest is away; then the step fails and is tried again itself."""


class IngestTidings:
    """Port `RoutingLog` over gRPC."""

    def __init__(self, address: str, security: ChannelSecurity = IN_THE_CLEAR) -> None:
        self._address = address
        self._settings = ClientSettings(give_up_s=GIVE_UP_S, security=security)

    async def tell(self, tenant_id: str, told: Sequence[Told]) -> Sequence[tuple[uuid.UUID | None, str]]:
        """Record events in one commit; see the port."""
        async with IngestClient(self._address, tenant_id, settings=self._settings) as client:
            outcomes = await client.record([_event(item) for item in told])
        return [_answer(outcome) for outcome in outcomes]


def _event(item: Told) -> event_pb2.Event:
    return event(
        item.source,
        item.object,
        item.external_id,
        item.payload,
        event_time=item.event_time,
        request_id=item.request_id,
        actor=event_pb2.Actor(type=event_pb2.ACTOR_TYPE_SERVICE, id=item.actor, display_name=item.actor_name),
    )


def _answer(outcome: Outcome) -> tuple[uuid.UUID | None, str]:
    match outcome:
        case Accepted(key) | Duplicate(key):
            return uuid.UUID(key), ""
        case Quarantined(_, violations) | Refused(_, _, violations):
            return None, "; ".join(f"{item.field}: {item.description}" for item in violations)[:512]
