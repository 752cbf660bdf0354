"""`headwater down`: the end of the local stack."""

from __future__ import annotations

import typer

from headwater.cli.options import AsJson, DataDir
from headwater.cli.session import Session, act
from headwater.cli.stack.control import stop_stack

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def down(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """End the local stack: sync, identity, ingest, sandbox, console, PostgreSQL, in this order.

    Data stays where it is. Also clears away what a killed stack left. Ends only processes that the stack started.
    """

    def work(session: Session) -> None:
        ended = stop_stack(session.layout)
        session.output.result({"ended": ended}, "ended" if ended else "nothing was running")

    act(work, as_json=as_json, data_dir=data_dir)
