# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of timelines: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from headwater.event.v1 import event_pb2
from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.sync.domain.associating import Association
from headwater.sync.domain.attributing import MODELS, Model, TouchFact
from headwater.sync.domain.log import RecordKey
from headwater.sync.rpc.responses import moment_message
from headwater.sync.timeline.ports import Entry, Wanted
from headwater.sync.usecases.timeline import Timelines
from headwater.sync.v1 import timeline_pb2 as pb
from headwater.sync.v1 import timeline_pb2_grpc

TIMELINE_NAME: Final = pb.DESCRIPTOR.services_by_name["TimelineService"].full_name
FILTER_MAX: Final = 20
"""Values of one filter."""
_LIST: Final = "timeline"
_BEGINNING: Final = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_END: Final = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
_LAST: Final = uuid.UUID(int=2**128 - 1)
_NOWHERE: Final = uuid.UUID(int=0)


class TimelineServicer(timeline_pb2_grpc.TimelineServiceServicer):
    """Serves `headwater.sync.v1.TimelineService`."""

    def __init__(self, timelines: Timelines) -> None:
        self._timelines = timelines

    async def ListTimeline(self, request: pb.ListTimelineRequest, context: Any) -> pb.ListTimelineResponse:
        checks = Checks()
        tenant_id, subject = checks.tenant(request.tenant_id), _subject(checks, request)
        wanted = _wanted(checks, request)
        checks.finish()
        entity_id, entries, waiting = await self._timelines.timeline(tenant_id, subject, wanted)
        token = ""
        if len(entries) == wanted.limit:
            last = entries[-1].activity
            token = write_page_token(_LIST, [last.time.isoformat(), str(last.activity_id)])
        return pb.ListTimelineResponse(
            entity_id=str(entity_id),
            entries=[_entry(item) for item in entries],
            next_page_token=token,
            waiting_count=waiting,
        )

    async def GetAttribution(
        self, request: pb.GetAttributionRequest, context: Any
    ) -> pb.GetAttributionResponse:
        checks = Checks()
        tenant_id, subject = checks.tenant(request.tenant_id), _subject(checks, request)
        for model in request.models:
            if model not in MODELS:
                checks.broken("models", model, "allowed", f"must be one of {', '.join(MODELS)}")
        checks.finish()
        models = cast("Sequence[Model]", tuple(request.models))
        found = await self._timelines.attribution(tenant_id, subject, models)
        return pb.GetAttributionResponse(
            entity_id=str(found.entity_id),
            touches=[
                _touch(touch, {model: shares[place] for model, shares in found.credits.items()})
                for place, touch in enumerate(found.touches)
            ],
        )

    async def RecomputeAttribution(
        self, request: pb.RecomputeAttributionRequest, context: Any
    ) -> pb.RecomputeAttributionResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        after = checks.optional_uuid("after_event_key", request.after_event_key) or _NOWHERE
        checks.finish()
        found = await self._timelines.recompute(tenant_id, after, dry_run=request.dry_run)
        return pb.RecomputeAttributionResponse(
            next_event_key=str(found.last or ""),
            event_count=found.events,
            same_count=found.same,
            dropped_count=found.dropped,
            missing=[_touch(item) for item in found.missing],
            differing=[
                pb.TouchDifference(kept=_touch(kept), recomputed=None if now is None else _touch(now))
                for kept, now in found.differing
            ],
        )


def _subject(
    checks: Checks, request: pb.ListTimelineRequest | pb.GetAttributionRequest
) -> uuid.UUID | RecordKey:
    if request.WhichOneof("subject") != "record":
        return checks.uuid("entity_id", request.entity_id)
    record = request.record
    return RecordKey(
        request.tenant_id,
        checks.text("record.object", record.object),
        checks.name("record.source", record.source),
        checks.text("record.external_id", record.external_id),
    )


def _wanted(checks: Checks, request: pb.ListTimelineRequest) -> Wanted:
    checks.size("kinds", request.kinds, 0, FILTER_MAX)
    checks.size("sources", request.sources, 0, FILTER_MAX)
    if not 0 <= request.confidence_min <= 1:
        checks.broken("confidence_min", str(request.confidence_min), "range", "must be 0..1")
    return Wanted(
        since=_moment(checks, "since_time", request, _BEGINNING),
        until=_moment(checks, "until_time", request, _END),
        before=_place(checks, request.page_token),
        limit=checks.page_size(request.page_size),
        kinds=tuple(request.kinds),
        sources=tuple(request.sources),
        thread_id=request.thread_id,
        confidence_min=request.confidence_min,
    )


def _moment(checks: Checks, name: str, request: pb.ListTimelineRequest, default: dt.datetime) -> dt.datetime:
    if not request.HasField(cast("Any", name)):
        return default
    return checks.moment(name, getattr(request, name)) or default


def _place(checks: Checks, token: str) -> tuple[dt.datetime, uuid.UUID]:
    place = checks.page_token(token, _LIST, 2)
    if place is None:
        return _END, _LAST
    try:
        moment = dt.datetime.fromisoformat(place[0])
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)), uuid.UUID(place[1])
    except ValueError:
        checks.broken_token(token)
        return _END, _LAST


def _entry(item: Entry) -> pb.TimelineEntry:
    activity = item.activity
    return pb.TimelineEntry(
        activity_id=str(activity.activity_id),
        kind=activity.kind,
        source=activity.source,
        occur_time=moment_message(activity.time),
        subject=activity.subject,
        message_id=activity.message_id,
        thread_id=item.thread_id,
        actor=activity.actor,
        status=activity.status,
        people=[
            pb.TimelinePerson(
                role=one.role, address=one.address, name=one.name, entity_id=str(one.home or "")
            )
            for one in activity.people
        ],
        reason=item.reason,
        confidence=item.confidence,
        associations=[_association(one) for one in item.associations],
    )


def _association(item: Association) -> pb.ActivityAssociation:
    return pb.ActivityAssociation(
        entity_id=str(item.entity_id), object=item.object, reason=item.reason, confidence=item.confidence
    )


def _touch(item: TouchFact, shares: Mapping[Model, float] | None = None) -> pb.TouchPoint:
    return pb.TouchPoint(
        event_key=str(item.event_key),
        record=event_pb2.RecordRef(object=item.object, source=item.source, external_id=item.external_id),
        touch_time=moment_message(item.touch_time),
        channel=item.channel,
        detail=item.detail,
        policy_version=item.policy_version,
        credits={str(model): share for model, share in (shares or {}).items()},
    )
