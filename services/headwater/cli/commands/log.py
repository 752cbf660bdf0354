"""`headwater log`: the days of the event log: look, archive, drop, expire."""

from __future__ import annotations

from typing import Annotated

import typer

from headwater.cli.log_days import ask_log
from headwater.cli.options import AsJson, DataDir, Yes
from headwater.cli.output import table
from headwater.cli.session import Session, act

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="The days of the event log: look, archive, drop, expire.",
)

DayArgument = Annotated[str, typer.Argument(help="Day of the log, as 2026-01-31.", metavar="DAY")]


@app.command()
def days(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the log's days: rows, rows that tenants' retention let go, bytes on disk, state (open, over, sealed, dropped),
    where the archive is.
    """

    def work(session: Session) -> None:
        found = ask_log(session, "days")
        rows = [
            (
                item["day"],
                str(item["rows"]),
                str(item["expired"]),
                str(item["bytes"]),
                item["state"],
                item["archive"] or "-",
            )
            for item in found["days"]
        ]
        session.output.result(found, table(("day", "rows", "expired", "bytes", "state", "archived"), rows))

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def archive(day: DayArgument, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Write a sealed day to HEADWATER_INGEST_ARCHIVE_DIR, read it back, and run the archive command.

    Example:

      HEADWATER_INGEST_ARCHIVE_DIR=/srv/archive headwater log archive 2026-01-31
    """

    def work(session: Session) -> None:
        found = ask_log(session, "archive", day)
        session.output.result(found, f"{found['rows']} rows of {found['day']} are in {found['archive']}")

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def drop(day: DayArgument, yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Drop a sealed day's facts; its keys stay in the ledger. Cannot be undone: without --yes it only says what would be.

    Refused while the day is not archived (unless HEADWATER_INGEST_ARCHIVE_DIR=none), has open quarantine
    entries, or has not been read by every reader.
    """

    def work(session: Session) -> None:
        found = ask_log(session, "drop", day, *(["yes"] if yes else []))
        session.output.result(found, _said(found))

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def expire(yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let go what tenants' policies keep no longer (`retention`), as ingest does by itself every minute or so.

    Cannot be undone: without --yes it only says what is due, of whom, and what holds it back. Keys stay, so a repeat
    is still known.
    """

    def work(session: Session) -> None:
        found = ask_log(session, "expire", *(["yes"] if yes else []))
        rows = [
            (
                item["tenant_id"],
                item["day"],
                str(item["events"]),
                str(item["left"]) if yes else "-",
                str(item["held"]),
                "yes" if item["archived_first"] else "no",
                "; ".join(item["blockers"]) or "-",
            )
            for item in found["due"]
        ]
        columns = ("tenant", "day", "events", "left", "in quarantine", "archived", "held back by")
        more = "" if yes or not rows else "\nnothing is done yet; add --yes to do it"
        session.output.result(found, table(columns, rows) if rows else "nothing is due", more)

    act(work, as_json=as_json, data_dir=data_dir)


def _said(found: dict[str, object]) -> str:
    what = f"{found['rows']} rows of {found['day']}"
    if found["dropped"]:
        return f"{what} are dropped"
    blockers = found["blockers"]
    if isinstance(blockers, list) and blockers:
        return f"{what} would be kept: " + "; ".join(item["detail"] for item in blockers)
    return f"{what} would be dropped; add --yes to do it"
