"""`headwater replays`: replays under way and past ones, and their switches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from headwater.cli.asking import asking
from headwater.cli.options import PageSize, PageToken
from headwater.cli.plain import plain
from headwater.cli.replaying import follow, replays_table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import sync_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Replays and discards of dead deliveries: list, show, pause, resume, cancel.\n\n"
    "`headwater errors replay` and `headwater errors discard` begin them.",
)

ReplayId = Annotated[str, typer.Argument(help="The replay, a UUID.")]


@app.command("list")
@asking
async def list_replays(
    session: Session,
    services: Services,
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List replays, the newest first, with their progress."""
    request = sync_pb2.ListReplaysRequest(tenant_id=session.tenant_id, page_size=limit, page_token=page_token)
    found = await services.ask(services.sync.ListReplays, request)
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), replays_table(found.replays), more)


@app.command()
@asking
async def show(
    session: Session,
    services: Services,
    replay: ReplayId,
    follow_it: Annotated[bool, typer.Option("--follow", help="Show a bar until it has ended.")] = False,
) -> None:
    """Show a replay's progress. With --follow exit code 1 says that it was cancelled."""
    request = sync_pb2.GetReplayRequest(tenant_id=session.tenant_id, replay_id=replay)
    found = (await services.ask(services.sync.GetReplay, request)).replay
    if follow_it:
        found = await follow(services, session.output, session.tenant_id, replay)
    session.output.result(plain(found), replays_table([found]))


@app.command()
@asking
async def pause(session: Session, services: Services, replay: ReplayId) -> None:
    """Hold a running replay."""
    await _switch(session, services, services.sync.PauseReplay, sync_pb2.PauseReplayRequest(replay_id=replay))


@app.command()
@asking
async def resume(session: Session, services: Services, replay: ReplayId) -> None:
    """Let a paused replay go on at its rate."""
    await _switch(
        session, services, services.sync.ResumeReplay, sync_pb2.ResumeReplayRequest(replay_id=replay)
    )


@app.command()
@asking
async def cancel(session: Session, services: Services, replay: ReplayId) -> None:
    """End a replay; what it made due stays due."""
    await _switch(
        session, services, services.sync.CancelReplay, sync_pb2.CancelReplayRequest(replay_id=replay)
    )


async def _switch(
    session: Session, services: Services, method: Callable[..., Awaitable[Any]], request: Any
) -> None:
    request.tenant_id = session.tenant_id
    request.actor.CopyFrom(session.actor)
    found = await services.ask(method, request)
    session.output.result(plain(found), replays_table([found.replay]))
