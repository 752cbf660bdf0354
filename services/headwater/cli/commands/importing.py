"""`headwater import`: a file that somebody made, its bad rows in quarantine with number and reason."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from headwater.cli.commands.ingest import Feed, File, Object, Source, TimeColumn, TimeFormat, run_feed
from headwater.cli.feed.rows import Row, Unreadable
from headwater.cli.feed.tables import Columns, row_of
from headwater.cli.options import AsJson, DataDir, Tenant
from headwater.cli.output import facts, table
from headwater.cli.session import Session, act
from headwater.connectors.files.reading import Bad, Layout, layout_of, read_rows

EXAMPLES_MAX: Final = 20
"""Bad rows that a dry run shows; the rest are counted."""
RATE: Final = 850.0
"""Rows a second, so that live changes are not behind a whole file; `make bench-import` measures what they feel of it."""
UNREADABLE_KEY: Final = "headwater_unreadable"
"""Key of ingest's contract for rows that cannot be records."""

app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True)


@app.command(name="import")
def import_file(
    file: File,
    source: Source,
    object_name: Object,
    id_column: Annotated[str, typer.Option("--id-column", help="Column with the source's id.")] = "id",
    time_column: TimeColumn = "",
    time_format: TimeFormat = "",
    file_format: Annotated[str, typer.Option("--format", help="csv or jsonl; by the name without it.")] = "",
    encoding: Annotated[str, typer.Option("--encoding", help="Found out without it.")] = "",
    delimiter: Annotated[str, typer.Option("--delimiter", help="Found out without it.")] = "",
    rate: Annotated[
        float,
        typer.Option(
            "--rate", min=0, help="Rows a second at most, so that live changes wait for none; 0: no limit."
        ),
    ] = RATE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, send nothing.")] = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record each row of a CSV or JSON lines file. Rows that cannot be read go to the quarantine, with row and reason.

    Interrupted, it goes on where it was; repeated, every row is a duplicate. `headwater quarantine list` shows what was
    put aside.

    Example:

      headwater import people.csv --source billing --object contact --id-column id --dry-run
    """
    found: list[Layout] = []

    def layout() -> Layout:
        if not found:
            found.append(layout_of(file, kind=file_format, encoding=encoding, delimiter=delimiter))
        return found[0]

    written = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
    columns = Columns(id_column, written, time_column, time_format)
    if dry_run:

        def show(session: Session) -> None:
            _show(session, file, layout(), columns)

        act(show, as_json=as_json, data_dir=data_dir, tenant=tenant)
        return

    def read() -> Iterator[Row | Unreadable]:
        for row in _rows(file, layout(), columns):
            yield row if isinstance(row, Row) else _kept(file, row, written)

    options = {"id": id_column, "time": time_column, "time_format": time_format, "encoding": encoding}
    options |= {"delimiter": delimiter, "format": file_format}
    run_feed(
        Feed(file, "import", source, object_name, options, read, rate or None, bulk=True),
        tenant,
        data_dir,
        as_json,
    )


def _rows(file: Path, layout: Layout, columns: Columns) -> Iterator[Row | Bad]:
    for item in read_rows(file, layout):
        if isinstance(item, Bad):
            yield item
            continue
        row = row_of(item.number, item.record, columns)
        yield row if isinstance(row, Row) else Bad(row.number, row.reason, row.detail, _text(item.record))


def _kept(file: Path, bad: Bad, written: dt.datetime) -> Row:
    """Return the event by which ingest puts a bad row aside; the same row gives the same event."""
    told = {"row": bad.number, "reason": bad.reason, "detail": bad.detail, "raw": bad.raw, "file": file.name}
    name = file.name if file.name.isprintable() else "a file"
    return Row(
        bad.number,
        f"row {bad.number} of {name[:100]}",
        written,
        {UNREADABLE_KEY: told},
        note=f"quarantined.{bad.reason}",
    )


def _text(record: Any) -> str:
    return "; ".join(f"{name}={value}" for name, value in record.items())[:2000]


def _show(session: Session, file: Path, layout: Layout, columns: Columns) -> None:
    counts: Counter[str] = Counter()
    bad: list[Bad] = []
    first: Row | None = None
    for row in _rows(file, layout, columns):
        counts["readable" if isinstance(row, Row) else row.reason] += 1
        if isinstance(row, Row):
            first = first or row
        elif len(bad) < EXAMPLES_MAX:
            bad.append(row)
    about = {
        "file": str(file),
        "format": layout.kind,
        "encoding": f"{layout.encoding} ({layout.how})",
        "delimiter": repr(layout.delimiter) if layout.kind == "csv" else "",
        "columns": ", ".join(first.payload) if first else "",
    }
    rows = [(item.number, item.reason, item.detail) for item in bad]
    document = {
        **about,
        "rows": dict(counts),
        "bad": [{"row": row, "reason": why} for row, why, _told in rows],
    }
    shown: list[Any] = [facts(about), table(("outcome", "rows"), sorted(counts.items()))]
    if bad:
        shown.append(table(("row", "reason", "why"), rows, title="the first that would go to the quarantine"))
    session.output.result(document, *shown)
    session.output.say("a dry run: nothing was sent")
