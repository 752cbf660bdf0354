"""The three services as a command talks to them: stubs, deadlines, and errors told in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import grpc

from headwater.cli.addresses import Addresses
from headwater.identity.v1 import identity_pb2_grpc, weights_pb2_grpc
from headwater.ingest.v1 import ingest_pb2_grpc
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.kernel.rpc import open_channel
from headwater.kernel.rpc.client import IN_THE_CLEAR
from headwater.kernel.rpc.received import from_rpc_error
from headwater.kernel.security.calling import ChannelSecurity
from headwater.sync.v1 import (
    approvals_pb2_grpc,
    audit_pb2_grpc,
    backfills_pb2_grpc,
    connections_pb2_grpc,
    deletes_pb2_grpc,
    enrichment_pb2_grpc,
    erasures_pb2_grpc,
    merges_pb2_grpc,
    policies_pb2_grpc,
    provenance_pb2_grpc,
    quality_pb2_grpc,
    rebuild_pb2_grpc,
    reconciliation_pb2_grpc,
    rollouts_pb2_grpc,
    routing_pb2_grpc,
    schedules_pb2_grpc,
    sync_pb2_grpc,
    timeline_pb2_grpc,
)

CALL_TIMEOUT_S: Final = 15.0
PAUSE_S: Final = 0.2
"""Pause before a service that is away is asked again."""
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Services:
    """Stubs of every service; channels connect at the first call."""

    addresses: Addresses
    ingest: ingest_pb2_grpc.IngestServiceAsyncStub
    identity: identity_pb2_grpc.IdentityServiceAsyncStub
    sync: sync_pb2_grpc.SyncServiceAsyncStub
    schedules: schedules_pb2_grpc.ScheduleServiceAsyncStub
    rollouts: rollouts_pb2_grpc.RolloutServiceAsyncStub
    merges: merges_pb2_grpc.MergeServiceAsyncStub
    policies: policies_pb2_grpc.PolicyServiceAsyncStub
    provenance: provenance_pb2_grpc.ProvenanceServiceAsyncStub
    quality: quality_pb2_grpc.QualityServiceAsyncStub
    weights: weights_pb2_grpc.WeightsServiceAsyncStub
    audit: audit_pb2_grpc.AuditServiceAsyncStub
    approvals: approvals_pb2_grpc.ApprovalServiceAsyncStub
    deletes: deletes_pb2_grpc.DeleteServiceAsyncStub
    erasures: erasures_pb2_grpc.ErasureServiceAsyncStub
    enrichment: enrichment_pb2_grpc.EnrichmentServiceAsyncStub
    routing: routing_pb2_grpc.RoutingServiceAsyncStub
    timelines: timeline_pb2_grpc.TimelineServiceAsyncStub
    backfills: backfills_pb2_grpc.BackfillServiceAsyncStub
    reconciliation: reconciliation_pb2_grpc.ReconciliationServiceAsyncStub
    connections: connections_pb2_grpc.ConnectionServiceAsyncStub
    rebuilds: rebuild_pb2_grpc.RebuildServiceAsyncStub
    security: ChannelSecurity = IN_THE_CLEAR
    """What the channels show."""
    patience_s: float = 0.0
    """How long a service that is away is asked again; every question of ours is safe to repeat."""

    async def ask(self, method: Callable[..., Awaitable[_Answer]], request: Any) -> _Answer:
        """Call *method* with a deadline; one that is away is asked again for `patience_s`.

        Raises:
            HeadwaterError: what the service said, or that it does not answer.
        """
        deadline = anyio.current_time() + self.patience_s
        while True:
            try:
                return await method(request, timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                answer = told(error, self.addresses, str(type(request).__module__))
                if not isinstance(answer, Unavailable) or anyio.current_time() + PAUSE_S > deadline:
                    raise answer from error
            await anyio.sleep(PAUSE_S)


@asynccontextmanager
async def open_services(
    addresses: Addresses, *, patience_s: float = 0.0, security: ChannelSecurity = IN_THE_CLEAR
) -> AsyncIterator[Services]:
    """Open the channels for a block."""
    async with AsyncExitStack() as stack:
        opened = partial(open_channel, security=security)
        ingest = await stack.enter_async_context(opened(addresses.ingest))
        identity = await stack.enter_async_context(opened(addresses.identity))
        sync = await stack.enter_async_context(opened(addresses.sync))
        yield Services(
            addresses,
            ingest_pb2_grpc.IngestServiceStub(ingest),
            identity_pb2_grpc.IdentityServiceStub(identity),
            sync_pb2_grpc.SyncServiceStub(sync),
            schedules_pb2_grpc.ScheduleServiceStub(sync),
            rollouts_pb2_grpc.RolloutServiceStub(sync),
            merges_pb2_grpc.MergeServiceStub(sync),
            policies_pb2_grpc.PolicyServiceStub(sync),
            provenance_pb2_grpc.ProvenanceServiceStub(sync),
            quality_pb2_grpc.QualityServiceStub(sync),
            weights_pb2_grpc.WeightsServiceStub(identity),
            audit_pb2_grpc.AuditServiceStub(sync),
            approvals_pb2_grpc.ApprovalServiceStub(sync),
            deletes_pb2_grpc.DeleteServiceStub(sync),
            erasures_pb2_grpc.ErasureServiceStub(sync),
            enrichment_pb2_grpc.EnrichmentServiceStub(sync),
            routing_pb2_grpc.RoutingServiceStub(sync),
            timeline_pb2_grpc.TimelineServiceStub(sync),
            backfills_pb2_grpc.BackfillServiceStub(sync),
            reconciliation_pb2_grpc.ReconciliationServiceStub(sync),
            connections_pb2_grpc.ConnectionServiceStub(sync),
            rebuild_pb2_grpc.RebuildServiceStub(sync),
            security,
            patience_s,
        )


def told(error: grpc.aio.AioRpcError, addresses: Addresses, module: str) -> HeadwaterError:
    """Return what a service said, or that it does not answer; *module* is that of the request."""
    fault = from_rpc_error(error)
    if not isinstance(fault, Unavailable) or fault.reason != Unavailable.default_reason:
        return fault
    service = module.split(".")[1]
    address = getattr(addresses, service)
    return Unavailable(
        f"{service} does not answer at {address}: start it with `headwater up`, or set HEADWATER_{service.upper()}_ADDRESS;"
        " where it asks for certificates, set HEADWATER_TLS_CA, HEADWATER_TLS_CERT and HEADWATER_TLS_KEY"
    )
