"""`headwater connector`: writing a connector of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headwater.cli.options import AsJson
from headwater.cli.output import table
from headwater.cli.session import Session, act
from headwater.connectors.base.registry import vendor_names
from headwater.connectors.base.scaffold import write_scaffold
from headwater.kernel.errors import Conflict

app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True, help="Write a connector of your own.")


@app.callback()
def connector() -> None:
    """Write a connector of your own."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What policies will call it, as acme.")],
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Folder to make; ./headwater-NAME without it.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a package with a connector that works against a small double, and passes the conformance suite.

    Example:

      headwater connector new acme && cd headwater-acme && pip install -e ".[dev]" && pytest --evidence write
    """

    def work(session: Session) -> None:
        if name in vendor_names():
            raise Conflict(f"a connector {name!r} is installed already", reason="CONNECTOR_EXISTS")
        folder = into or Path(f"headwater-{name}")
        written = write_scaffold(name, folder)
        rows = [(str(file),) for file in written]
        session.output.result(
            {"folder": str(folder), "files": [row[0] for row in rows]}, table(("written",), rows)
        )
        session.output.say(f"next: cd {folder}, install it with pip, run pytest --evidence write")

    act(work, as_json=as_json, data_dir=None)
