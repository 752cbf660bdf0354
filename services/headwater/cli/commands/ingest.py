"""`headwater ingest`: a file's rows as events, resumable and safe to repeat."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headwater.cli import failures
from headwater.cli.feed.checkpoint import Tally, checkpoint_path, read_tally, write_tally
from headwater.cli.feed.mail import read_message
from headwater.cli.feed.mbox import cut_mbox
from headwater.cli.feed.pump import Pump
from headwater.cli.feed.rows import Row, Unreadable
from headwater.cli.feed.tables import Columns, read_csv, read_jsonl
from headwater.cli.options import AsJson, DataDir, Tenant
from headwater.cli.output import table
from headwater.cli.session import Session, act
from headwater.client.ingest import IngestClient
from headwater.client.settings import ClientSettings
from headwater.client.writing import event
from headwater.kernel.telemetry.old_news import old_news

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Record a file's rows as events. Interrupted, it goes on where it was; repeated, every row is a duplicate.",
)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file to read.")]
Source = Annotated[str, typer.Option("--source", help="Source system, as the policy names it.")]
Object = Annotated[str, typer.Option("--object", help="contact, lead, account, deal or activity.")]
IdColumn = Annotated[str, typer.Option("--id-column", help="Column with the source's id of the record.")]
TimeColumn = Annotated[
    str,
    typer.Option("--time-column", help="Column with the time of the fact; the file's own time without it."),
]
TimeFormat = Annotated[
    str, typer.Option("--time-format", help="strptime format of the time; ISO 8601 without it.")
]


@dataclass(frozen=True, slots=True)
class Feed:
    """One file to ingest; at *rate* events a second at most, None for as fast as they are taken.

    Args:
        bulk: whether live events go first.
    """

    file: Path
    kind: str
    source: str
    object_name: str
    options: dict[str, str]
    read: Callable[[], Iterable[Row | Unreadable]]
    rate: float | None = None
    bulk: bool = False


@app.command()
def mbox(
    file: File,
    source: Source = "gmail",
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record each message of a mailbox as an activity: subject, time, thread, participants, first words.

    A message whose Date is missing or broken takes the time of its From_ line; without that it is counted as
    `unreadable.bad_date`.

    Example:

      headwater ingest mbox archive.mbox --source gmail
    """

    def read() -> Iterator[Row | Unreadable]:
        with file.open("rb") as content:
            for raw in cut_mbox(content):
                yield read_message(raw, file.name)

    run_feed(Feed(file, "mbox", source, "activity", {}, read), tenant, data_dir, as_json)


@app.command()
def ics(
    file: File,
    source: Source = "calendar",
    days_back: Annotated[int, typer.Option("--days-back", min=0, max=3_650, help="Meetings since.")] = 365,
    days_ahead: Annotated[int, typer.Option("--days-ahead", min=0, max=3_650, help="Meetings until.")] = 90,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record each meeting of a calendar as an activity, every occurrence by itself: time, people, what was cancelled.

    Of several statements about an occurrence the one with the highest SEQUENCE counts. A later file with another state
    of the same meeting updates it.

    Example:

      headwater ingest ics calendar.ics --source calendar
    """
    from headwater.cli.feed.calendar import read_calendar  # noqa: PLC0415 - slow to import

    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since, until = today - dt.timedelta(days=days_back), today + dt.timedelta(days=days_ahead)

    def read() -> Iterator[Row | Unreadable]:
        yield from read_calendar(file.read_bytes(), since, until)

    options = {"since": since.isoformat(), "until": until.isoformat()}
    run_feed(Feed(file, "ics", source, "activity", options, read), tenant, data_dir, as_json)


@app.command()
def csv(
    file: File,
    source: Source,
    object_name: Object,
    id_column: IdColumn,
    time_column: TimeColumn = "",
    time_format: TimeFormat = "",
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record each row of a CSV file with a header.

    Example:

      headwater ingest csv people.csv --source billing --object contact --id-column id --time-column updated_at
    """
    _ingest_lines(
        "csv",
        read_csv,
        file,
        source,
        object_name,
        id_column,
        time_column,
        time_format,
        tenant,
        data_dir,
        as_json,
    )


@app.command()
def jsonl(
    file: File,
    source: Source,
    object_name: Object,
    id_column: IdColumn,
    time_column: TimeColumn = "",
    time_format: TimeFormat = "",
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record each line that holds a JSON object; columns may reach into nested objects, as meta.id.

    Example:

      headwater ingest jsonl leads.jsonl --source webform --object lead --id-column meta.id --time-column sent_at
    """
    _ingest_lines(
        "jsonl",
        read_jsonl,
        file,
        source,
        object_name,
        id_column,
        time_column,
        time_format,
        tenant,
        data_dir,
        as_json,
    )


def _ingest_lines(
    kind: str,
    reader: Callable[[Iterable[str], Columns], Iterator[Row | Unreadable]],
    file: Path,
    source: str,
    object_name: str,
    id_column: str,
    time_column: str,
    time_format: str,
    tenant: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    written = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
    columns = Columns(id_column, written, time_column, time_format)

    def read() -> Iterator[Row | Unreadable]:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            yield from reader(lines, columns)

    options = {"id_column": id_column, "time_column": time_column, "time_format": time_format}
    run_feed(Feed(file, kind, source, object_name, options, read), tenant, data_dir, as_json)


def run_feed(feed: Feed, tenant: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Send a file's rows, showing how far it is; a second call goes on where the first was ended."""

    def work(session: Session) -> None:
        anyio.run(_pump, session, feed)

    act(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


async def _pump(session: Session, feed: Feed) -> None:
    tenant_id = session.tenant_id
    session.layout.checkpoints.mkdir(parents=True, exist_ok=True)
    named = {"kind": feed.kind, "tenant": tenant_id, "source": feed.source, "object": feed.object_name}
    checkpoint = checkpoint_path(session.layout.checkpoints, feed.file, named | feed.options)
    tally = read_tally(checkpoint)
    if tally.rows_done:
        session.output.say(f"going on after row {tally.rows_done:,}")
    total = sum(1 for _ in feed.read())
    with _progress(session, feed.file.name, total) as shown:

        def progressed(now: Tally) -> None:
            write_tally(checkpoint, now)
            shown(now.rows_done)

        trace = old_news() if feed.bulk else None
        pump = Pump(
            tally,
            lambda row: event(
                feed.source,
                feed.object_name,
                row.external_id,
                row.payload,
                event_time=row.event_time,
                trace=trace,
            ),
            progressed,
            feed.rate,
        )
        calling = ClientSettings(security=session.security)
        async with IngestClient(session.addresses.ingest, tenant_id, settings=calling) as client:
            await pump.send(client, feed.read())
    checkpoint.unlink(missing_ok=True)
    _report(session, feed, tenant_id, pump)


@contextmanager
def _progress(session: Session, title: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=session.output.err, disable=not session.output.err.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def _report(session: Session, feed: Feed, tenant_id: str, pump: Pump) -> None:
    tally = pump.tally
    document: dict[str, Any] = {
        "file": str(feed.file),
        "tenant_id": tenant_id,
        "rows": tally.rows_done,
        "outcomes": tally.counts,
        "notes": tally.notes,
        "troubles": [asdict(item) for item in pump.troubles],
    }
    shown: list[Any] = [table(("outcome", "rows"), sorted(tally.counts.items()))]
    if tally.notes:
        shown.append(table(("note", "rows"), sorted(tally.notes.items())))
    if pump.troubles:
        rows = [(item.number, item.outcome, item.detail) for item in pump.troubles]
        shown.append(table(("row", "outcome", "why"), rows, title="the first that were not accepted"))
    session.output.result(document, *shown)
    if tally.counts.get("refused") or any(name.startswith("unreadable") for name in tally.counts):
        raise typer.Exit(failures.FAILED)
