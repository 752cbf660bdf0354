"""Results as one document, and what makes them pass."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from headwater.kernel.errors import PreconditionFailed
from headwater.load.campaign import Outcome
from headwater.load.fleet import PhaseResult
from headwater.load.limit import Probe
from headwater.load.meter import Meter, Sheet, Timing
from headwater.load.picture import draw, specification
from headwater.load.resources import Usage, Watch
from headwater.load.results import Goals, Verification, document, verify
from headwater.load.schedule import steady

PARAMETERS = {"shape": "stream", "batch": 100, "load": "closed loop", "processes": 1, "lanes": 4}
ENVIRONMENT = {"cores": 2, "started": "2026-01-01T00:00:00Z"}


def _sheet(events: int, latency_ms: float, **counts: int) -> Sheet:
    meter = Meter()
    meter.answered(Timing(0.0, 0.0, latency_ms / 1000))
    meter.add(events=events, messages=1, accepted=events, fresh_recorded=events, **counts)
    return meter.take()


def _outcome(*sheets: Sheet, probes: tuple[Probe, ...] = ()) -> Outcome:
    result = PhaseResult(100.0, len(sheets) / 2, dict(enumerate(sheets)))
    found = Outcome([result], [steady(100, result.duration_s)], list(probes))
    for sheet in sheets:
        found.everything.merge(sheet)
    return found


def _document(outcome: Outcome, goals: Goals | None = None, verification: Verification | None = None) -> Any:
    watch = Watch({"ingest": ()})
    watch.samples["ingest"] = [Usage(100 + at, at / 2, (50 + at) * 1024 * 1024) for at in range(3)]
    found = document(
        outcome,
        watch,
        parameters=PARAMETERS,
        environment=ENVIRONMENT,
        p99_ms_bound=100.0,
        goals=goals or Goals(),
        verification=verification,
    )
    return json.loads(json.dumps(found))


def test_the_document_has_everything_a_script_reads() -> None:
    """The format's top level, and the units of what is in it."""
    found = _document(_outcome(_sheet(50, 10), _sheet(150, 20)))
    assert found["format"] == "headwater-load/1"
    assert found["parameters"] == PARAMETERS
    assert found["environment"] == ENVIRONMENT
    assert found["throughput"]["events_per_s"] == 200.0
    assert set(found["latency_ms"]["corrected"]) == {"p50", "p90", "p99", "p99.9", "max", "mean"}
    assert found["outcomes"]["accepted"] == 200
    assert [row["events_per_s"] for row in found["timeline"]] == [100.0, 300.0]
    assert [row["offered_events_per_s"] for row in found["timeline"]] == [100.0, 100.0]
    assert found["resources"]["ingest"] == {
        "cpu_us_per_event": 2500.0,
        "cpu_cores": 0.5,
        "rss_mib_first": 50.0,
        "rss_mib_last": 51.0,
        "rss_mib_max": 51.0,
    }
    assert found["passed"] is True


@pytest.mark.parametrize(
    ("goals", "met"),
    [
        (Goals(p99_ms_max=20), True),
        (Goals(p99_ms_max=19), False),
        (Goals(rate_min=200), True),
        (Goals(rate_min=201), False),
        (Goals(errors_max=1), True),
        (Goals(errors_max=0), False),
    ],
)
def test_a_goal_decides_whether_the_run_passed(goals: Goals, *, met: bool) -> None:
    """Every goal is told with what was seen."""
    failed = _sheet(150, 20)
    failed.errors.update(Counter({"UNAVAILABLE": 1}))
    found = _document(_outcome(_sheet(50, 10), failed), goals)
    assert [goal["met"] for goal in found["goals"]] == [met]
    assert found["passed"] is met


@pytest.mark.parametrize(
    ("grown", "uncertain", "lost", "doubled"),
    [(100, 0, 0, 0), (99, 0, 1, 0), (101, 0, 0, 1), (105, 5, 0, 0), (106, 5, 0, 1), (99, 5, 1, 0)],
)
def test_the_log_must_have_grown_by_what_was_acknowledged(
    grown: int, uncertain: int, lost: int, doubled: int
) -> None:
    """What nobody was answered for may be there or not; everything else must match."""
    found = verify(_sheet(100, 1, unknown=uncertain), {"a": 10, "b": 0}, {"a": 10 + grown - 3, "b": 3})
    assert (found.lost, found.doubled) == (lost, doubled)
    assert found.passed is (lost == doubled == 0)
    assert _document(_outcome(_sheet(1, 1)), verification=found)["passed"] is found.passed


def test_an_unexpected_outcome_fails_the_verification() -> None:
    """A new event told duplicate is somebody's lost event."""
    assert not verify(_sheet(100, 1, unexpected=1), {"a": 0}, {"a": 100}).passed


def test_the_figures_of_a_search_are_those_at_the_limit() -> None:
    """Of three probes the best one that was kept."""
    outcome = _outcome(_sheet(50, 10))
    for rate, p99_ms in ((200.0, 20.0), (400.0, 900.0)):
        outcome.measured.append(PhaseResult(200.0, 0.5, {0: _sheet(int(rate / 2), p99_ms)}))
        outcome.profiles.append(steady(rate, 0.5))
    outcome.probes = [Probe(100, 100, 10.0), Probe(200, 200, 20.0), Probe(400, 300, 900.0)]
    found = _document(outcome)
    assert found["limit"]["events_per_s"] == 200.0
    assert [probe["kept"] for probe in found["limit"]["probes"]] == [True, True, False]
    assert found["throughput"]["events_per_s"] == 200.0


def test_sheets_of_processes_add_up() -> None:
    """What two senders tell over a pipe is merged without loss."""
    one, other = _sheet(50, 10), _sheet(150, 20)
    one.errors.update({"UNAVAILABLE": 2})
    total = Sheet()
    for sheet in (one, other):
        total.merge(Sheet.of(json.loads(json.dumps(sheet.plain()))))
    assert total.counts["events"] == 200
    assert total.errors == {"UNAVAILABLE": 2}
    assert total.corrected.summary_ms()["max"] == 20.0


def test_the_picture_names_its_axes_and_lines() -> None:
    """Throughput, latency and memory, each with a unit; every percentile a line of its own."""
    chart = specification(_document(_outcome(_sheet(50, 10), _sheet(150, 20))))
    titles = [panel["encoding"]["y"]["title"] for panel in chart["vconcat"]]
    assert titles == ["Events per second", "Latency from the intended send, ms (log)", "Resident memory, MiB"]
    lines = [{row["what"] for row in panel["data"]["values"]} for panel in chart["vconcat"]]
    assert lines == [{"acknowledged", "offered"}, {"p50", "p90", "p99", "p99.9"}, {"ingest"}]


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<svg"), (".html", b"<!DOCTYPE html")]
)
def test_a_picture_is_drawn_in_each_kind(suffix: str, begins: bytes, tmp_path: Path) -> None:
    """The suffix says which."""
    path = tmp_path / f"load{suffix}"
    draw(_document(_outcome(_sheet(50, 10), _sheet(150, 20))), path)
    assert path.read_bytes().lstrip()[: len(begins)] == begins
    assert path.stat().st_size > 1_000


def test_without_the_drawing_library_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named, and how to have it."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(PreconditionFailed, match=r"headwater\[load\]"):
        draw(_document(_outcome(_sheet(50, 10))), tmp_path / "load.png")
