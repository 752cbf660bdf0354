"""`headwater doctor`: checks an installation and says how to put it right."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from headwater.cli import failures
from headwater.cli.asking import asking
from headwater.cli.commands.migrate import database_of
from headwater.cli.doctor.facts import Unknown
from headwater.cli.doctor.findings import Finding, State, worst
from headwater.cli.doctor.gathering import gather
from headwater.cli.doctor.judging import judge
from headwater.cli.output import table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import StartRefused

app = typer.Typer(rich_markup_mode="rich")

_COLOURS: Final = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "red"}


@app.command()
@asking
async def doctor(
    session: Session,
    services: Services,
    database: Annotated[
        str | None,
        typer.Option("--database-url", help="Server (or HEADWATER_DATABASE_URL).", show_default=False),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")] = False,
) -> None:
    """Check schemas, durability, clocks, limits, grants, tokens, disk, telemetry, policy and accounts.

    Each check says ok, warning or problem, what was seen, and how to put it right. Changes nothing. Exit code 1 when
    there is a problem. Run it where the services run: files, disk and limits are those of this machine.

    Examples:

      headwater doctor

      headwater doctor --strict --json | jq '.findings[] | select(.state != "ok")'
    """
    found = judge(await gather(session, services, _url(session, database), SystemClock()))
    state = worst(found)
    document = {"state": state.name.lower(), "findings": [_plain(item) for item in found]}
    session.output.result(document, _table(found), *_fixes(found), _sentence(found))
    if state is State.PROBLEM or (strict and state is State.WARNING):
        raise typer.Exit(failures.FAILED)


def _url(session: Session, given: str | None) -> str | Unknown:
    try:
        return database_of(session, given)
    except StartRefused as refused:
        return Unknown(refused.message)


def _plain(item: Finding) -> dict[str, Any]:
    return {
        "check": item.check,
        "about": item.about,
        "state": item.state.name.lower(),
        "found": item.found,
        "fix": item.fix,
    }


def _table(found: tuple[Finding, ...]) -> Any:
    drawn = table(("", "check", "of", "found"), ())
    for item in found:
        colour = _COLOURS[item.state]
        drawn.add_row(
            f"[{colour}]{item.state.name.lower()}[/]", item.check, escape(item.about), escape(item.found)
        )
    return drawn


def _fixes(found: tuple[Finding, ...]) -> list[str]:
    """Return what to do, the worst first; one line for what several findings ask for."""
    asked: dict[str, State] = {}
    for item in sorted(found, key=lambda one: -one.state):
        if item.fix:
            of = f" {escape(item.about)}" if item.about else ""
            asked.setdefault(f"[bold]{item.check}[/]{of}: {escape(item.fix)}", item.state)
    lines = [
        f"  [{_COLOURS[state]}]{number}.[/] {text}" for number, (text, state) in enumerate(asked.items(), 1)
    ]
    return ["", "[bold]What to do[/]", *lines] if lines else []


def _sentence(found: tuple[Finding, ...]) -> str:
    counts = {state: sum(item.state is state for item in found) for state in State}
    return (
        f"\n{len(found)} checks: {counts[State.OK]} ok, {counts[State.WARNING]} warnings,"
        f" {counts[State.PROBLEM]} problems"
    )
