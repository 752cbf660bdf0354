"""`headwater sla`: how soon leads are looked after."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from headwater.cli.asking import asking
from headwater.cli.options import PageSize
from headwater.cli.plain import plain
from headwater.cli.routes import shown_sla
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import routing_pb2 as pb

app = typer.Typer(rich_markup_mode="rich")


@app.command()
@asking
async def sla(
    session: Session,
    services: Services,
    days: Annotated[
        float,
        typer.Option("--days", min=0.01, max=36_500, help="Breaches and times of the last so many days."),
    ] = 30,
    limit: PageSize = 50,
) -> None:
    """Show timers that run, breaches with who is told of them, and how long things took.

    Three things are timed, in working hours: until a lead has somebody (assignment), until its owner is first in
    touch (first touch), and until its first message is answered (first reply). Percentiles are of those that ended,
    late ones among them. Each timer that is met or breached is an event in the log, of source headwater, object sla.

    Examples:

      headwater sla

      headwater sla --days 7 --json
    """
    request = pb.GetSlaRequest(tenant_id=session.tenant_id, page_size=limit)
    request.since_time.FromDatetime(dt.datetime.now(dt.UTC) - dt.timedelta(days=days))
    found = await services.ask(services.routing.GetSla, request)
    session.output.result(plain(found), *shown_sla(found))
