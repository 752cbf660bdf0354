"""Throughput, latency and memory over time as a picture: PNG, SVG, or an HTML page that needs no network.

The chart is a Vega-Lite specification, made by a pure function; `vl-convert-python` (extra `load`) draws it, with
fonts of its own, so that it looks the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from headwater.kernel.errors import PreconditionFailed

KINDS: Final = (".png", ".svg", ".html")
_VEGA_LITE: Final = "5.21"
_WIDTH: Final = 860
_SCALE: Final = 1.6
"""Pixels of a PNG per unit of the chart."""
_LATENCIES: Final = ("p50", "p90", "p99", "p99.9")
_LATENCY_COLOURS: Final = ("#7fb3d5", "#2e86c1", "#e67e22", "#c0392b")
_MEMORY_COLOURS: Final = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2")
_LEAST_MS: Final = 0.001
"""A logarithmic axis knows no 0."""


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Write the picture of a run's results; the suffix says which kind.

    Raises:
        PreconditionFailed: the drawing library is not installed.
    """
    try:
        import vl_convert  # noqa: PLC0415 - an optional extra of 80 MiB, needed for pictures only
    except ImportError as error:
        message = "pictures need the extra `load`: pip install 'headwater[load]' (make setup installs it)"
        raise PreconditionFailed(message, reason="NO_PICTURES") from error
    chart = specification(document)
    if path.suffix == ".html":
        path.write_text(
            vl_convert.vegalite_to_html(chart, vl_version=_VEGA_LITE, bundle=True), encoding="utf-8"
        )
    elif path.suffix == ".svg":
        path.write_text(vl_convert.vegalite_to_svg(chart, vl_version=_VEGA_LITE), encoding="utf-8")
    else:
        path.write_bytes(vl_convert.vegalite_to_png(chart, vl_version=_VEGA_LITE, scale=_SCALE))


def specification(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Vega-Lite chart of a run's results."""
    timeline = [row for row in document["timeline"] if not row["partial"]]
    panels = [_throughput(timeline), _latency(timeline)]
    if any(row["rss_mib"] for row in timeline):
        panels.append(_memory(timeline))
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": "Headwater ingest under load",
            "subtitle": _subtitle(document),
            "anchor": "start",
            "fontSize": 17,
            "subtitleFontSize": 12,
            "subtitleColor": "#555",
            "offset": 14,
        },
        "background": "white",
        "padding": 16,
        "spacing": 26,
        "vconcat": panels,
        "resolve": {"scale": {"color": "independent", "strokeDash": "independent"}},
        "config": {
            "axis": {"labelFontSize": 12, "titleFontSize": 12, "gridColor": "#e8e8e8", "titlePadding": 10},
            "legend": {"labelFontSize": 12, "title": None, "symbolStrokeWidth": 3, "symbolSize": 200},
            "view": {"stroke": "#cccccc"},
        },
    }


def _subtitle(document: Mapping[str, Any]) -> list[str]:
    asked, where = document["parameters"], document["environment"]
    rate, latency = document["throughput"]["events_per_s"], document["latency_ms"]["corrected"]
    lanes = "streams" if asked["shape"] == "stream" else "callers"
    senders = f"{asked['processes']} sender process(es), {asked['lanes']} {lanes} each"
    what = f"{asked['shape']} of {asked['batch']} · {asked['load']} · {senders}"
    errors = f"{sum(document['errors'].values()):,} errors"
    percentiles = ", ".join(f"{name} {_ms(latency[name])}" for name in ("p50", "p99", "max"))
    return [
        f"{what} · {where['cores']} cores · {where['started']}",
        f"{rate:,.0f} events/s · latency {percentiles} · {errors}",
    ]


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:,.1f} ms"


def _throughput(timeline: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for row in timeline:
        rows.append({"at_s": row["at_s"], "events_per_s": row["events_per_s"], "what": "acknowledged"})
        if row["offered_events_per_s"] is not None:
            offered = {"at_s": row["at_s"], "events_per_s": row["offered_events_per_s"], "what": "offered"}
            rows.append(offered)
    colour = _colours({"acknowledged": "#1e8449", "offered": "#7f8c8d"}, {row["what"] for row in rows})
    dash = {
        "field": "what",
        "type": "nominal",
        "scale": {"domain": colour["scale"]["domain"], "range": [[1, 0], [6, 4]]},
    }
    line = {"type": "line", "strokeWidth": 2, "interpolate": "step-after"}
    return _panel(
        rows,
        "events_per_s",
        "Events per second",
        line,
        colour,
        height=210,
        y={"axis": {"format": ",.0f"}},
        more={"strokeDash": dash},
    )


def _latency(timeline: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        {"at_s": row["at_s"], "ms": max(row["latency_ms"][name], _LEAST_MS), "what": name}
        for row in timeline
        for name in _LATENCIES
        if row["latency_ms"][name] is not None
    ]
    colour = _colours(dict(zip(_LATENCIES, _LATENCY_COLOURS, strict=True)), set(_LATENCIES))
    scale = {"scale": {"type": "log", "nice": False, "padding": 14}, "axis": {"format": "~r", "tickCount": 6}}
    line = {"type": "line", "strokeWidth": 2, "point": {"size": 12}}
    title = "Latency from the intended send, ms (log)"
    return _panel(rows, "ms", title, line, colour, height=250, y=scale)


def _memory(timeline: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        {"at_s": row["at_s"], "mib": mib, "what": name}
        for row in timeline
        for name, mib in row["rss_mib"].items()
    ]
    names = dict.fromkeys(row["what"] for row in rows)
    colours = {
        name: _MEMORY_COLOURS[place % len(_MEMORY_COLOURS)] for place, name in enumerate(sorted(names))
    }
    line = {"type": "line", "strokeWidth": 2}
    return _panel(rows, "mib", "Resident memory, MiB", line, _colours(colours, set(names)), height=130)


def _panel(
    rows: list[dict[str, Any]],
    field: str,
    title: str,
    mark: dict[str, Any],
    colour: dict[str, Any],
    *,
    height: int,
    y: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return one chart over time; `what` tells its lines apart."""
    across = {"field": "at_s", "type": "quantitative", "title": "Seconds", "axis": {"tickCount": 12}}
    upward = {"field": field, "type": "quantitative", "title": title, **(y or {})}
    tooltip = [
        {"field": "what", "type": "nominal"},
        {"field": "at_s", "type": "quantitative", "title": "seconds"},
        {"field": field, "type": "quantitative", "format": ",.4~r"},
    ]
    return {
        "width": _WIDTH,
        "height": height,
        "data": {"values": rows},
        "mark": mark,
        "encoding": {"x": across, "y": upward, "color": colour, "tooltip": tooltip, **(more or {})},
    }


def _colours(colours: Mapping[str, str], present: set[str]) -> dict[str, Any]:
    shown = {name: colour for name, colour in colours.items() if name in present}
    return {
        "field": "what",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(shown), "range": list(shown.values())},
        "legend": {"orient": "right", "symbolType": "stroke"},
    }
