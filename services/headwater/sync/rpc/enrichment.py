# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of enrichment: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

from headwater.kernel.rpc.checks import Checks
from headwater.sync.enriching.ports import Tally, Usage
from headwater.sync.rpc.requests import read_actor
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.enrichment import EnrichmentView, EntityView, FieldPlan, ProviderView
from headwater.sync.v1 import enrichment_pb2 as pb
from headwater.sync.v1 import enrichment_pb2_grpc

ENRICHMENT_NAME: Final = pb.DESCRIPTOR.services_by_name["EnrichmentService"].full_name
DAYS: Final = 7
DAYS_MAX: Final = 400


class EnrichmentServicer(enrichment_pb2_grpc.EnrichmentServiceServicer):
    """Serves `headwater.sync.v1.EnrichmentService`."""

    def __init__(self, enrichment: EnrichmentView) -> None:
        self._enrichment = enrichment

    async def GetEnrichmentStatus(
        self, request: pb.GetEnrichmentStatusRequest, context: Any
    ) -> pb.GetEnrichmentStatusResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.finish()
        tallies, providers = await self._enrichment.status(tenant_id)
        return pb.GetEnrichmentStatusResponse(
            tallies=map(_tally, tallies), providers=map(_provider, providers)
        )

    async def GetEntityEnrichment(
        self, request: pb.GetEntityEnrichmentRequest, context: Any
    ) -> pb.GetEntityEnrichmentResponse:
        checks = Checks()
        tenant_id, entity_id = checks.tenant(request.tenant_id), checks.uuid("entity_id", request.entity_id)
        checks.finish()
        return pb.GetEntityEnrichmentResponse(
            entity=_entity(await self._enrichment.entity(tenant_id, entity_id))
        )

    async def RunEnrichment(self, request: pb.RunEnrichmentRequest, context: Any) -> pb.RunEnrichmentResponse:
        checks = Checks()
        tenant_id, entity_id = checks.tenant(request.tenant_id), checks.uuid("entity_id", request.entity_id)
        actor = read_actor(checks, request.actor)
        checks.finish()
        found = await self._enrichment.run(tenant_id, entity_id, actor, dry=request.dry_run)
        return pb.RunEnrichmentResponse(entity=_entity(found), ordered=not request.dry_run)

    async def GetEnrichmentBudget(
        self, request: pb.GetEnrichmentBudgetRequest, context: Any
    ) -> pb.GetEnrichmentBudgetResponse:
        checks = Checks()
        tenant_id, days = checks.tenant(request.tenant_id), request.days or DAYS
        if not 1 <= days <= DAYS_MAX:
            checks.broken("days", str(days), "range", f"1..{DAYS_MAX}")
        checks.finish()
        return pb.GetEnrichmentBudgetResponse(
            usage=map(_usage, await self._enrichment.budget(tenant_id, days))
        )


def _tally(item: Tally) -> pb.EnrichmentTally:
    return pb.EnrichmentTally(
        object=item.object,
        entity_count=item.entities,
        due_count=item.due,
        later_count=item.later,
        retrying_count=item.retrying,
        oldest_due_time=moment_message(item.oldest_due_time),
    )


def _provider(item: ProviderView) -> pb.ProviderStatus:
    budget, calls = item.policy.budget_per_day, item.policy.calls_per_day
    return pb.ProviderStatus(
        name=item.name,
        kind=item.policy.kind,
        system=item.policy.system,
        breaker=item.breaker,
        last_error=item.fares.last_error,
        last_error_time=moment_message(item.fares.last_error_time),
        today=_usage(item.today),
        budget_per_day=-1.0 if budget is None else budget,
        calls_per_day=-1 if calls is None else calls,
    )


def _usage(item: Usage) -> pb.ProviderUsage:
    return pb.ProviderUsage(
        provider=item.provider,
        day=item.day.isoformat(),
        call_count=item.calls,
        cost=item.cost,
        hit_count=item.hits,
        miss_count=item.misses,
        failed_count=item.failed,
        cached_count=item.cached,
        refused_count=item.refused,
    )


def _entity(view: EntityView) -> pb.EntityEnrichment:
    standing, task = view.standing, view.standing.task
    return pb.EntityEnrichment(
        entity_id=str(task.entity_id),
        object=task.object,
        version=task.version,
        seen_version=standing.seen_version or 0,
        due_time=moment_message(standing.due_time),
        settle_time=moment_message(standing.settle_time),
        told=[
            pb.ProviderWord(
                provider=name,
                outcome=told.outcome,
                time=moment_message(told.time),
                fields=told.fields,
                reason=told.reason,
            )
            for name, told in sorted(task.told.items())
        ],
        plan=map(_field, view.plan),
    )


def _field(item: FieldPlan) -> pb.FieldPlan:
    steps = [pb.PlanStep(provider=one.provider, standing=one.standing, cost=one.cost) for one in item.steps]
    return pb.FieldPlan(field=item.field, closed=item.closed, steps=steps)
