"""The workbench's requests and responses: checks and translates both ways. Pure."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Sequence
from typing import Final, cast

from headwater.kernel.ids import parse_uuid
from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.sync.domain.operating import Delivery
from headwater.sync.domain.replaying import NOWHERE, RATE_MAX, RATE_MIN, Replay, Scope
from headwater.sync.domain.rows import from_micros, to_micros
from headwater.sync.domain.workbench import (
    PREVIEWS_MAX,
    ErrorGroupView,
    GroupFilter,
    GroupPlace,
    Prediction,
    Preview,
)
from headwater.sync.rpc.requests import read_actor, read_entities
from headwater.sync.rpc.responses import change_message, delivery_message, moment_message
from headwater.sync.v1 import sync_pb2 as pb

GROUPS: Final = "error_groups"
MEMBERS: Final = "error_group_deliveries"
REPLAYS: Final = "replays"
"""Lists, as page tokens name them."""
_LAST: Final[GroupPlace] = (dt.datetime.max.replace(tzinfo=dt.UTC), uuid.UUID(int=2**128 - 1))
_MICROS_DIGITS_MAX: Final = 17
"""Microseconds since 1970 of any moment before the year 5138."""

ReplayOrder = pb.PauseReplayRequest | pb.ResumeReplayRequest | pb.CancelReplayRequest


def read_groups(request: pb.ListErrorGroupsRequest) -> tuple[str, GroupFilter, GroupPlace, int]:
    """Check and read which page of groups is asked for."""
    checks = Checks()
    connector = checks.name("connector", request.connector, required=False)
    if request.state not in pb.ErrorGroupState.values():
        checks.broken("state", str(request.state), "allowed", "a known state of a group")
    found = (
        checks.tenant(request.tenant_id),
        GroupFilter(connector, int(request.state)),
        _time_place(checks, request.page_token, GROUPS),
        checks.page_size(request.page_size),
    )
    checks.finish()
    return found


def read_group(request: pb.GetErrorGroupRequest) -> tuple[str, uuid.UUID, uuid.UUID, int]:
    """Check and read which group, and which page of its deliveries, is asked for."""
    checks = Checks()
    place = checks.page_token(request.page_token, MEMBERS, 1)
    after = parse_uuid(place[0]) if place else NOWHERE
    if after is None:
        checks.broken_token(request.page_token)
    found = (
        checks.tenant(request.tenant_id),
        checks.uuid("group_id", request.group_id),
        after or NOWHERE,
        checks.page_size(request.page_size),
    )
    checks.finish()
    return found


def read_preview(
    request: pb.PreviewDeliveriesRequest,
) -> tuple[str, str, uuid.UUID | None, Sequence[uuid.UUID]]:
    """Check and read what is to be previewed: tenant, connector, group, entities."""
    checks = Checks()
    group_id = checks.optional_uuid("group_id", request.group_id)
    checks.size("entity_ids", request.entity_ids, 0 if group_id else 1, PREVIEWS_MAX)
    found = (
        checks.tenant(request.tenant_id),
        checks.name("connector", request.connector, required=group_id is None),
        group_id,
        read_entities(checks, request.entity_ids, 0),
    )
    checks.finish()
    return found


def read_start(request: pb.StartReplayRequest) -> tuple[str, uuid.UUID, Scope, float, str, str]:
    """Check and read a replay to begin: tenant, its id, scope, rate, actor, reason to discard."""
    checks = Checks()
    replay_id = checks.optional_uuid("replay_id", request.replay_id)
    if replay_id is None and not request.dry_run:
        checks.broken("replay_id", "", "required", "a UUID of 36 characters, chosen by the caller")
    group_id = checks.optional_uuid("group_id", request.group_id)
    entities = read_entities(checks, request.entity_ids, 0)
    if group_id is not None and entities:
        checks.broken("entity_ids", str(len(entities)), "one_of", "give group_id or entity_ids, not both")
    if not (math.isfinite(request.rate_per_s) and RATE_MIN <= request.rate_per_s <= RATE_MAX):
        checks.broken("rate_per_s", str(request.rate_per_s), "range", f"{RATE_MIN}..{RATE_MAX:g}")
    connector = checks.name("connector", request.connector, required=bool(entities))
    order = (
        checks.tenant(request.tenant_id),
        replay_id or NOWHERE,
        Scope(connector, group_id, tuple(dict.fromkeys(entities))),
        request.rate_per_s,
        read_actor(checks, request.actor),
        checks.text("discard_reason", request.discard_reason, required=bool(request.discard_reason)),
    )
    checks.finish()
    return order


def read_replay(request: pb.GetReplayRequest) -> tuple[str, uuid.UUID]:
    """Check and read which replay is asked for."""
    checks = Checks()
    found = checks.tenant(request.tenant_id), checks.uuid("replay_id", request.replay_id)
    checks.finish()
    return found


def read_replays(request: pb.ListReplaysRequest) -> tuple[str, GroupPlace, int]:
    """Check and read which page of replays is asked for."""
    checks = Checks()
    found = (
        checks.tenant(request.tenant_id),
        _time_place(checks, request.page_token, REPLAYS),
        checks.page_size(request.page_size),
    )
    checks.finish()
    return found


def read_replay_order(request: ReplayOrder) -> tuple[str, uuid.UUID, str]:
    """Check and read an order about a replay: tenant, replay, actor."""
    checks = Checks()
    order = (
        checks.tenant(request.tenant_id),
        checks.uuid("replay_id", request.replay_id),
        read_actor(checks, request.actor),
    )
    checks.finish()
    return order


def _time_place(checks: Checks, token: str, kind: str) -> GroupPlace:
    place = checks.page_token(token, kind, 2)
    if place is None:
        return _LAST
    micros, key = place[0], parse_uuid(place[1])
    if key is None or not (micros.isascii() and micros.isdigit() and len(micros) <= _MICROS_DIGITS_MAX):
        checks.broken_token(token)
        return _LAST
    return from_micros(int(micros)), key


def groups_response(page: Sequence[ErrorGroupView], more: bool) -> pb.ListErrorGroupsResponse:  # noqa: FBT001 - a page as the use case gives it
    """Write a page of groups."""
    token = _time_token(GROUPS, page[-1].group.last_seen_time, page[-1].group.group_id) if more else ""
    return pb.ListErrorGroupsResponse(groups=[_group(view) for view in page], next_page_token=token)


def group_response(
    view: ErrorGroupView,
    page: Sequence[Delivery],
    more: bool,  # noqa: FBT001 - a page as the use case gives it
) -> pb.GetErrorGroupResponse:
    """Write a group and one page of its deliveries."""
    token = write_page_token(MEMBERS, (str(page[-1].entity_id),)) if more else ""
    deliveries = [delivery_message(item) for item in page]
    return pb.GetErrorGroupResponse(group=_group(view), deliveries=deliveries, next_page_token=token)


def preview_response(prediction: Prediction) -> pb.PreviewDeliveriesResponse:
    """Write what deliveries would do now."""
    return pb.PreviewDeliveriesResponse(
        previews=[_preview(item) for item in prediction.previews],
        predicted_calls=prediction.calls,
        quota_used=prediction.quota_used,
        quota_limit=prediction.quota_limit,
    )


def replays_response(page: Sequence[Replay], more: bool) -> pb.ListReplaysResponse:  # noqa: FBT001 - a page as the use case gives it
    """Write a page of replays."""
    token = ""
    if more and page[-1].create_time is not None:
        token = _time_token(REPLAYS, page[-1].create_time, page[-1].replay_id)
    return pb.ListReplaysResponse(replays=[replay_message(item) for item in page], next_page_token=token)


def replay_message(replay: Replay) -> pb.Replay:
    """Write a replay."""
    return pb.Replay(
        replay_id="" if replay.replay_id == NOWHERE else str(replay.replay_id),
        connector=replay.scope.connector,
        group_id=str(replay.scope.group_id or ""),
        state=cast("pb.ReplayState.ValueType", int(replay.state)),
        rate_per_s=replay.rate_per_s,
        total_count=replay.total_count,
        replayed_count=replay.replayed_count,
        actor=replay.actor,
        create_time=moment_message(replay.create_time),
        update_time=moment_message(replay.update_time),
        discard_reason=replay.discard_reason,
    )


def _time_token(kind: str, moment: dt.datetime, key: uuid.UUID) -> str:
    return write_page_token(kind, (str(to_micros(moment)), str(key)))


def _group(view: ErrorGroupView) -> pb.ErrorGroup:
    group = view.group
    return pb.ErrorGroup(
        group_id=str(group.group_id),
        connector=group.connector,
        endpoint=group.endpoint,
        error_class=group.error_class,
        error_code=group.error_code,
        message=group.message,
        last_message=group.last_message,
        state=pb.ERROR_GROUP_STATE_OPEN if group.is_open else pb.ERROR_GROUP_STATE_RESOLVED,
        failure_count=group.failure_count,
        delivery_count=group.delivery_count,
        dead_count=group.dead_count,
        first_seen_time=moment_message(group.first_seen_time),
        last_seen_time=moment_message(group.last_seen_time),
        sample_entity_ids=[str(item) for item in group.sample_entity_ids],
        owner=view.owner,
        backup=view.backup,
        runbook=view.runbook,
    )


def _preview(preview: Preview) -> pb.DeliveryPreview:
    return pb.DeliveryPreview(
        delivery=delivery_message(preview.delivery),
        action=preview.action,
        crm_object=preview.crm_object,
        changes=[change_message(item) for item in preview.changes],
        rule=preview.rule,
        looks_up_first=preview.looks_up_first,
    )
