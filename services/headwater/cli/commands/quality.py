"""`headwater quality`: how complete, valid, fresh and free of duplicates a tenant's records are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from headwater.cli.asking import asking
from headwater.cli.grading import shown_report
from headwater.cli.plain import plain
from headwater.cli.quality_page import page
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.stepping import last_step
from headwater.sync.v1 import quality_pb2 as pb

app = typer.Typer(rich_markup_mode="rich")

MEASURE_TIMEOUT_S: Final = 1_800.0
"""Longest measurement; some 20,000 records are read a second."""


@app.command()
@asking
async def quality(
    session: Session,
    services: Services,
    kept: Annotated[
        bool, typer.Option("--kept", help="Show the newest report that was kept, instead of measuring.")
    ] = False,
    trend_days: Annotated[int, typer.Option("--days", min=1, max=400, help="Days of trend.")] = 30,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", dir_okay=False, help="Write it as a page, too; the file needs nothing beside it."
        ),
    ] = None,
) -> None:
    """Report how good the records are, by source and field: complete, valid, fresh, without duplicates; with trend.

    Every record is read once and held to the policy in force. What was measured is kept as that of the day, for 400
    days; the service measures by itself once a day.

    Examples:

      headwater quality

      headwater quality --days 90 --html quality.html
    """
    if kept:
        request = pb.GetQualityRequest(tenant_id=session.tenant_id, trend_days=trend_days)
        report = (await services.ask(services.quality.GetQuality, request)).report
    else:
        report = await _measure(session, services, trend_days)
    if html is not None:
        await anyio.Path(html).write_text(page(report, session.tenant_id), encoding="utf-8")
        session.output.say(f"written to {html}")
    session.output.result(plain(report), *shown_report(report))


async def _measure(session: Session, services: Services, trend_days: int) -> pb.QualityReport:
    request = pb.MeasureQualityRequest(tenant_id=session.tenant_id, trend_days=trend_days)
    steps = services.quality.MeasureQuality(request, timeout=MEASURE_TIMEOUT_S)
    return (await last_step(session, services, steps, "records", "report")).report
