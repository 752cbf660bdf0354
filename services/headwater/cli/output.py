"""What a command prints: results on stdout, everything else on stderr; tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from headwater.cli import failures
from headwater.kernel.errors import FieldViolation, InvalidInput

PIPE_COLUMNS: Final = 200
"""Width of tables where nobody's terminal gives one."""


class Output:
    """One command's two streams."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.err = Console(stderr=True, width=None if sys.stderr.isatty() else PIPE_COLUMNS)
        self.out = Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)

    def result(self, document: Any, *shown: RenderableType) -> None:
        """Print the command's result: *document* as JSON, or what is *shown* to people."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")
            return
        for item in shown:
            self.out.print(item)

    def say(self, message: str) -> None:
        """Tell people what is going on."""
        self.err.print(message, highlight=False)

    def failure(self, error: BaseException) -> None:
        """Tell what went wrong; with `--json` as a JSON document on stdout."""
        if self.as_json:
            sys.stdout.write(json.dumps(failures.as_json(error), ensure_ascii=False, indent=2) + "\n")
        self.err.print(f"[bold red]error:[/] {escape(failures.sentence(error))}", highlight=False)
        if told := failures.runbook(error):
            self.err.print(f"[dim]what to do: {escape(told)}[/]", highlight=False)
        if isinstance(error, InvalidInput) and error.violations:
            self.err.print(violations_table(error.violations))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> Table:
    """Return a plain table; numbers stand to the right."""
    drawn = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    listed = [tuple(row) for row in rows]
    for number, name in enumerate(columns):
        numeric = bool(listed) and all(
            isinstance(row[number], (int, float)) or row[number] is None for row in listed
        )
        drawn.add_column(name, justify="right" if numeric else "left", header_style="dim", overflow="fold")
    for row in listed:
        drawn.add_row(*(cell(value) for value in row))
    return drawn


def cell(value: object) -> str:
    """Return a value as it stands in a table: text is never read as markup."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return escape(str(value))


def facts(pairs: Mapping[str, object]) -> Table:
    """Return names and values, one pair a line; empty values are left out."""
    drawn = Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in pairs.items():
        if value not in {None, ""}:
            drawn.add_row(name, cell(value))
    return drawn


def violations_table(violations: Iterable[FieldViolation]) -> Table:
    """Return broken rules as a table."""
    rows = [(item.field, item.rule, item.value, item.description) for item in violations]
    return table(("field", "rule", "value", "what would be right"), rows)
