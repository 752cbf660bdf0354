"""The quality report as tables: shares, ages, and a trend of one character a day. Draws, decides nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final

from headwater.cli.output import table
from headwater.cli.plain import moment
from headwater.sync.v1 import quality_pb2 as pb

BLOCKS: Final = "▁▂▃▄▅▆▇█"
TREND_CHARS: Final = 30
"""Days of the trend that the terminal shows; `--json` and the page have all."""


def shown_report(report: pb.QualityReport) -> list[Any]:
    """Return the report as people read it."""
    return [
        f"measured {moment(report.measure_time)}; {reviews_line(report)}",
        _records(report.records),
        _fields(report.fields, report.measure_time.ToDatetime(dt.UTC)),
        *([_quarantined(report.quarantined)] if report.quarantined else []),
    ]


def reviews_line(report: pb.QualityReport) -> str:
    """Return how many pairs wait for a person."""
    if report.open_review_count < 0:
        return "identity did not say how many pairs wait for a person"
    return f"{report.open_review_count:,} pairs wait for a person: headwater identity review list"


def percent(part: float, whole: float) -> str:
    """Return a share in per cent; empty where there is nothing."""
    return f"{part / whole:.1%}" if whole else ""


def age_days(field: pb.FieldQuality, now: dt.datetime) -> float | None:
    """Return how old the newest value is, in days; None where there is none."""
    if not field.HasField("newest_time"):
        return None
    return (now - field.newest_time.ToDatetime(dt.UTC)).total_seconds() / 86_400


def sparkline(points: Sequence[pb.TrendPoint]) -> str:
    """Return shares as blocks, the last `TREND_CHARS` of them; empty for a single day."""
    shares = [point.share for point in points][-TREND_CHARS:]
    if len(shares) <= 1:
        return ""
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))] for share in shares)


def _quarantined(found: Iterable[pb.QuarantineCount]) -> Any:
    rows = [
        (
            item.source,
            item.object,
            item.rule,
            item.field,
            item.open_count,
            item.recent_count,
            moment(item.last_time),
        )
        for item in found
    ]
    names = ("source", "object", "rule", "where", "waiting", "of the trend's days", "last")
    return table(names, rows, title="quarantined: headwater quarantine groups")


def _records(records: Iterable[pb.RecordQuality]) -> Any:
    rows = [
        (
            item.object,
            item.source or "all",
            item.record_count,
            item.entity_count,
            f"{item.duplicate_share:.1%}",
            percent(item.record_count - item.invalid_count, item.record_count),
            sparkline(item.trend),
        )
        for item in records
    ]
    names = ("object", "source", "records", "entities", "duplicates", "valid", "trend of valid")
    return table(names, rows, title="records")


def _fields(fields: Iterable[pb.FieldQuality], now: dt.datetime) -> Any:
    rows = [
        (
            item.object,
            item.source,
            item.field,
            percent(item.present_count, item.record_count),
            percent(item.present_count - item.invalid_count, item.present_count),
            percent(item.stale_count, item.present_count) if item.fresh_days else "",
            age_days(item, now),
            percent(item.personal_mail_count, item.present_count) if item.personal_mail_count else "",
            sparkline(item.trend),
        )
        for item in fields
    ]
    names = (
        "object",
        "source",
        "field",
        "complete",
        "valid",
        "stale",
        "newest, days ago",
        "personal mail",
        "trend of good",
    )
    return table(names, rows, title="fields")
