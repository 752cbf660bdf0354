"""The gRPC services of sync on one port. Owns which there are; what they do is the servicers'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.kernel.security.denials import DenialBook
from headwater.kernel.security.security import open_security
from headwater.kernel.telemetry import Telemetry
from headwater.sync.rpc import SERVICE_NAME, SyncServicer
from headwater.sync.rpc.approvals import APPROVALS_NAME, ApprovalServicer
from headwater.sync.rpc.audit import AUDIT_NAME, AuditServicer
from headwater.sync.rpc.backfills import BACKFILLS_NAME, BackfillServicer
from headwater.sync.rpc.connections import CONNECTIONS_NAME, ConnectionServicer
from headwater.sync.rpc.deletes import DELETES_NAME, DeleteServicer
from headwater.sync.rpc.enrichment import ENRICHMENT_NAME, EnrichmentServicer
from headwater.sync.rpc.erasures import ERASURES_NAME, ErasureServicer
from headwater.sync.rpc.merges import MERGES_NAME, MergeServicer
from headwater.sync.rpc.policies import POLICIES_NAME, PolicyServicer
from headwater.sync.rpc.provenance import PROVENANCE_NAME, ProvenanceServicer
from headwater.sync.rpc.quality import QUALITY_NAME, QualityServicer
from headwater.sync.rpc.rebuilds import REBUILD_NAME, RebuildServicer
from headwater.sync.rpc.reconciliation import RECONCILIATION_NAME, ReconciliationServicer
from headwater.sync.rpc.rollouts import ROLLOUTS_NAME, RolloutServicer
from headwater.sync.rpc.routing import ROUTING_NAME, RoutingServicer
from headwater.sync.rpc.schedules import SCHEDULES_NAME, ScheduleServicer
from headwater.sync.rpc.timeline import TIMELINE_NAME, TimelineServicer
from headwater.sync.settings import SyncSettings
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


@dataclass(frozen=True, slots=True)
class Servicers:
    """The gRPC services of sync."""

    sync: SyncServicer
    schedules: ScheduleServicer
    rollouts: RolloutServicer
    merges: MergeServicer
    audit: AuditServicer
    policies: PolicyServicer
    provenance: ProvenanceServicer
    quality: QualityServicer
    approvals: ApprovalServicer
    deletes: DeleteServicer
    erasures: ErasureServicer
    enrichment: EnrichmentServicer
    routing: RoutingServicer
    timelines: TimelineServicer
    backfills: BackfillServicer
    reconciliation: ReconciliationServicer
    connections: ConnectionServicer
    rebuilds: RebuildServicer


def server_of(
    servicers: Servicers, telemetry: Telemetry, settings: SyncSettings, book: DenialBook
) -> RpcServer:
    """Return the server of all services, not yet serving."""

    def add_services(server: grpc.aio.Server) -> Sequence[str]:
        sync_pb2_grpc.add_SyncServiceServicer_to_server(servicers.sync, server)
        schedules_pb2_grpc.add_ScheduleServiceServicer_to_server(servicers.schedules, server)
        rollouts_pb2_grpc.add_RolloutServiceServicer_to_server(servicers.rollouts, server)
        merges_pb2_grpc.add_MergeServiceServicer_to_server(servicers.merges, server)
        audit_pb2_grpc.add_AuditServiceServicer_to_server(servicers.audit, server)
        policies_pb2_grpc.add_PolicyServiceServicer_to_server(servicers.policies, server)
        provenance_pb2_grpc.add_ProvenanceServiceServicer_to_server(servicers.provenance, server)
        quality_pb2_grpc.add_QualityServiceServicer_to_server(servicers.quality, server)
        approvals_pb2_grpc.add_ApprovalServiceServicer_to_server(servicers.approvals, server)
        deletes_pb2_grpc.add_DeleteServiceServicer_to_server(servicers.deletes, server)
        erasures_pb2_grpc.add_ErasureServiceServicer_to_server(servicers.erasures, server)
        enrichment_pb2_grpc.add_EnrichmentServiceServicer_to_server(servicers.enrichment, server)
        routing_pb2_grpc.add_RoutingServiceServicer_to_server(servicers.routing, server)
        reconciliation_pb2_grpc.add_ReconciliationServiceServicer_to_server(servicers.reconciliation, server)
        timeline_pb2_grpc.add_TimelineServiceServicer_to_server(servicers.timelines, server)
        backfills_pb2_grpc.add_BackfillServiceServicer_to_server(servicers.backfills, server)
        connections_pb2_grpc.add_ConnectionServiceServicer_to_server(servicers.connections, server)
        rebuild_pb2_grpc.add_RebuildServiceServicer_to_server(servicers.rebuilds, server)
        return (
            SERVICE_NAME,
            SCHEDULES_NAME,
            ROLLOUTS_NAME,
            MERGES_NAME,
            AUDIT_NAME,
            POLICIES_NAME,
            PROVENANCE_NAME,
            QUALITY_NAME,
            APPROVALS_NAME,
            DELETES_NAME,
            ERASURES_NAME,
            ENRICHMENT_NAME,
            ROUTING_NAME,
            TIMELINE_NAME,
            BACKFILLS_NAME,
            RECONCILIATION_NAME,
            CONNECTIONS_NAME,
            REBUILD_NAME,
        )

    listening = ServerSettings(
        settings.address, reflection=settings.reflection, share_port=settings.replica > 0
    )
    server = RpcServer(listening, add_services, telemetry.tracer, open_security(settings), telemetry.metrics)
    server.audit_denials(book)
    return server
