"""What the CRMs would do, and did, about merges, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich.console import Console, RenderableType

from headwater.cli.following import forecasts, record_merges
from headwater.sync.v1 import merges_pb2


def shown(items: Iterable[RenderableType]) -> str:
    """Return what is printed."""
    console = Console(width=200, file=StringIO(), record=True)
    for item in items:
        console.print(item)
    return console.export_text()


def test_a_forecast_tells_records_changes_steps_and_terms() -> None:
    """Which record stays, what changes in it, what is sent in order, and what is not undone."""
    change = merges_pb2.MergeFieldChange(field="city", before="", after="Bonn")
    one = merges_pb2.MergeForecast(
        connector="hubspot-main", mode="merge", crm_object="contacts", survivor_crm_id="11", loser_crm_id="12",
        changes=[change], steps=["merge contacts 12 into 11"], call_count=1, notes=["HubSpot cannot undo a merge"],
    )  # fmt: skip
    text = shown(forecasts([one]))
    for part in (
        "hubspot-main",
        "contacts 11",
        "contacts 12",
        "Bonn",
        "1. merge contacts 12 into 11",
        "cannot undo",
    ):
        assert part in text


def test_an_account_that_cannot_say_anything_says_why() -> None:
    """The hindrance is shown; where nobody follows at all, that is."""
    hindered = merges_pb2.MergeForecast(connector="sf", mode="nothing", hindrance="no process answered")
    assert "no process answered" in shown(forecasts([hindered]))
    assert "no account follows it" in shown(forecasts([]))


def test_what_was_done_is_listed_with_the_record_s_new_id() -> None:
    """A record that was made anew is shown under its new id."""
    one = merges_pb2.RecordMerge(
        merge_id="m-1", connector="hubspot-main", state="undone", survivor_crm_id="11", loser_crm_id="12",
        merged_crm_id="13", restored_crm_id="14",
    )  # fmt: skip
    text = shown([record_merges([one])])
    assert all(part in text for part in ("m-1", "undone", "11", "12", "14"))
