"""`headwater migrate`: the schemas of all services."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import anyio
import typer

from headwater.cli.migrating import migrate_all
from headwater.cli.options import AsJson, DataDir
from headwater.cli.output import table
from headwater.cli.session import Session, act
from headwater.kernel.errors import StartRefused
from headwater.kernel.pg.dsn import DATABASE_URL_VARIABLE, database_url

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def migrate(
    database: Annotated[
        str | None,
        typer.Option("--database-url", help="Server (or HEADWATER_DATABASE_URL).", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the database's schemas to this release; what is there already stays. Safe to repeat, safe in parallel.

    Uses the database named, the environment's, or the one of the local stack.

    Example:

      headwater migrate --database-url postgresql://me@db/headwater
    """

    def work(session: Session) -> None:
        applied = anyio.run(migrate_all, database_of(session, database))
        rows = [(item.service, item.version, item.name) for item in applied]
        shown = table(("service", "version", "migration"), rows) if rows else "every schema is up to date"
        session.output.result({"applied": [asdict(item) for item in applied]}, shown)

    act(work, as_json=as_json, data_dir=data_dir)


def database_of(session: Session, given: str | None) -> str:
    """Return the database given, the environment's, or the local stack's.

    Raises:
        StartRefused: there is none.
    """
    try:
        named = database_url({DATABASE_URL_VARIABLE: given} if given else session.environment)
    except ValueError as error:
        raise StartRefused(str(error)) from error
    if named:
        return named
    if stack := session.stack:
        return stack.database_url
    raise StartRefused(
        f"no database: set {DATABASE_URL_VARIABLE}, or start the local stack with `headwater up`"
    )
