"""A scan's figures as tables for people: text for the terminal, one page of HTML. Decides nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from rich.console import Console, Group
from rich.table import Table

from headwater.identity.bulk.report import BANDS, Band, Report

TEXT: Final = "report.txt"
PAGE: Final = "report.html"
_WIDTH: Final = 110
_BAR: Final = 40
_SIZES_SHOWN: Final = 12


def write_pages(report: Report, into: Path) -> None:
    """Write the figures as text and as HTML."""
    console = Console(file=io.StringIO(), record=True, width=_WIDTH)
    console.print(shown(report))
    (into / PAGE).write_text(console.export_html(clear=False), encoding="utf-8")
    (into / TEXT).write_text(console.export_text(), encoding="utf-8")


def shown(report: Report) -> Group:
    """Return the tables."""
    return Group(_facts(report), "", _sizes(report), "", _bands(report), "", _seconds(report))


def _facts(report: Report) -> Table:
    drawn = Table(box=None, show_header=False, pad_edge=False, title=report.source, title_justify="left")
    learned = f", learned from {report.learned_from:,} records" if report.learned_from else ""
    rows = (
        ("records", f"{report.records:,} ({report.object})"),
        ("groups", f"{report.groups:,}"),
        ("duplicates", f"{report.duplicates:,} ({report.duplicate_rate:.1%})"),
        ("safe to merge", f"{report.merges:,} records by the merge rule"),
        ("pairs", f"{report.candidate_pairs:,} share a key, {report.compared_pairs:,} were scored"),
        ("for review", ", ".join(f"{n:,} {outcome}" for outcome, n in report.doubts.items()) or "none"),
        ("keys crowded", f"{report.keys_crowded:,}, the largest on {report.largest_key_records:,} records"),
        ("values shared", f"{report.values_shared:,} mailboxes, numbers or domains identify nobody"),
        ("largest groups", ", ".join(f"{one['group_id']} ({one['records']})" for one in report.largest)),
        ("weights", f"{report.weights}{learned}"),
    )
    for name, value in rows:
        drawn.add_row(name, value)
    return drawn


def _sizes(report: Report) -> Table:
    drawn = Table("records", "groups", "", title="Size of groups", title_justify="left", box=None)
    most = max((size.groups for size in report.sizes), default=1)
    for size in report.sizes[:_SIZES_SHOWN]:
        drawn.add_row(str(size.records), f"{size.groups:,}", "█" * max(1, _BAR * size.groups // most))
    rest = report.sizes[_SIZES_SHOWN:]
    if rest:
        drawn.add_row(f"{rest[0].records}-{rest[-1].records}", f"{sum(one.groups for one in rest):,}", "▏")
    return drawn


def _bands(report: Report) -> Table:
    drawn = Table("bits", "linked pairs", "estimated right", box=None)
    drawn.title, drawn.title_justify = "Linked pairs by score", "left"
    for band in report.bands:
        drawn.add_row(_named(band), f"{band.pairs:,}", f"{band.precision:.1%}")
    return drawn


def _named(band: Band) -> str:
    return f"{band.low} and more" if band.high == BANDS[-1][1] else f"{band.low} to {band.high}"


def _seconds(report: Report) -> Table:
    drawn = Table("stage", "seconds", title="Time", title_justify="left", box=None)
    for name, seconds in report.seconds.items():
        drawn.add_row(name, f"{seconds:.1f}")
    return drawn
