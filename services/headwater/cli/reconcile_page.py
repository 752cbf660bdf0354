"""A report of reconciliation for people: on the terminal, and as a page that needs nothing beside it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from rich.console import RenderableType

from headwater.cli.output import facts, table
from headwater.cli.plain import moment
from headwater.sync.v1 import reconciliation_pb2 as pb

Rows = Sequence[Sequence[object]]
OBJECTS: Final = (
    "object",
    "records",
    "read",
    "proven",
    "ranges read",
    "calls",
    "differ",
    "parity",
    "not compared",
)
FIELDS: Final = ("object", "field", "compared", "differ", "parity")
EXAMPLES: Final = ("object", "kind", "record", "field", "should be", "is")
FINDINGS: Final = ("object", "what", "detail")


def object_rows(report: Mapping[str, Any]) -> Rows:
    """Return a row for each object of a daily report."""
    return [
        (
            name, item["records"], item["read"], item["proven"], f"{item['ranges_read']}/{item['ranges']}",
            item["calls"], _counts(item["drift"]), f"{item['parity']:.4%}", _counts(item["excluded"]),
        )
        for name, item in report.get("objects", {}).items()
    ]  # fmt: skip


def field_rows(report: Mapping[str, Any]) -> Rows:
    """Return a row for each field that was compared, those that differ most first."""
    rows = [
        (name, field, one["compared"], one["drifted"], f"{1 - one['drifted'] / max(1, one['compared']):.4%}")
        for name, item in report.get("objects", {}).items()
        for field, one in item["fields"].items()
    ]
    return sorted(rows, key=lambda row: -int(row[3]))


def example_rows(report: Mapping[str, Any]) -> Rows:
    """Return a row for each field of the drifts that the report names."""
    return [
        (
            name,
            example["kind"],
            example["crm_id"],
            one.get("field", ""),
            _shown(one, "expected"),
            _shown(one, "found"),
        )
        for name, item in report.get("objects", {}).items()
        for example in item["examples"]
        for one in example["fields"] or [{}]
    ]


def finding_rows(report: Mapping[str, Any]) -> Rows:
    """Return a row for each finding of a weekly or monthly report."""
    return [(item.get("where", ""), item["what"], item["detail"]) for item in report.get("findings", [])]


def shown(run: pb.ReconciliationRun) -> tuple[RenderableType, ...]:
    """Return a run for the terminal."""
    report = json.loads(run.report)
    head = facts(
        {
            "account": run.connector,
            "job": f"{run.job}{', dry' if run.dry_run else ''}",
            "began": moment(run.begin_time),
            "ended": moment(run.end_time) or "goes on",
            "": run.detail,
        }
    )
    parts = [table(names, rows) for names, rows in _tables(report) if rows]
    return (head, *parts)


def page(run: pb.ReconciliationRun, tenant_id: str) -> str:
    """Return a run as a page."""
    report = json.loads(run.report)
    title = f"Reconciliation of {run.connector}, {run.job}"
    parts = "\n".join(_html(names, rows) for names, rows in _tables(report) if rows)
    return _PAGE.format(
        title=escape(title),
        told=escape(
            f"{tenant_id}; {moment(run.begin_time)} to {moment(run.end_time) or 'now'}; {run.detail}"
        ),
        parts=parts or "<p>Nothing was found.</p>",
    )


def tables_page(title: str, told: str, parts: Sequence[tuple[str, Sequence[str], Rows]]) -> str:
    """Return titled tables as a page; those without rows are left out."""
    shown_parts = "\n".join(
        f"<h2>{escape(name)}</h2>{_html(names, rows)}" for name, names, rows in parts if rows
    )
    return _PAGE.format(title=escape(title), told=escape(told), parts=shown_parts)


def _tables(report: Mapping[str, Any]) -> tuple[tuple[Sequence[str], Rows], ...]:
    return (
        (OBJECTS, object_rows(report)),
        (FIELDS, field_rows(report)),
        (EXAMPLES, example_rows(report)),
        (FINDINGS, finding_rows(report)),
    )


def _html(names: Sequence[str], rows: Rows) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "0"


def _shown(one: Mapping[str, Any], side: str) -> str:
    return "" if side not in one else json.dumps(one[side], ensure_ascii=False)


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1c2430;background:#fff}}
table{{border-collapse:collapse;width:100%;margin-bottom:2rem}}
td,th{{padding:.3rem .6rem;text-align:left;border-bottom:1px solid #eef;overflow-wrap:anywhere}}
thead th{{color:#667;font-weight:500;border-bottom:1px solid #ccd}} .quiet{{color:#667}}
</style></head><body>
<h1>{title}</h1><p class="quiet">{told}</p>
{parts}
</body></html>
"""
