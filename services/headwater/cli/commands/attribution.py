"""`headwater attribution ENTITY | recompute`: which touches led to a lead, and what each is credited."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from headwater.cli.asking import asking
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import read_who
from headwater.sync.v1 import timeline_pb2 as pb

app = typer.Typer(rich_markup_mode="rich")

RECOMPUTE: Final = "recompute"
SHOWN_MAX: Final = 20
"""Differences that are shown one by one."""
Entity = Annotated[
    str,
    typer.Argument(
        help="An entity id, a record as source/object/external-id, or the word recompute.",
        metavar="ENTITY|recompute",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="first, last, linear, position or time_decay; all without it.", show_default=False
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With recompute: keep nothing, only compare.")]


@app.command()
@asking
async def attribution(
    session: Session, services: Services, entity: Entity, model: Models = None, dry_run: DryRun = False
) -> None:
    """Show the touches of a lead or contact, and how each model shares credit among them.

    A touch is kept as the policy of its time read it, and never written again. `recompute` reads all touches from the
    events again, by the policy in force: it tells what would come out differently, and keeps touches of events that have
    none; with --dry-run not even those.

    Examples:

      headwater attribution webform/lead/7781 --model linear

      headwater attribution recompute --dry-run
    """
    if entity == RECOMPUTE:
        await _recompute(session, services, dry_run=dry_run)
        return
    entity_id, record = read_who(entity)
    request = pb.GetAttributionRequest(tenant_id=session.tenant_id, models=model or ())
    if record is not None:
        request.record.CopyFrom(record)
    else:
        request.entity_id = entity_id
    found = await services.ask(services.timelines.GetAttribution, request)
    models = sorted(found.touches[0].credits) if found.touches else []
    rows = [
        (
            moment(item.touch_time),
            item.channel,
            item.detail,
            item.policy_version,
            *(f"{item.credits[name]:.1%}" for name in models),
        )
        for item in found.touches
    ]
    session.output.result(plain(found), table(("time", "channel", "detail", "policy", *models), rows))


async def _recompute(session: Session, services: Services, *, dry_run: bool) -> None:
    """Ask page by page; what comes out differently is told, the first of it one by one."""
    counts = {"events": 0, "same": 0, "missing": 0, "differing": 0, "dropped_from_log": 0}
    shown: list[dict[str, Any]] = []
    request = pb.RecomputeAttributionRequest(tenant_id=session.tenant_id, dry_run=dry_run)
    while True:
        page = await services.ask(services.timelines.RecomputeAttribution, request)
        counts["events"] += page.event_count
        counts["same"] += page.same_count
        counts["missing"] += len(page.missing)
        counts["differing"] += len(page.differing)
        counts["dropped_from_log"] += page.dropped_count
        shown += [plain(item) for item in page.differing][: SHOWN_MAX - len(shown)]
        if not page.next_event_key:
            break
        request.after_event_key = page.next_event_key
    rows = [(item["kept"]["event_key"], _said(item["kept"]), _said(item.get("recomputed"))) for item in shown]
    session.output.result(
        {"dry_run": dry_run, **counts, "differences": shown},
        facts({"dry run": dry_run, **counts}),
        *([table(("event", "kept", "by the policy in force"), rows)] if rows else []),
    )


def _said(touch: dict[str, Any] | None) -> str:
    if touch is None:
        return "no touch"
    return f"{touch['channel']} ({touch['detail']})" if touch["detail"] else str(touch["channel"])
