"""`headwater reconcile`: CRMs compared with what they should hold, reports, and decisions about drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import anyio
import typer

from headwater.cli.asking import asking
from headwater.cli.options import PageSize, PageToken
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.reconcile_page import page, shown
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.errors import NotFound
from headwater.sync.v1 import reconciliation_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Compare the CRMs with what they should hold: run, status, report, drift, repair.",
)

Connector = Annotated[str, typer.Option("--connector", help="Only this account.")]
Job = Annotated[
    str,
    typer.Option(
        "--job",
        help="daily: records; weekly: activities and attribution; monthly: schema and mappings; quarterly: fields in use.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be.")]


@app.command()
@asking
async def run(
    session: Session,
    services: Services,
    connector: Connector = "",
    job: Job = "daily",
    dry_run: DryRun = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Read every record, also of ranges that show no change.")
    ] = False,
) -> None:
    """Order a run now; it keeps to its share of the quota, so `status` tells when it has ended.

    Examples:

      headwater reconcile run --dry-run

      headwater reconcile run --connector salesforce --whole
    """
    request = pb.RunReconciliationRequest(
        tenant_id=session.tenant_id,
        connector=connector,
        job=job,
        dry_run=dry_run,
        whole=whole,
        actor=session.actor,
    )
    found = await services.ask(services.reconciliation.RunReconciliation, request)
    rows = [(name, job, "dry" if dry_run else "") for name in found.connectors]
    session.output.result(
        plain(found), table(("account", "job", ""), rows), "see: headwater reconcile status"
    )


@app.command()
@asking
async def status(
    session: Session, services: Services, connector: Connector = "", limit: PageSize = 10
) -> None:
    """Show how each account stands against its objectives, and the last runs.

    Example:

      headwater reconcile status --json
    """
    found = await _runs(session, services, connector, "", limit)
    standings = [
        (
            item.connector, f"{item.parity:.4%}", item.open_count, item.asked_count, item.healed_count,
            f"{item.detect_p95_s:,.0f} s", f"{item.heal_p95_s:,.0f} s",
        )
        for item in found.standings
    ]  # fmt: skip
    runs = [
        (
            item.connector,
            f"{item.job}{', dry' if item.dry_run else ''}",
            moment(item.begin_time),
            moment(item.end_time) or "goes on",
            item.detail,
        )
        for item in found.runs
    ]
    names = ("account", "parity", "open", "to be decided", "healed, 30 days", "detected, p95", "healed, p95")
    session.output.result(
        plain(found),
        table(names, standings),
        table(("account", "job", "began", "ended", "what it found"), runs),
    )


@app.command()
@asking
async def report(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Argument(help="Account in the policy.")],
    job: Job = "daily",
    html: Annotated[
        Path | None, typer.Option("--html", dir_okay=False, help="Write it as a page, too.")
    ] = None,
) -> None:
    """Show the last run of an account in full: by object, field and kind of drift, with examples.

    Examples:

      headwater reconcile report salesforce

      headwater reconcile report salesforce --html drift.html

      headwater reconcile report hubspot --job monthly --json
    """
    found = await _runs(session, services, connector, job, 1)
    if not found.runs:
        raise NotFound(f"no {job} run of {connector!r} yet: headwater reconcile run --connector {connector}")
    last = found.runs[0]
    if html is not None:
        await anyio.Path(html).write_text(page(last, session.tenant_id), encoding="utf-8")
        session.output.say(f"written to {html}")
    session.output.result({**plain(last), "report": json.loads(last.report)}, *shown(last))


@app.command()
@asking
async def drift(
    session: Session,
    services: Services,
    connector: Connector = "",
    state: Annotated[
        str,
        typer.Option("--state", help="open, repairing, asked, healed or accepted; else what has not ended."),
    ] = "",
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List records that differ, field by field.

    Example:

      headwater reconcile drift --state asked
    """
    request = pb.ListDriftRequest(
        tenant_id=session.tenant_id, connector=connector, state=state, page_size=limit, page_token=page_token
    )
    found = await services.ask(services.reconciliation.ListDrift, request)
    rows = [
        (
            item.connector, item.crm_object, item.crm_id, item.kind, item.state, item.repair_count,
            moment(item.detect_time), "; ".join(f"{one.field}: {one.found}, not {one.expected}" for one in item.fields),
        )
        for item in found.drifts
    ]  # fmt: skip
    names = ("account", "object", "record", "kind", "state", "repairs", "found", "fields")
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), table(names, rows), more)


@app.command()
@asking
async def repair(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Argument(help="Account in the policy.")],
    kind: Annotated[
        str, typer.Argument(help="field, stale, contested, missing, ended, unrecorded or double.")
    ],
    action: Annotated[
        str,
        typer.Argument(
            help="redeliver: ours is written; refetch: the CRM's counts; recreate; accept: let it be."
        ),
    ],
    records: Annotated[
        list[str] | None, typer.Option("--record", help="Only this record of the CRM; may be repeated.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Decide about drift that waits for a person, or that the policy has not repaired yet; who decided is in the audit.

    Examples:

      headwater reconcile repair salesforce missing recreate --dry-run

      headwater reconcile repair hubspot contested redeliver --record 4711
    """
    request = pb.RepairDriftRequest(
        tenant_id=session.tenant_id, connector=connector, kind=kind, action=action, crm_ids=records or [],
        dry_run=dry_run, actor=session.actor,
    )  # fmt: skip
    found = await services.ask(services.reconciliation.RepairDrift, request)
    told = f"{found.drift_count} would be" if dry_run else f"{found.drift_count} are"
    session.output.result(plain(found), f"{told} decided: {action}")


async def _runs(
    session: Session, services: Services, connector: str, job: str, limit: int
) -> pb.ListRunsResponse:
    request = pb.ListRunsRequest(tenant_id=session.tenant_id, connector=connector, job=job, page_size=limit)
    return await services.ask(services.reconciliation.ListRuns, request)
