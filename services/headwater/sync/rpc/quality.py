# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of quality: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, Final

from headwater.kernel.rpc.checks import Checks
from headwater.sync.domain.quality import KEPT_DAYS, Counts, Quarantined, Report, Subject
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.quality import Quality
from headwater.sync.v1 import quality_pb2 as pb
from headwater.sync.v1 import quality_pb2_grpc

QUALITY_NAME: Final = pb.DESCRIPTOR.services_by_name["QualityService"].full_name
TREND_DAYS: Final = 30


class QualityServicer(quality_pb2_grpc.QualityServiceServicer):
    """Serves `headwater.sync.v1.QualityService`."""

    def __init__(self, quality: Quality) -> None:
        self._quality = quality

    async def MeasureQuality(
        self, request: pb.MeasureQualityRequest, context: Any
    ) -> AsyncIterator[pb.MeasureQualityResponse]:
        async with aclosing(self._quality.measure(*_asked(request))) as steps:
            async for step in steps:
                yield pb.MeasureQualityResponse(
                    scanned_count=step.scanned,
                    wanted_count=step.wanted,
                    report=None if step.report is None else _report(step.report),
                )

    async def GetQuality(self, request: pb.GetQualityRequest, context: Any) -> pb.GetQualityResponse:
        return pb.GetQualityResponse(report=_report(await self._quality.newest(*_asked(request))))


def _asked(request: pb.MeasureQualityRequest | pb.GetQualityRequest) -> tuple[str, int]:
    checks = Checks()
    tenant_id, days = checks.tenant(request.tenant_id), request.trend_days or TREND_DAYS
    if not 0 <= days <= KEPT_DAYS:
        checks.broken("trend_days", str(days), "range", f"0..{KEPT_DAYS}")
    checks.finish()
    return tenant_id, days


def _report(report: Report) -> pb.QualityReport:
    ordered = sorted(report.measured.items())
    return pb.QualityReport(
        day=report.day.isoformat(),
        measure_time=moment_message(report.measure_time),
        records=[_whole(report, subject, counts) for subject, counts in ordered if not subject.field],
        fields=[_field(report, subject, counts) for subject, counts in ordered if subject.field],
        open_review_count=-1 if report.open_reviews is None else report.open_reviews,
        quarantined=map(_quarantined, report.quarantined),
    )


def _quarantined(item: Quarantined) -> pb.QuarantineCount:
    return pb.QuarantineCount(
        source=item.source,
        object=item.object,
        rule=item.rule,
        field=item.field,
        open_count=item.open,
        recent_count=item.recent,
        first_time=moment_message(item.first_time),
        last_time=moment_message(item.last_time),
    )


def _whole(report: Report, subject: Subject, counts: Counts) -> pb.RecordQuality:
    return pb.RecordQuality(
        object=subject.object,
        source=subject.source,
        record_count=counts.records,
        entity_count=counts.entities,
        duplicate_share=counts.duplicate_share,
        invalid_count=counts.invalid,
        trend=_trend(report, subject),
    )


def _field(report: Report, subject: Subject, counts: Counts) -> pb.FieldQuality:
    return pb.FieldQuality(
        object=subject.object,
        source=subject.source,
        field=subject.field,
        record_count=counts.records,
        present_count=counts.present,
        invalid_count=counts.invalid,
        stale_count=counts.stale,
        personal_mail_count=counts.personal_mail,
        newest_time=moment_message(counts.newest_time),
        fresh_days=report.fresh_days.get((subject.object, subject.field), 0.0),
        trend=_trend(report, subject),
    )


def _trend(report: Report, subject: Subject) -> Iterable[pb.TrendPoint]:
    return [pb.TrendPoint(day=day.isoformat(), share=share) for day, share in report.trend.get(subject, ())]
