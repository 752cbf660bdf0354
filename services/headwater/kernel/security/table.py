"""What each method and each HTTP door asks of its caller: one table, and what is not in it is denied.

Owns the table alone; `access` applies it. A test walks the descriptors of all services and fails on a method that is
missing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """What a method asks for.

    Args:
        scopes: any one of them is enough; none: nobody may, unless public.
        public: no credential is asked for.
        reason: why it is public.
    """

    scopes: frozenset[str] = frozenset()
    public: bool = False
    reason: str = ""


NOBODY: Final = Rule()
"""Of what is not in the table."""

_RECORDING: Final = "events:write entities:correct policy:write log:own"
"""Who may record anything at all; which sources they may write to is `access.check_source`'s."""

_METHODS: Final[Mapping[str, Mapping[str, str]]] = {
    "headwater.ingest.v1.IngestService": {
        _RECORDING: "RecordEvent BatchRecordEvents StreamEvents",
        "events:read": "GetEvent ListEvents ListQuarantine ListQuarantineGroups GetIngestStatus",
        "quarantine:decide": "ReleaseQuarantined DiscardQuarantined",
    },
    "headwater.identity.v1.IdentityService": {
        "identity:resolve": "ResolveBatch",
        "identity:check": "CheckDuplicate",
        "identity:read": "GetEntity Explain ListMergeCandidates GetIdentityStatus ListReviews GetReview "
        "ListReviewActions GetGroup GetRedo",
        "identity:review": "DecideReview UndoReview AssignReview ProposeMerges",
        "identity:merge": "Merge Split",
        "identity:tune": "StartRedo PreviewRedo",
        "records:export": "StreamRecords",
        "records:erase": "EraseRecords",
    },
    "headwater.identity.v1.WeightsService": {
        "identity:read": "ListWeights GetWeights",
        "identity:tune": "LearnWeights ActivateWeights RollbackWeights",
    },
    "headwater.sync.v1.SyncService": {
        "entities:read": "GetStatus GetEntityState",
        "events:read deliveries:read": "GetEventFate",
        "deliveries:read": "ListConnectors ListDeliveries ListErrorGroups GetErrorGroup PreviewDeliveries GetReplay "
        "ListReplays",
        "connectors:control": "PauseConnector ResumeConnector ResetBreaker SetBreaker",
        "deliveries:replay": "StartReplay PauseReplay ResumeReplay CancelReplay",
        "audit:read": "ListAudit",
    },
    "headwater.sync.v1.ApprovalService": {
        "deliveries:read": "ListApprovals GetApproval",
        "writes:approve": "DecideApprovals",
    },
    "headwater.sync.v1.AuditService": {
        "audit:read": "GetAuditHead SearchAudit ReadAudit ListAuditCheckpoints ProveAuditEntry ProveAuditConsistency",
        "audit:erase": "EraseAuditValues",
    },
    "headwater.sync.v1.BackfillService": {
        "deliveries:read": "GetBackfill ListBackfills",
        "schedules:control": "StartBackfill PauseBackfill ResumeBackfill CancelBackfill",
    },
    "headwater.sync.v1.ConnectionService": {
        "secrets:open": "OpenWebhookSecrets",
        "connectors:control": "TryConnection",
    },
    "headwater.sync.v1.DeleteService": {"deliveries:read": "ListDeletes"},
    "headwater.sync.v1.ErasureService": {
        "subjects:read": "GetErasure ListErasures",
        "subjects:erase": "PreviewErasure StartErasure ConfirmErased LiftSuppression",
    },
    "headwater.sync.v1.EnrichmentService": {
        "entities:read": "GetEnrichmentStatus GetEntityEnrichment GetEnrichmentBudget",
        "enrichment:run": "RunEnrichment",
    },
    "headwater.sync.v1.MergeService": {
        "identity:read": "PreviewMerge PreviewSplit ListRecordMerges",
        "deliveries:replay": "RetryRecordMerge",
    },
    "headwater.sync.v1.PolicyService": {"policy:read": "PreviewPolicy ListPolicyVersions"},
    "headwater.sync.v1.ProvenanceService": {"entities:read": "ExplainEntity"},
    "headwater.sync.v1.QualityService": {"quality:measure": "MeasureQuality", "entities:read": "GetQuality"},
    "headwater.sync.v1.RebuildService": {"entities:rebuild": "RebuildEntity"},
    "headwater.sync.v1.ReconciliationService": {
        "deliveries:read": "ListRuns ListDrift",
        "schedules:control": "RunReconciliation",
        "deliveries:replay": "RepairDrift",
    },
    "headwater.sync.v1.RolloutService": {
        "deliveries:read": "PreviewRollout ListRollouts GetRollout",
        "rollouts:control": "StartRollout ApproveRollout HoldRollout AbortRollout",
    },
    "headwater.sync.v1.RoutingService": {
        "entities:read": "ListAssignments GetAssignment GetLoads PreviewRouting GetSla",
    },
    "headwater.sync.v1.ScheduleService": {
        "deliveries:read": "ListSchedules",
        "schedules:control": "RunSchedule PauseSchedule ResumeSchedule",
    },
    "headwater.sync.v1.TimelineService": {
        "entities:read": "ListTimeline GetAttribution",
        "quality:measure": "RecomputeAttribution",
    },
}
"""Service -> scopes (any one of them) -> methods."""

_PROBES: Final = Rule(
    public=True, reason="probes of load balancers have no credential; says only whether it serves"
)


def _methods() -> Iterator[tuple[str, Rule]]:
    for service, granted in _METHODS.items():
        for scopes, methods in granted.items():
            for method in methods.split():
                yield f"/{service}/{method}", Rule(frozenset(scopes.split()))
    yield "/grpc.health.v1.Health/Check", _PROBES
    yield "/grpc.health.v1.Health/Watch", _PROBES
    yield "/grpc.health.v1.Health/List", _PROBES


METHODS: Final[Mapping[str, Rule]] = dict(_methods())
"""Path of a gRPC method -> its rule."""

DOORS: Final[Mapping[tuple[str, str], Rule]] = {
    ("POST", "/v1/events"): Rule(frozenset(_RECORDING.split())),
    ("POST", "/v1/webhooks/{source}"): Rule(public=True, reason="the sender's signature is its credential"),
    ("GET", "/v1/openapi.json"): Rule(public=True, reason="a description that ships with every release"),
    ("GET", "/healthz"): _PROBES,
    ("GET", "/readyz"): _PROBES,
}
"""HTTP method and route -> its rule."""


def rule_of(method: str) -> Rule:
    """Return the rule of a gRPC method by its path."""
    return METHODS.get(method, NOBODY)


def rule_of_door(method: str, route: str) -> Rule:
    """Return the rule of an HTTP route."""
    return DOORS.get((method, route), NOBODY)
