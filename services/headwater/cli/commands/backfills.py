"""`headwater backfills`: backfills under way and past ones, and their switches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from headwater.cli.asking import asking
from headwater.cli.backfilling import backfills_table, follow, parts_table
from headwater.cli.options import PageSize
from headwater.cli.plain import plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import backfills_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Backfills: list, show, pause, resume, cancel.\n\n`headwater backfill` begins them.",
)

BackfillId = Annotated[str, typer.Argument(help="The backfill, a UUID.")]


@app.command("list")
@asking
async def list_backfills(session: Session, services: Services, limit: PageSize = 50) -> None:
    """List backfills and counts, the newest first, with their progress."""
    request = pb.ListBackfillsRequest(tenant_id=session.tenant_id, page_size=limit)
    found = await services.ask(services.backfills.ListBackfills, request)
    session.output.result(plain(found), backfills_table(found.backfills))


@app.command()
@asking
async def show(
    session: Session,
    services: Services,
    backfill: BackfillId,
    follow_it: Annotated[bool, typer.Option("--follow", help="Show a bar until it has ended.")] = False,
) -> None:
    """Show a backfill, object by object. With --follow exit code 1 says that it was not done."""
    request = pb.GetBackfillRequest(tenant_id=session.tenant_id, backfill_id=backfill)
    found = (await services.ask(services.backfills.GetBackfill, request)).backfill
    if follow_it:
        found = await follow(services, session.output, session.tenant_id, backfill)
    session.output.result(plain(found), backfills_table([found]), parts_table(found))


@app.command()
@asking
async def pause(session: Session, services: Services, backfill: BackfillId) -> None:
    """Hold a running backfill; the page under way is finished."""
    await _switch(
        session, services, services.backfills.PauseBackfill, pb.PauseBackfillRequest(backfill_id=backfill)
    )


@app.command()
@asking
async def resume(
    session: Session,
    services: Services,
    backfill: BackfillId,
    share: Annotated[
        float,
        typer.Option("--share", min=0.0, max=1.0, help="Another part of the account's limits; 0: as before."),
    ] = 0.0,
) -> None:
    """Let a paused or failed backfill go on where it stopped."""
    request = pb.ResumeBackfillRequest(backfill_id=backfill, share=share)
    await _switch(session, services, services.backfills.ResumeBackfill, request)


@app.command()
@asking
async def cancel(session: Session, services: Services, backfill: BackfillId) -> None:
    """End a backfill; what it recorded stays."""
    await _switch(
        session, services, services.backfills.CancelBackfill, pb.CancelBackfillRequest(backfill_id=backfill)
    )


async def _switch(
    session: Session, services: Services, method: Callable[..., Awaitable[Any]], request: Any
) -> None:
    request.tenant_id = session.tenant_id
    request.actor.CopyFrom(session.actor)
    found = await services.ask(method, request)
    session.output.result(plain(found), backfills_table([found.backfill]))
