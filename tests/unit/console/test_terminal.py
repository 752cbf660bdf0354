"""The waterfall in a terminal."""

import io

from rich.console import Console
from tests.unit.console.conftest import MakeSpan

from headwater.console.model import SpanLink
from headwater.console.terminal import bar, render_waterfall
from headwater.console.waterfall import waterfall


def _drawn(make_span: MakeSpan) -> str:
    spans = [
        make_span("record", None, 0, 1_000_000, kind="PRODUCER"),
        make_span(
            "process [red]x[/red]",
            "record",
            500_000,
            1_000_000,
            service="sync",
            kind="CONSUMER",
            status="ERROR",
            attributes={"headwater.attempt": 2, "error.type": "TIMEOUT"},
            links=(SpanLink("b" * 32, "c" * 16, {"headwater.link_role": "previous_attempt"}),),
        ),
    ]
    out = io.StringIO()
    Console(file=out, width=160, color_system=None).print(render_waterfall(waterfall(spans), bar_cells=10))
    return out.getvalue()


def test_rows_say_service_span_duration_attempt_and_error(make_span: MakeSpan) -> None:
    """What a person needs stands on the span's line."""
    line = next(line for line in _drawn(make_span).splitlines() if "process" in line)
    for part in ("sync", "↓", "500 µs", "attempt 2", "✗ TIMEOUT", "⇢ 1"):
        assert part in line


def test_links_are_written_out_below(make_span: MakeSpan) -> None:
    """The trace that a link leads to can be copied from the screen."""
    assert f"previous attempt, trace {'b' * 32}" in _drawn(make_span)


def test_span_names_are_not_markup(make_span: MakeSpan) -> None:
    """A name with brackets is shown as it is."""
    assert "[red]x[/red]" in _drawn(make_span)


def test_bar_stands_in_its_place_and_is_never_empty(make_span: MakeSpan) -> None:
    """A bar begins where its span does; the shortest one is still seen."""
    rows = waterfall(
        [make_span("a", None, 0, 100), make_span("b", "a", 50, 50), make_span("c", "a", 100, 100)]
    )
    assert [bar(row, 100, 10) for row in rows] == ["━" * 10, "     ━    ", "         ━"]
