"""Dashboards as code: the committed files are what the code makes, and ask for metrics that exist."""

from __future__ import annotations

import re

import pytest
from deploy.grafana.boards import BOARDS, FOLDER, OVERVIEW, Board, rendered
from tests.integration.alerting.tools import SAMPLE_POLICY

from headwater.alerting.rendering import groups_of
from headwater.cli.policy_files import read_policy
from headwater.kernel.metrics.names import METRICS, Kind

SAMPLE = re.compile(r"\b(headwater_[a-z0-9_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"([a-z_]+)\s*(=~|!~|!=|=)")
TARGET_LABELS = frozenset({"job", "instance", "service", "replica", "le"})
"""What Prometheus and histograms add."""


def _known() -> dict[str, frozenset[str]]:
    """Return every name that a query may ask for, with its labels."""
    known = {}
    for metric in METRICS:
        ends = (
            ("_bucket", "_count", "_sum")
            if metric.kind is Kind.HISTOGRAM
            else (metric.sample_name[len(metric.name) :],)
        )
        known.update({metric.name + end: frozenset(metric.label_names) | TARGET_LABELS for end in ends})
    return known


QUERIES = {
    **{f"{board.name}: {panel.title} {n}": expression for board in BOARDS for panel in board.panels for n, (expression, _) in enumerate(panel.queries)},
    **{f"{group.name}: {alert.name} {n}": alert.expression for group in groups_of(read_policy(SAMPLE_POLICY).document) for n, alert in enumerate(group.alerts)},
}  # fmt: skip


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_committed_dashboard_is_what_the_code_makes(board: Board) -> None:
    """Nobody edits the JSON by hand: `make dashboards` gives these bytes."""
    assert (FOLDER / f"{board.name}.json").read_text(encoding="utf-8") == rendered(board)


def test_every_committed_dashboard_has_its_code() -> None:
    """A dashboard whose code is gone is gone as well."""
    assert {path.stem for path in FOLDER.glob("*.json")} == {board.name for board in BOARDS}


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_asks_for_metrics_and_labels_that_exist(name: str) -> None:
    """A renamed metric or label cannot leave a panel or an alert behind that never shows anything."""
    known = _known()
    for sample, matchers in SAMPLE.findall(QUERIES[name]):
        assert sample in known, sample
        assert {label for label, _ in LABEL.findall(matchers)} <= known[sample], matchers


def test_the_overview_begins_with_the_success_rate() -> None:
    """Top left stands the success rate, red below the alarm floor; failures are drawn in red."""
    first = OVERVIEW.panels[0]
    assert first.title.startswith("Success rate")
    assert first.steps[0] == (None, "red")
    assert any("dead" in panel.red for panel in OVERVIEW.panels)
