"""A report of reconciliation as a page: everything in it, nothing of a CRM's text taken for markup."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from rich.console import Console

from headwater.cli.reconcile_page import page, shown
from headwater.sync.domain.parity_report import DailyReport, ObjectParity
from headwater.sync.domain.reconciling import Drift, DriftKind, Excluded, FieldDrift, Verdict
from headwater.sync.v1 import reconciliation_pb2 as pb


def report() -> DailyReport:
    """Return a report of one object of four records, one of which differs and one of which is under way."""
    parity = ObjectParity(records=4, read=4, ranges=1, ranges_read=1, calls=3)
    parity.count([Verdict(compared=("LastName",))] * 3 + [Verdict(excluded=Excluded.UNDER_WAY)])
    parity.add([Drift(DriftKind.FIELD, "003", fields=(FieldDrift("LastName", "Lee", "<b>x</b>"),))])
    return DailyReport({"Contact": parity}, calls=3)


def run(told: Mapping[str, object]) -> pb.ReconciliationRun:
    """Return a run with this report."""
    return pb.ReconciliationRun(
        connector="salesforce", job="daily", detail="told", report=json.dumps(told).encode()
    )


def test_a_page_has_objects_fields_and_examples() -> None:
    """Numbers, parity of the object and of the field, and the values that differ, escaped."""
    text = page(run(report().as_json()), "acme")
    for part in ("Contact", "75.0000%", "66.6667%", "1 field", "1 under way", "003", "&lt;b&gt;x&lt;/b&gt;"):
        assert part in text, part
    assert "<b>x" not in text


def test_the_terminal_shows_the_same() -> None:
    """And findings of the other jobs."""
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*shown(run(report().as_json())))
    assert "75.0000%" in console.export_text()
    finding = {"findings": [{"where": "Contact.Phone", "what": "type", "detail": "was string, is double"}]}
    assert "was string, is double" in page(run(finding), "acme")


def test_parity_counts_what_is_gone_beside_what_is_there() -> None:
    """Of nine records there and one gone nine tenths agree; of none at all, all."""
    parity = ObjectParity(records=9)
    parity.add([Drift(DriftKind.MISSING, "1")])
    assert (parity.parity, ObjectParity().parity, DailyReport().parity) == (0.9, 1.0, 1.0)
