"""`headwater schedules`: periodic jobs and what of the accounts ends by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from headwater.cli.options import AsJson, DataDir, Tenant
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session, ask
from headwater.sync.v1 import schedules_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Periodic jobs (pollers, the calendar of what ends, maintenance): list, run now, pause, resume.",
)

Name = Annotated[str, typer.Argument(help="Job, as the list names it: poll/hubspot/contacts.")]


@app.command("list")
def list_schedules(tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List periodic jobs with their next and last run, and what of the accounts ends by itself.

    Example:

      headwater schedules list --json
    """

    async def work(session: Session, services: Services) -> None:
        found = await services.ask(
            services.schedules.ListSchedules, pb.ListSchedulesRequest(tenant_id=session.tenant_id)
        )
        session.output.result(plain(found), _shown(found.schedules), *_ends(found.expiries))

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def run(name: Name, tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Run a job now, also when it is paused."""
    _steer(
        name,
        tenant,
        data_dir,
        as_json,
        lambda services: services.schedules.RunSchedule,
        pb.RunScheduleRequest,
    )


@app.command()
def pause(name: Name, tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Stop a job; a run under way goes on."""
    _steer(
        name,
        tenant,
        data_dir,
        as_json,
        lambda services: services.schedules.PauseSchedule,
        pb.PauseScheduleRequest,
    )


@app.command()
def resume(name: Name, tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Start a paused job again; runs it has missed fall together into one."""
    _steer(
        name,
        tenant,
        data_dir,
        as_json,
        lambda services: services.schedules.ResumeSchedule,
        pb.ResumeScheduleRequest,
    )


def _steer(
    name: str,
    tenant: str | None,
    data_dir: Any,
    as_json: bool,
    method: Callable[[Services], Callable[..., Awaitable[Any]]],
    request_type: Any,
) -> None:
    async def work(session: Session, services: Services) -> None:
        request = request_type(tenant_id=session.tenant_id, name=name, actor=session.actor)
        found = await services.ask(method(services), request)
        session.output.result(plain(found), _shown([found.schedule]))

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


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
