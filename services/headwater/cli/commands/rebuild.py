"""`headwater rebuild`: have the projection made again from the log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import anyio
import typer

from headwater.cli.commands.migrate import database_of
from headwater.cli.options import AsJson, DataDir
from headwater.cli.output import facts
from headwater.cli.rebuilding import Policies, begin_rebuild, extent
from headwater.cli.session import Session, act

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def rebuild(
    tenant: Annotated[str, typer.Option("--tenant", help="Of this tenant alone.", show_default=False)] = "",
    everything: Annotated[bool, typer.Option("--all", help="Of all tenants.")] = False,
    newest: Annotated[
        bool,
        typer.Option(
            "--newest-policy", help="By the policy in force; without, each event by that of its moment."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what it would be.")] = False,
    database: Annotated[
        str | None,
        typer.Option("--database-url", help="Server (or HEADWATER_DATABASE_URL).", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Empty entities, records and timelines, to have them made again from the log, byte for byte.

    Sync must be stopped for this; it does the work when it starts, and writes nothing to a CRM until it is through. What
    is not in the log stays: deliveries, assignments, approvals, providers' answers, the audit. Identity is asked where a
    record belongs once; with --newest-policy it is told all of every event again.

    Examples:

      headwater rebuild --tenant acme

      headwater rebuild --all --newest-policy --yes
    """
    if bool(tenant) == everything:
        raise typer.BadParameter("name a --tenant, or say --all")

    def work(session: Session) -> None:
        url = database_of(session, database)
        found = anyio.run(extent, url, tenant)
        told = {"tenant": tenant or "all", **asdict(found), "begun": yes}
        if yes:
            policies: Policies = "newest" if newest else "recorded"
            told["events"] = anyio.run(begin_rebuild, url, tenant, f"user:{session.actor.id}", policies)
        more = "start sync: it projects them again" if yes else "nothing is done yet; stop sync and add --yes"
        session.output.result(told, facts(told), more)

    act(work, as_json=as_json, data_dir=data_dir)
