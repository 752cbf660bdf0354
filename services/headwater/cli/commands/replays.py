"""`headwater replays`: replays under way and past ones, and their switches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from headwater.cli.options import AsJson, DataDir, PageSize, Tenant
from headwater.cli.plain import plain
from headwater.cli.replaying import follow, replays_table
from headwater.cli.services import Services
from headwater.cli.session import Session, ask
from headwater.sync.v1 import sync_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Replays and discards of dead deliveries: list, show, pause, resume, cancel.\n\n"
    "`headwater errors replay` and `headwater errors discard` begin them.",
)

ReplayId = Annotated[str, typer.Argument(help="The replay, a UUID.")]


@app.command("list")
def list_replays(
    limit: PageSize = 50,
    page_token: Annotated[str, typer.Option("--page-token", help="next_page_token of the page before.")] = "",
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List replays, the newest first, with their progress."""

    async def work(session: Session, services: Services) -> None:
        request = sync_pb2.ListReplaysRequest(
            tenant_id=session.tenant_id, page_size=limit, page_token=page_token
        )
        found = await services.ask(services.sync.ListReplays, request)
        more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
        session.output.result(plain(found), replays_table(found.replays), more)

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def show(
    replay: ReplayId,
    follow_it: Annotated[bool, typer.Option("--follow", help="Show a bar until it has ended.")] = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a replay's progress. With --follow exit code 1 says that it was cancelled."""

    async def work(session: Session, services: Services) -> None:
        request = sync_pb2.GetReplayRequest(tenant_id=session.tenant_id, replay_id=replay)
        found = (await services.ask(services.sync.GetReplay, request)).replay
        if follow_it:
            found = await follow(services, session.output, session.tenant_id, replay)
        session.output.result(plain(found), replays_table([found]))

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def pause(replay: ReplayId, tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Hold a running replay."""
    _switch(
        replay,
        tenant,
        data_dir,
        as_json,
        lambda services: services.sync.PauseReplay,
        sync_pb2.PauseReplayRequest,
    )


@app.command()
def resume(
    replay: ReplayId, tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Let a paused replay go on at its rate."""
    _switch(
        replay,
        tenant,
        data_dir,
        as_json,
        lambda services: services.sync.ResumeReplay,
        sync_pb2.ResumeReplayRequest,
    )


@app.command()
def cancel(
    replay: ReplayId, tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """End a replay; what it made due stays due."""
    _switch(
        replay,
        tenant,
        data_dir,
        as_json,
        lambda services: services.sync.CancelReplay,
        sync_pb2.CancelReplayRequest,
    )


def _switch(
    replay: str,
    tenant: Tenant,
    data_dir: DataDir,
    as_json: AsJson,
    method: Callable[[Services], Callable[..., Awaitable[Any]]],
    request_type: type[Any],
) -> None:
    async def work(session: Session, services: Services) -> None:
        request = request_type(tenant_id=session.tenant_id, replay_id=replay, actor=session.actor)
        found = await services.ask(method(services), request)
        session.output.result(plain(found), replays_table([found.replay]))

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)
