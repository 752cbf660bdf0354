"""`headwater status`: one screen about a tenant, from the log to the CRMs, live on a terminal."""

from __future__ import annotations

import signal
from typing import Annotated, Final

import anyio
import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape

from headwater.cli import failures
from headwater.cli.asking import asking
from headwater.cli.overview.reading import Answers, look, read_objectives
from headwater.cli.overview.screen import counts, document, screen
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import HeadwaterError

app = typer.Typer(rich_markup_mode="rich")

INTERVAL_S: Final = 2.0


@app.command()
@asking
async def status(
    session: Session,
    services: Services,
    once: Annotated[
        bool, typer.Option("--once", help="Print it once and end, as where no terminal is.")
    ] = False,
    counted: Annotated[
        bool, typer.Option("--counts", help="Once, with counts by source, object and state.")
    ] = False,
    interval_s: Annotated[
        float, typer.Option("--interval", min=0.5, max=3600, help="Seconds between looks.")
    ] = INTERVAL_S,
) -> None:
    """Show how a tenant stands: the five numbers, each account's queue, breaker, quota and objective, the last error.

    Success and error budget are of the deliveries as they stand now; rates over time are Prometheus's. On a terminal it
    is shown anew until Ctrl-C.

    Examples:

      headwater status

      headwater status --tenant acme --json | jq '.numbers[] | select(.met == false)'
    """
    objectives = await read_objectives(session, services)
    answers = await look(session, services, objectives)
    if once or counted or session.output.as_json or not session.output.out.is_terminal:
        more = ("", *counts(answers)) if counted else ()
        session.output.result(
            document(answers), f"[bold]{escape(answers.tenant_id)}[/]\n", screen(answers), *more
        )
        return
    await _follow(session, services, answers, interval_s)


async def _follow(session: Session, services: Services, answers: Answers, interval_s: float) -> None:
    """Show it anew until a signal; a service that is away is told and asked again."""
    with Live(console=session.output.out, screen=True, auto_refresh=False) as live:
        async with anyio.create_task_group() as tasks:

            async def until_told() -> None:
                with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                    async for _ in signals:
                        tasks.cancel_scope.cancel()

            tasks.start_soon(until_told)
            trouble = ""
            while True:
                head = f"[bold]{escape(answers.tenant_id)}[/]  {SystemClock().now():%H:%M:%S} UTC  [dim]Ctrl-C ends[/]"
                live.update(Group(head, trouble, screen(answers)), refresh=True)
                await anyio.sleep(interval_s)
                try:
                    answers, trouble = await look(session, services, answers.objectives), ""
                except* HeadwaterError as group:
                    first = next(failures.expected_leaves(group))
                    trouble = f"[red]{escape(failures.sentence(first))}; older numbers[/]"
