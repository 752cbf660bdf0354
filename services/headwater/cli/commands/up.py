"""`headwater up`: the local stack, left running."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer
from rich.table import Table

from headwater.cli.options import AsJson, DataDir
from headwater.cli.output import facts
from headwater.cli.session import Session, act
from headwater.cli.stack.control import start_stack
from headwater.cli.stack.state import StackState
from headwater.kernel.errors import StartRefused
from headwater.kernel.pg.dsn import masked

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def up(
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay attached; Ctrl-C ends it.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Start the local stack and leave it running.

    Starts PostgreSQL (unless HEADWATER_DATABASE_URL names a server), the console, the sandbox CRMs, ingest,
    identity and sync; restarts whatever dies. Calling it again changes nothing.

    Examples:

      headwater up

      HEADWATER_DATABASE_URL=postgresql://me@db/headwater headwater up

      headwater up --foreground --data-dir ./data
    """

    def work(session: Session) -> None:
        if foreground:
            _supervise(session)
            return
        session.output.say("starting …")
        state, started = start_stack(session.layout)
        session.output.result(
            describe(state, str(session.layout.metrics)) | {"started": started}, shown(state)
        )

    act(work, as_json=as_json, data_dir=data_dir)


def describe(state: StackState, metrics_dir: str = "") -> dict[str, object]:
    """Return a running stack as JSON values."""
    return {
        "supervisor_pid": state.supervisor.pid,
        "database_url": masked(state.database_url),
        "console": state.url("console"),
        "sandbox": state.url("sandbox"),
        **{name: state.address(name) for name in ("ingest", "identity", "sync")},
        "ingest_http": state.url("ingest_http"),
        "metrics_targets_dir": metrics_dir,
        "account": state.account,
        "children": {
            name: {"pid": child.process.pid, "ready": child.ready, "restarts": child.restarts}
            for name, child in state.children.items()
        },
    }


def shown(state: StackState) -> Table:
    """Return a running stack as a table for people."""
    children = ", ".join(f"{name} ({child.process.pid})" for name, child in state.children.items())
    return facts(
        {
            "console": state.url("console"),
            "ingest": state.address("ingest"),
            "ingest, HTTP": state.url("ingest_http"),
            "identity": state.address("identity"),
            "sync": state.address("sync"),
            "sandbox": state.url("sandbox"),
            "database": masked(state.database_url),
            "processes": children,
            "end it with": "headwater down",
        }
    )


def _supervise(session: Session) -> None:
    """Run the supervisor as a child that shares the terminal; its own module reads nothing but its argument."""
    command = [sys.executable, "-m", "headwater.cli.stack", str(session.layout.data_dir)]
    with subprocess.Popen(command) as process:  # noqa: S603 - our own module
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:  # the terminal sent it to the supervisor too
                continue
    if code:
        raise StartRefused("the stack ended with a failure; its last words are above")
