"""`headwater backfill SOURCE`: read again what a CRM changed in a stretch of time."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from headwater.cli.asking import asking
from headwater.cli.auditing import moment_of
from headwater.cli.backfilling import backfills_table, follow, parts_table, predicted
from headwater.cli.plain import plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import backfills_pb2 as pb

app = typer.Typer(rich_markup_mode="rich")

Source = Annotated[str, typer.Argument(help="Connector account of the policy, as hubspot.")]
Since = Annotated[
    str,
    typer.Option(
        "--since",
        help="Changes from here on: 2026-01-31, 2026-01-31T12:00, or 2h for two hours ago. Default: everything.",
        show_default=False,
    ),
]
Until = Annotated[
    str, typer.Option("--until", help="Changes before this: as --since. Default: now.", show_default=False)
]
Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--object", help="Object of the CRM, as contacts; repeatable. Default: all.", show_default=False
    ),
]
Share = Annotated[
    float,
    typer.Option("--share", min=0.001, max=1.0, help="Part of the account's limits that it may use."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, predict calls and time, and record nothing.")]
Absences = Annotated[
    bool,
    typer.Option(
        "--absences",
        help="Look for records that the CRM does not list any more; each is asked for by itself.",
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Begin it and return; it goes on by itself.")]


@app.command()
@asking
async def backfill(
    session: Session,
    services: Services,
    source: Source,
    since: Since = "",
    until: Until = "",
    objects: Objects = None,
    share: Share = 0.2,
    dry_run: DryRun = False,
    absences: Absences = False,
    detach: Detach = False,
) -> None:
    """Read again what a CRM changed in a stretch of time: after an outage, for an old account, or to be sure.

    It goes on in the services, also after a restart and when this command is interrupted. What the log has already is
    known by its key, older values never overwrite newer ones, and live deliveries go first. Running it again is safe.

    Examples:

      headwater backfill hubspot --since 6h --dry-run

      headwater backfill salesforce --since 2026-01-01 --until 2026-02-01 --share 0.5
    """
    begun = await services.ask(
        services.backfills.StartBackfill,
        pb.StartBackfillRequest(
            tenant_id=session.tenant_id, backfill_id=str(uuid.uuid4()), connector=source,
            since_time=moment_of("--since", since), until_time=moment_of("--until", until),
            crm_objects=objects or (), share=share, dry_run=dry_run, absences=absences,
            actor=session.actor,
        ),
    )  # fmt: skip
    found = begun.backfill
    if detach and not dry_run:
        told = f"headwater backfills show {found.backfill_id} --follow"
        session.output.result(plain(found), backfills_table([found]), told)
        return
    if not dry_run:
        session.output.say(f"backfill {found.backfill_id}; interrupting this leaves it running")
    found = await follow(services, session.output, session.tenant_id, found.backfill_id)
    if dry_run:
        session.output.result(plain(found), parts_table(found), predicted(found))
    else:
        ends = [f"{found.call_count:,} calls", *([found.finding] if found.finding else [])]
        session.output.result(plain(found), parts_table(found), *ends)
