"""The quality report as an HTML page that needs nothing else: no script, no font, no picture. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from html import escape
from typing import Final

from headwater.cli.grading import age_days, percent, reviews_line
from headwater.cli.plain import moment
from headwater.sync.v1 import quality_pb2 as pb

WIDTH: Final = 120
HEIGHT: Final = 24
"""Pixels of a trend."""


def page(report: pb.QualityReport, tenant_id: str) -> str:
    """Return the report as a page."""
    now = report.measure_time.ToDatetime(dt.UTC)
    return _PAGE.format(
        title=escape(f"Quality of the records of {tenant_id}"),
        measured=escape(moment(report.measure_time)),
        reviews=escape(reviews_line(report)),
        records="\n".join(map(_record, report.records)),
        fields="\n".join(_field(item, now) for item in report.fields),
        quarantined="\n".join(map(_quarantined, report.quarantined)) or _NONE_QUARANTINED,
    )


_NONE_QUARANTINED: Final = '<tr><td colspan="7" class="quiet">no event breaks the contract</td></tr>'


def _quarantined(item: pb.QuarantineCount) -> str:
    places = "".join(f"<td>{escape(text)}</td>" for text in (item.source, item.object, item.rule, item.field))
    return (
        f'<tr>{places}<td class="n">{item.open_count:,}</td><td class="n">{item.recent_count:,}</td>'
        f"<td>{escape(moment(item.last_time))}</td></tr>"
    )


def _record(item: pb.RecordQuality) -> str:
    head = "th" if not item.source else "td"
    valid = item.record_count - item.invalid_count
    return (
        f"<tr><{head}>{escape(item.object)}</{head}><td>{escape(item.source or 'all sources')}</td>"
        f'<td class="n">{item.record_count:,}</td><td class="n">{item.entity_count:,}</td>'
        f'<td class="n">{item.duplicate_share:.1%}</td>{_bar(valid, item.record_count)}'
        f"<td>{_line(item.trend)}</td></tr>"
    )


def _field(item: pb.FieldQuality, now: dt.datetime) -> str:
    age = age_days(item, now)
    stale = percent(item.stale_count, item.present_count) if item.fresh_days else ""
    mail = percent(item.personal_mail_count, item.present_count) if item.personal_mail_count else ""
    return (
        f"<tr><td>{escape(item.object)}</td><td>{escape(item.source)}</td><td>{escape(item.field)}</td>"
        f"{_bar(item.present_count, item.record_count)}"
        f"{_bar(item.present_count - item.invalid_count, item.present_count)}"
        f'<td class="n">{stale}</td><td class="n">{"" if age is None else f"{age:,.1f}"}</td>'
        f'<td class="n">{mail}</td><td>{_line(item.trend)}</td></tr>'
    )


def _bar(part: int, whole: int) -> str:
    share = part / whole if whole else 0.0
    return (
        f'<td class="plot"><i style="width:{share * 100:.2f}%"></i><b>{percent(part, whole)}</b></td>'
        if whole
        else "<td></td>"
    )


def _line(points: Sequence[pb.TrendPoint]) -> str:
    """Return shares over days as a line; a single day is none."""
    if len(points) <= 1:
        return ""
    step = WIDTH / (len(points) - 1)
    places = " ".join(
        f"{number * step:.1f},{(1 - point.share) * (HEIGHT - 4) + 2:.1f}"
        for number, point in enumerate(points)
    )
    told = f"{points[0].day}: {points[0].share:.1%}; {points[-1].day}: {points[-1].share:.1%}"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img"><title>{escape(told)}</title>'
        f'<polyline points="{places}" fill="none" stroke="#2a6f8f" stroke-width="1.5"/></svg>'
    )


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2430;background:#fff}}
table{{border-collapse:collapse;width:100%;margin-bottom:2rem}}
td,th{{padding:.3rem .6rem;text-align:left;vertical-align:middle;border-bottom:1px solid #eef}}
thead th{{color:#667;font-weight:500;border-bottom:1px solid #ccd}} .n{{text-align:right;font-variant-numeric:tabular-nums}}
.plot{{position:relative;min-width:7rem}} .plot i{{position:absolute;left:0;top:20%;height:60%;background:#cfe8dc;border-radius:2px}}
.plot b{{position:relative;font-weight:400;font-variant-numeric:tabular-nums}} .quiet{{color:#667}}
</style></head><body>
<h1>{title}</h1><p class="quiet">measured {measured}; {reviews}</p>
<h2>Records</h2>
<table><thead><tr><th>object</th><th>source</th><th class="n">records</th><th class="n">entities</th>
<th class="n">duplicates</th><th>valid</th><th>trend of valid</th></tr></thead><tbody>
{records}
</tbody></table>
<h2>Fields</h2>
<table><thead><tr><th>object</th><th>source</th><th>field</th><th>complete</th><th>valid</th><th class="n">stale</th>
<th class="n">newest, days ago</th><th class="n">personal mail</th><th>trend of good</th></tr></thead><tbody>
{fields}
</tbody></table>
<h2>Quarantined events</h2>
<table><thead><tr><th>source</th><th>object</th><th>rule</th><th>where</th><th class="n">waiting</th>
<th class="n">of the trend's days</th><th>last</th></tr></thead><tbody>
{quarantined}
</tbody></table>
<p class="quiet">Complete: records with a value. Valid: values that the policy in force allows. Stale: values older than
the field's fresh_days. Duplicates: records that repeat an entity. Good: complete and valid, of all records.</p>
</body></html>
"""
