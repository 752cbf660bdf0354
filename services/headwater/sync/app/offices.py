"""The operations API: each service of it with what it answers from."""

from __future__ import annotations

from headwater.sync.app.ground import Ground
from headwater.sync.app.shelves import Shelves
from headwater.sync.following.forecaster import Foresight
from headwater.sync.projector.echoes import Echoes
from headwater.sync.projector.suppressing import Suppressions
from headwater.sync.rebuilding.rebuilder import EntityRebuilder
from headwater.sync.rollouts.inspecting import PostedInspections
from headwater.sync.rpc import SyncServicer
from headwater.sync.rpc.approvals import ApprovalServicer
from headwater.sync.rpc.audit import AuditServicer
from headwater.sync.rpc.backfills import BackfillServicer
from headwater.sync.rpc.connections import ConnectionServicer
from headwater.sync.rpc.deletes import DeleteServicer
from headwater.sync.rpc.enrichment import EnrichmentServicer
from headwater.sync.rpc.erasures import ErasureServicer
from headwater.sync.rpc.merges import MergeServicer
from headwater.sync.rpc.policies import PolicyServicer
from headwater.sync.rpc.provenance import ProvenanceServicer
from headwater.sync.rpc.quality import QualityServicer
from headwater.sync.rpc.rebuilds import RebuildServicer
from headwater.sync.rpc.reconciliation import ReconciliationServicer
from headwater.sync.rpc.rollouts import RolloutServicer
from headwater.sync.rpc.routing import RoutingServicer
from headwater.sync.rpc.schedules import ScheduleServicer
from headwater.sync.rpc.timeline import TimelineServicer
from headwater.sync.serving import Servicers
from headwater.sync.store.echoes import PostgresHeldRecords
from headwater.sync.store.erasure_desk import PostgresErasureDesk
from headwater.sync.store.parity_desk import PostgresParityDesk
from headwater.sync.store.provable import PostgresProvableAudit
from headwater.sync.store.provenance import PostgresProvenance
from headwater.sync.store.rebuilding import PostgresRebuilding
from headwater.sync.store.routing_desk import PostgresRoutingDesk
from headwater.sync.store.suppressions import PostgresSuppressions
from headwater.sync.store.versions import PostgresVersions
from headwater.sync.store.workbench import PostgresWorkbench
from headwater.sync.usecases.approvals import Approvals
from headwater.sync.usecases.backfills import Backfills
from headwater.sync.usecases.connections import Connections
from headwater.sync.usecases.deletes import Deletes
from headwater.sync.usecases.enrichment import EnrichmentView
from headwater.sync.usecases.erasures import Erasures
from headwater.sync.usecases.operations import Operations
from headwater.sync.usecases.provenance import Provenance
from headwater.sync.usecases.proving import Proving
from headwater.sync.usecases.reconciliation import ReconciliationOffice
from headwater.sync.usecases.rollouts import Rollouts
from headwater.sync.usecases.routing import RoutingOffice
from headwater.sync.usecases.schedules import SteeredSchedules
from headwater.sync.usecases.versions import Versions
from headwater.sync.usecases.workbench import Workbench


def open_offices(ground: Ground, shelves: Shelves) -> Servicers:
    """Return the services of the operations API, in the order of `Servicers`."""
    pool, policies, clock, book = ground.pool, ground.policies, ground.clock, shelves.book
    workbench = Workbench(PostgresWorkbench(pool), shelves.replays, book, policies, clock)
    inspections = PostedInspections(shelves.inspections)
    return Servicers(
        SyncServicer(Operations(book, policies, clock), workbench),
        ScheduleServicer(SteeredSchedules(shelves.schedules)),
        RolloutServicer(Rollouts(shelves.rollouts, book, clock, inspections)),
        MergeServicer(Foresight(shelves.merges, shelves.questions, book, policies)),
        AuditServicer(Proving(PostgresProvableAudit(pool))),
        PolicyServicer(Versions(PostgresVersions(pool), book, clock)),
        ProvenanceServicer(Provenance(PostgresProvenance(pool))),
        QualityServicer(shelves.quality),
        ApprovalServicer(Approvals(shelves.approvals, policies)),
        DeleteServicer(Deletes(shelves.removals, policies)),
        ErasureServicer(
            Erasures(PostgresErasureDesk(pool, ground.suppression_keys), ground.resolver, policies)
        ),
        EnrichmentServicer(EnrichmentView(shelves.enrichment, policies, clock)),
        RoutingServicer(RoutingOffice(PostgresRoutingDesk(pool), policies, clock)),
        TimelineServicer(shelves.timelines),
        BackfillServicer(Backfills(shelves.backfills, policies, clock)),
        ReconciliationServicer(ReconciliationOffice(PostgresParityDesk(pool), shelves.schedules, policies)),
        ConnectionServicer(Connections(policies, ground.secrets, ground.secrets)),
        RebuildServicer(_rebuilder(ground)),
    )


def _rebuilder(ground: Ground) -> EntityRebuilder:
    pool = ground.pool
    return EntityRebuilder(
        PostgresRebuilding(pool),
        Echoes(PostgresHeldRecords(pool)),
        Suppressions(PostgresSuppressions(pool, ground.suppression_keys)),
        ground.resolver,
        ground.policies,
    )
