"""Merges in the CRMs as people see them: what one would do, what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from headwater.cli.output import facts, table
from headwater.sync.v1 import merges_pb2

_MODES = {
    "merge": "the two records are merged",
    "undo": "the two records are taken apart",
    "link_only": "nothing is merged: the policy links only",
    "nothing": "nothing",
}


def forecasts(found: Sequence[merges_pb2.MergeForecast]) -> Iterator[RenderableType]:
    """Yield what each account would do."""
    if not found:
        yield Text("no account follows it: nothing would be done in a CRM")
    for one in found:
        about = {
            "account": one.connector,
            "what": _MODES.get(one.mode, one.mode),
            "stays": f"{one.crm_object} {one.survivor_crm_id}".strip() if one.survivor_crm_id else "",
            "goes": f"{one.crm_object} {one.loser_crm_id}".strip() if one.loser_crm_id else "",
            "writing calls": one.call_count or "",
            "why not": one.hindrance,
        }
        yield facts({name: value for name, value in about.items() if value != ""})
        if one.changes:
            rows = [(item.field, item.before, item.after) for item in one.changes]
            yield table(("field", "now", "after"), rows)
        for number, step in enumerate(one.steps, 1):
            yield Text(f"  {number}. {step}")
        for note in one.notes:
            yield Text(f"  - {note}")


def record_merges(found: Sequence[merges_pb2.RecordMerge]) -> RenderableType:
    """Return what accounts did about merges."""
    rows = [
        (
            one.merge_id,
            one.connector,
            one.state.replace("_", " "),
            one.survivor_crm_id,
            one.loser_crm_id,
            one.restored_crm_id or one.merged_crm_id,
            one.finding,
        )
        for one in found
    ]
    return table(("merge", "account", "state", "stays", "goes", "is now", "finding"), rows)
