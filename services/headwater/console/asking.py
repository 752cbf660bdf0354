"""Asks the services for an event's life: three at once, each with a deadline, and every refusal told instead of raised.

What it may be told is what its credential may read; the services decide, this only asks. Must not know a page.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import anyio
import grpc

from headwater.console.life import EventLife, Told, life_of
from headwater.console.settings import SERVICES
from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2, identity_pb2_grpc
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.rpc import open_channel
from headwater.kernel.security.calling import ChannelSecurity
from headwater.sync.v1 import sync_pb2, sync_pb2_grpc

ASK_S: Final = 2.0
"""Longest wait for one answer; a page waits for two one after the other."""
GROUPS_MAX: Final = 500
"""Causes of failures that are looked through for those of the event."""
KEY: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_REFUSALS: Final = {
    grpc.StatusCode.NOT_FOUND: "knows nothing of it",
    grpc.StatusCode.PERMISSION_DENIED: "does not let this credential read it",
    grpc.StatusCode.UNAUTHENTICATED: "asks for a credential: set HEADWATER_TOKEN or HEADWATER_TLS_* of the console",
    grpc.StatusCode.UNAVAILABLE: "does not answer",
    grpc.StatusCode.DEADLINE_EXCEEDED: f"did not answer within {ASK_S:g} s",
}
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks through given stubs.

    Args:
        ingest, identity, sync: stubs of asyncio channels.
    """

    ingest: Any
    identity: Any
    sync: Any

    async def life(self, tenant_id: str, event_key: str) -> EventLife:
        """Return what can be told of an event now; never raises for want of an answer.

        Args:
            event_key: a UUID in lower case.
        """
        request = ingest_pb2.GetEventRequest(tenant_id=tenant_id, event_key=event_key)
        told = Told(tenant_id, event_key)
        told.found = await _ask(told, "ingest", "the record", self.ingest.GetEvent, request)
        return await self.around(told)

    async def around(self, told: Told) -> EventLife:
        """Ask for what surrounds an event that ingest has told, or has not, and put all of it together."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow, told)
            tasks.start_soon(self._resolve, told)
        return life_of(told)

    async def _follow(self, told: Told) -> None:
        """Ask sync what followed, and where something failed, by what."""
        if told.fate is None:
            request = sync_pb2.GetEventFateRequest(tenant_id=told.tenant_id, event_key=told.event_key)
            answer = await _ask(told, "sync", "what followed", self.sync.GetEventFate, request)
            told.fate = answer.fate if answer is not None else None
        if told.fate is None or not any(row.last_error for row in told.fate.deliveries):
            return
        named = sync_pb2.ListErrorGroupsRequest(tenant_id=told.tenant_id, page_size=GROUPS_MAX)
        groups = await _ask(told, "sync", "causes of failures", self.sync.ListErrorGroups, named)
        told.groups = list(groups.groups) if groups is not None else []

    async def _resolve(self, told: Told) -> None:
        """Ask identity whom the record is taken for."""
        if told.found is None:
            return
        said = told.found.event.event
        record = event_pb2.RecordRef(source=said.source, object=said.object, external_id=said.external_id)
        request = identity_pb2.GetEntityRequest(tenant_id=told.tenant_id, record=record)
        answer = await _ask(told, "identity", "whose record it is", self.identity.GetEntity, request)
        if answer is not None:
            told.entities = [answer.entity]


async def _ask(
    told: Told, service: str, what: str, method: Callable[..., Awaitable[_Answer]], request: Any
) -> _Answer | None:
    try:
        return await method(request, timeout=ASK_S)
    except grpc.aio.AioRpcError as error:
        said = _REFUSALS.get(error.code(), f"answers {error.code().name}")
        told.missing.append(f"{what}: {service} {said}")
        return None


@asynccontextmanager
async def open_asker(addresses: Mapping[str, str], security: ChannelSecurity) -> AsyncIterator[Asker | None]:
    """Open channels for a block; None where one of the addresses is not known.

    Args:
        addresses: host:port of each of `SERVICES`.

    Raises:
        StartRefused: as `open_channel`.
    """
    if not all(addresses.get(name) for name in SERVICES):
        yield None
        return
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(open_channel(addresses[name], retries=False, security=security))
            for name in SERVICES
        ]
        yield Asker(
            ingest_pb2_grpc.IngestServiceStub(opened[0]),
            identity_pb2_grpc.IdentityServiceStub(opened[1]),
            sync_pb2_grpc.SyncServiceStub(opened[2]),
        )
