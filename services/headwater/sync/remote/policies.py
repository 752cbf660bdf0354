"""Ingest as the place where policies come into force."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from headwater.client import ClientSettings, IngestClient, Quarantined, Refused, event
from headwater.event.v1 import event_pb2
from headwater.kernel.errors import InvalidInput
from headwater.kernel.ids import OWN_SOURCE, POLICY_OBJECT
from headwater.kernel.rpc.client import IN_THE_CLEAR
from headwater.kernel.security.calling import ChannelSecurity
from headwater.policy.loading import policy_digest

GIVE_UP_S: Final = 10.0
"""How long a policy is sent again while ingest is away; then the step fails and is tried again itself."""


class PolicyDoor:
    """Port `PolicyLog` over gRPC."""

    def __init__(self, address: str, security: ChannelSecurity = IN_THE_CLEAR) -> None:
        self._address = address
        self._settings = ClientSettings(give_up_s=GIVE_UP_S, security=security)

    async def put(
        self,
        tenant_id: str,
        text: str,
        *,
        request_id: str,
        actor: str,
        event_time: dt.datetime,
        staged: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a policy event; see the port."""
        message = event(
            OWN_SOURCE,
            POLICY_OBJECT,
            tenant_id,
            {"document": text, "digest": policy_digest(text)} | ({"staged": staged} if staged else {}),
            event_time=event_time,
            request_id=request_id,
            actor=event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id=actor),
        )
        async with IngestClient(self._address, tenant_id, settings=self._settings) as client:
            (outcome,) = await client.record([message])
        if isinstance(outcome, Quarantined | Refused):
            raise InvalidInput(
                f"ingest does not take the policy of {tenant_id}", violations=tuple(outcome.violations)
            )
