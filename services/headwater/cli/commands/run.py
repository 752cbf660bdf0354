"""`headwater run`: everything, once, on this machine, with an account of every event."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import anyio
import typer
from anyio.to_thread import run_sync
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from headwater.cli import failures
from headwater.cli.options import AsJson, DataDir
from headwater.cli.run import flow, summary
from headwater.cli.run.accounting import Ledger
from headwater.cli.services import open_services
from headwater.cli.session import Session, act
from headwater.cli.stack.control import start_stack, stop_stack, use_account
from headwater.cli.stack.state import StackState, write_whole
from headwater.cli.tenants import RunBook, read_book, write_book
from headwater.kernel.clock import SystemClock
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry

app = typer.Typer(rich_markup_mode="rich")

AWAY_S: Final = 120.0
"""How long a run waits for a service that died to be back: its supervisor starts it again."""
FLUSH_S: Final = 3.0


@app.command()
def run(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up afterwards.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin a new run even if the last one is unfinished.")
    ] = False,
    deadline: Annotated[
        float, typer.Option("--deadline", min=10, help="Seconds to wait until nothing moves.")
    ] = 300,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Feed the shipped samples through everything and account for every event.

    Starts the local stack, puts the demo policy in force for a fresh tenant, records about 3,000 events out of real
    mail, accounts, deals, contacts and form submissions, waits until they are in both sandbox CRMs, then compares
    what was sent, logged, projected and delivered with what the CRMs hold.

    Interrupted anywhere, it goes on when called again. Exit code 0 only when nothing is unexplained.

    Examples:

      headwater run

      headwater run --keep && headwater trace KEY
    """

    def work(session: Session) -> None:
        book = (
            RunBook(read_book(session.layout.runs).number, finished=True)
            if fresh
            else read_book(session.layout.runs)
        )
        book = book.begin()
        session.layout.make()
        write_book(session.layout.runs, book)
        write_whole(session.layout.account, book.tenant_id.encode("ascii"))
        session.output.say(f"starting the stack in {session.layout.data_dir} …")
        _, started = start_stack(session.layout)
        try:
            state = use_account(session.layout, book.tenant_id)
            result = anyio.run(_run, session, state, book, deadline)
        finally:
            if started and not keep:
                stop_stack(session.layout)
        if result.complete:
            write_book(session.layout.runs, book.finish())
        session.output.result(summary.document(result), *summary.shown(result))
        if started and not keep:
            session.output.say("the stack is down again; `headwater up` brings it back with everything in it")
        if not result.complete:
            raise typer.Exit(failures.FAILED)

    act(work, as_json=as_json, data_dir=data_dir)


async def _run(session: Session, state: StackState, book: RunBook, deadline_s: float) -> summary.Run:
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": state.url("otlp"),
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }
    telemetry = start_telemetry("run", TelemetrySettings(sample_ratio=1.0), environ=environment)
    settings = flow.RunSettings(book.tenant_id, state.url("sandbox"), session.layout, deadline_s)
    try:
        with _progress(session) as progress:
            async with open_services(
                session.addresses, patience_s=AWAY_S, security=session.security
            ) as services:
                return await flow.run_samples(
                    services, settings, telemetry, progress, clock=SystemClock(), actor=session.actor
                )
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(telemetry.shutdown, FLUSH_S)


@contextmanager
def _progress(session: Session) -> Iterator[flow.Progress]:
    err = session.output.err
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=max(total, 1))

        def settling(ledger: Ledger) -> None:
            show("projected", ledger.ended, ledger.to_project)
            for connector in sorted(ledger.mapped):
                ours = {key: count for key, count in ledger.deliveries.items() if key[0] == connector}
                settled = sum(count for key, count in ours.items() if key[2] == "delivered")
                show(connector, settled, sum(ours.values()))

        yield flow.Progress(show, settling)
