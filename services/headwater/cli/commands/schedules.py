"""`headwater schedules`: periodic jobs and what of the accounts ends by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from headwater.cli.asking import asking
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import schedules_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Periodic jobs (pollers, streams, the calendar of what ends, maintenance): list, run now, pause, resume.",
)

Name = Annotated[str, typer.Argument(help="Job, as the list names it: poll/hubspot/contacts.")]


@app.command("list")
@asking
async def list_schedules(session: Session, services: Services) -> None:
    """List periodic jobs with their next and last run, and what of the accounts ends by itself.

    Example:

      headwater schedules list --json
    """
    found = await services.ask(
        services.schedules.ListSchedules, pb.ListSchedulesRequest(tenant_id=session.tenant_id)
    )
    session.output.result(plain(found), _shown(found.schedules), *_ends(found.expiries))


@app.command()
@asking
async def run(session: Session, services: Services, name: Name) -> None:
    """Run a job now, also when it is paused; a stream begins anew."""
    await _steer(session, services, services.schedules.RunSchedule, pb.RunScheduleRequest(name=name))


@app.command()
@asking
async def pause(session: Session, services: Services, name: Name) -> None:
    """Stop a job; a run under way goes on, but a stream is closed."""
    await _steer(session, services, services.schedules.PauseSchedule, pb.PauseScheduleRequest(name=name))


@app.command()
@asking
async def resume(session: Session, services: Services, name: Name) -> None:
    """Start a paused job again; runs it has missed fall together into one."""
    await _steer(session, services, services.schedules.ResumeSchedule, pb.ResumeScheduleRequest(name=name))


async def _steer(
    session: Session, services: Services, method: Callable[..., Awaitable[Any]], request: Any
) -> None:
    request.tenant_id = session.tenant_id
    request.actor.CopyFrom(session.actor)
    found = await services.ask(method, request)
    session.output.result(plain(found), _shown([found.schedule]))


def _shown(schedules: Any) -> Any:
    names = ("job", "every s", "next run", "last run", "outcome", "failures", "missed", "detail")
    rows = [
        (
            item.name,
            f"{item.every_s:g}",
            "paused" if item.paused and not item.asked else moment(item.next_time),
            moment(item.end_time),
            item.outcome,
            item.failure_count,
            item.missed_count,
            item.detail,
        )
        for item in schedules
    ]
    return table(names, rows)


def _ends(expiries: Any) -> list[Any]:
    if not expiries:
        return []
    names = ("account", "ends", "kind", "what", "warned", "finding")
    rows = [
        (
            item.connector,
            moment(item.expire_time),
            item.kind,
            item.subject,
            f"{item.warned_days} d ahead" if item.warned else "",
            item.finding,
        )
        for item in expiries
    ]
    return [table(names, rows)]
