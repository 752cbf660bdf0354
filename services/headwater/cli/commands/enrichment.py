"""`headwater enrichment`: which providers were asked about whom, what they said, and what that cost."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headwater.cli.asking import asking
from headwater.cli.entities import find_entity
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import enrichment_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Values that providers add: how it stands, one entity again, what it cost.",
)

Entity = Annotated[str, typer.Argument(help="An entity id, or a record as source/object/external-id.")]


@app.command()
@asking
async def status(
    session: Session,
    services: Services,
    entity: Annotated[
        str,
        typer.Argument(help="An entity id, or a record as source/object/external-id; without it the whole."),
    ] = "",
) -> None:
    """Show how many entities wait and how providers fare; of one entity, what each said and who would be asked now.

    Examples:

      headwater enrichment status

      headwater enrichment status hubspot/contact/42 --json
    """
    if entity:
        entity_id = (await find_entity(session, services, entity)).entity_id
        asked = pb.GetEntityEnrichmentRequest(tenant_id=session.tenant_id, entity_id=entity_id)
        one = await services.ask(services.enrichment.GetEntityEnrichment, asked)
        session.output.result(plain(one), *_shown_entity(one.entity))
        return
    request = pb.GetEnrichmentStatusRequest(tenant_id=session.tenant_id)
    found = await services.ask(services.enrichment.GetEnrichmentStatus, request)
    session.output.result(plain(found), *_shown_status(found))


@app.command()
@asking
async def run(
    session: Session,
    services: Services,
    entity: Entity,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say who would be asked, at what cost.")
    ] = False,
) -> None:
    """Ask all providers again about one entity, whatever was asked before; the day's budgets hold all the same.

    Example:

      headwater enrichment run hubspot/contact/42 --dry-run
    """
    entity_id = (await find_entity(session, services, entity)).entity_id
    request = pb.RunEnrichmentRequest(
        tenant_id=session.tenant_id, entity_id=entity_id, dry_run=dry_run, actor=session.actor
    )
    found = await services.ask(services.enrichment.RunEnrichment, request)
    if found.ordered:
        session.output.say(f"ordered; `headwater enrichment status {entity_id}` shows what comes of it")
    session.output.result(plain(found), _shown_plan(found.entity))


@app.command()
@asking
async def budget(
    session: Session,
    services: Services,
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="Days, today among them.")] = 7,
) -> None:
    """Show what was asked of each provider by day, and what it cost, in the policy's unit."""
    request = pb.GetEnrichmentBudgetRequest(tenant_id=session.tenant_id, days=days)
    found = await services.ask(services.enrichment.GetEnrichmentBudget, request)
    session.output.result(plain(found), _shown_usage(found.usage))


def _shown_status(found: pb.GetEnrichmentStatusResponse) -> list[Any]:
    tallies = [
        (
            item.object,
            item.entity_count,
            item.due_count,
            item.later_count,
            item.retrying_count,
            moment(item.oldest_due_time),
        )
        for item in found.tallies
    ]
    providers = [
        (
            item.name,
            item.kind,
            item.breaker,
            _of(item.today.call_count, item.calls_per_day),
            _of(item.today.cost, item.budget_per_day),
            item.today.hit_count,
            item.today.miss_count,
            item.today.failed_count,
            item.last_error,
        )
        for item in found.providers
    ]
    return [
        table(("object", "entities", "due", "later", "retrying", "oldest due"), tallies),
        table(
            ("provider", "kind", "breaker", "calls", "cost", "hits", "misses", "failed", "last error"),
            providers,
        ),
    ]


def _of(used: float, bound: float) -> str:
    return f"{used:g}" if bound < 0 else f"{used:g} of {bound:g}"


def _shown_entity(item: pb.EntityEnrichment) -> list[Any]:
    told = [
        (word.provider, word.outcome, ", ".join(word.fields), moment(word.time), word.reason)
        for word in item.told
    ]
    return [
        f"{item.object} {item.entity_id}: version {item.version}, looked at as of {item.seen_version}"
        + (f", again {moment(item.due_time)}" if item.HasField("due_time") else ""),
        table(("provider", "outcome", "fields", "when", "reason"), told),
        _shown_plan(item),
    ]


def _shown_plan(item: pb.EntityEnrichment) -> Any:
    rows = [
        (
            one.field,
            "nobody"
            if one.closed
            else " > ".join(f"{step.provider} ({step.standing})" for step in one.steps),
            "" if one.closed else f"{sum(step.cost for step in one.steps if step.standing == 'ask'):g}",
        )
        for one in item.plan
    ]
    return table(("field", "asked, in this order", "cost at most"), rows)


def _shown_usage(usage: Any) -> Any:
    names = (
        "day",
        "provider",
        "calls",
        "cost",
        "hits",
        "misses",
        "failed",
        "from kept answers",
        "over budget",
    )
    rows = [
        (
            item.day,
            item.provider,
            item.call_count,
            f"{item.cost:g}",
            item.hit_count,
            item.miss_count,
            item.failed_count,
            item.cached_count,
            item.refused_count,
        )
        for item in usage
    ]
    return table(names, rows)
