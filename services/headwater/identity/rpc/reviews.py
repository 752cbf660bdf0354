"""Requests and responses of the review queue. Pure; reading raises `InvalidInput` with every violation."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.identity.domain.explaining import Side
from headwater.identity.domain.reviewing import Action, Kind, Review, Thresholds, shown
from headwater.identity.domain.scoring.versions import name_of
from headwater.identity.rpc import responses
from headwater.identity.rpc.checks import SEQ_MAX, Checks
from headwater.identity.usecases.queueing import Place, ReviewView, Wish
from headwater.identity.usecases.reviewing import NOBODY, Assignment, Decision, Done, Undoing
from headwater.identity.v1 import identity_pb2 as pb
from headwater.kernel.ids import EntityId, TenantId
from headwater.kernel.rpc.checks import write_page_token

REVIEWS: Final = "reviews"
ACTIONS: Final = "review_actions"
_PLACE_PARTS: Final = 2

_VERDICTS: Final[Mapping[int, Kind]] = {
    pb.REVIEW_VERDICT_MERGE: Kind.MERGE,
    pb.REVIEW_VERDICT_KEEP_APART: Kind.KEEP_APART,
    pb.REVIEW_VERDICT_SKIP: Kind.SKIP,
    pb.REVIEW_VERDICT_KEEP_TOGETHER: Kind.KEEP_TOGETHER,
    pb.REVIEW_VERDICT_SPLIT: Kind.SPLIT,
}
_KINDS: Final[Mapping[Kind, pb.ReviewActionKind.ValueType]] = {
    kind: pb.ReviewActionKind.Value(f"REVIEW_ACTION_KIND_{kind.name}") for kind in Kind
}


def read_list(request: pb.ListReviewsRequest) -> tuple[TenantId, Wish, Place | None, int]:
    """Check and read which open candidates are asked for."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    if request.object:
        checks.object_name("object", request.object)
    assignee = checks.text("assignee", request.assignee, required=False)
    after = _place(checks, request.page_token)
    page_size = checks.page_size(request.page_size)
    checks.finish()
    return tenant_id, Wish(request.object, assignee, request.include_skipped), after, page_size


def _place(checks: Checks, token: str) -> Place | None:
    place = checks.page_token(token, REVIEWS, _PLACE_PARTS)
    if place is None:
        return None
    try:
        worth, seq = float(place[0]), int(place[1])
    except ValueError:
        worth, seq = math.nan, 0
    if not (math.isfinite(worth) and 0 < seq <= SEQ_MAX):
        checks.broken_token(token)
        return None
    return worth, seq


def read_get(request: pb.GetReviewRequest) -> tuple[TenantId, int]:
    """Check and read which candidate is asked for."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    seq = _candidate(checks, request.candidate_id)
    checks.finish()
    return tenant_id, seq


def read_decide(request: pb.DecideReviewRequest) -> tuple[TenantId, Decision]:
    """Check and read an answer."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    kind = _VERDICTS.get(request.verdict)
    if kind is None:
        checks.broken("verdict", str(request.verdict), "required", "an answer to the candidate's question")
    winner = checks.optional_uuid("winner_entity_id", request.winner_entity_id)
    if winner is not None and kind is not Kind.MERGE:
        checks.broken("winner_entity_id", str(winner), "exclusive", "only with MERGE")
    decision = Decision(
        _candidate(checks, request.candidate_id),
        kind or Kind.SKIP,
        checks.actor("actor", request.actor),
        checks.text("decision_reason", request.decision_reason, required=False),
        checks.uuid("request_id", request.request_id),
        _skip_time(checks, request, kind),
        None if winner is None else EntityId(winner),
        request.validate_only,
    )
    checks.finish()
    return tenant_id, decision


def _skip_time(checks: Checks, request: pb.DecideReviewRequest, kind: Kind | None) -> dt.datetime | None:
    given = request.HasField("skip_time")
    if given != (kind is Kind.SKIP):
        rule = "exclusive" if given else "required"
        checks.broken("skip_time", "", rule, "when to ask again, with SKIP and only then")
        return None
    if not given:
        return None
    return checks.moment("skip_time", request.skip_time)


def read_undo(request: pb.UndoReviewRequest) -> tuple[TenantId, Undoing]:
    """Check and read which decision is taken back."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    undoing = Undoing(
        checks.uuid("action_id", request.action_id),
        checks.actor("actor", request.actor),
        checks.text("undo_reason", request.undo_reason, required=False),
        checks.uuid("request_id", request.request_id),
        request.validate_only,
    )
    checks.finish()
    return tenant_id, undoing


def read_assign(request: pb.AssignReviewRequest) -> tuple[TenantId, Assignment]:
    """Check and read who is to decide."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    given = Assignment(
        _candidate(checks, request.candidate_id),
        checks.text("assignee", request.assignee, required=False),
        checks.actor("actor", request.actor),
        checks.text("assign_reason", request.assign_reason, required=False),
        checks.uuid("request_id", request.request_id),
    )
    checks.finish()
    return tenant_id, given


def read_actions(request: pb.ListReviewActionsRequest) -> tuple[TenantId, int, int, int]:
    """Check and read a page of the audit: tenant, candidate or 0, place before which it begins, rows."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    if request.candidate_id:
        _candidate(checks, request.candidate_id)
    place = checks.page_token(request.page_token, ACTIONS, 1)
    before = 0
    if place is not None:
        before = int(place[0]) if place[0].isdecimal() else 0
        if not 0 < before <= SEQ_MAX:
            checks.broken_token(request.page_token)
    page_size = checks.page_size(request.page_size)
    checks.finish()
    return tenant_id, request.candidate_id, before, page_size


def _candidate(checks: Checks, value: int) -> int:
    if value <= 0:
        checks.broken("candidate_id", str(value), "required", "a candidate's id, above 0")
    return value


def list_response(
    page: Sequence[tuple[float, Review]], after: Place | None, thresholds: Thresholds
) -> pb.ListReviewsResponse:
    """Write a page of open candidates."""
    token = "" if after is None else write_page_token(REVIEWS, [repr(after[0]), str(after[1])])
    return pb.ListReviewsResponse(
        reviews=[_review(one, worth, thresholds) for worth, one in page], next_page_token=token
    )


def view_response(view: ReviewView, thresholds: Thresholds) -> pb.GetReviewResponse:
    """Write a candidate side by side."""
    return pb.GetReviewResponse(
        review=_review(view.review, view.worth, thresholds),
        left=_side(view.left),
        right=_side(view.right),
        explanation=responses.explain_response(view.explanation),
        actions=[action_message(one) for one in view.actions],
    )


def _review(review: Review, worth: float, thresholds: Thresholds) -> pb.Review:
    merging = review.question == "merge"
    message = pb.Review(
        candidate_id=review.seq,
        candidate=pb.MergeCandidate(
            entity_id=str(review.entity_id),
            other_entity_id=str(review.other_entity_id),
            object=review.object,
            rule=review.rule,
            record=responses.record_ref(review.ref),
            other_record=responses.record_ref(review.other_ref),
            bits=review.bits,
            blocked_by=review.blocked_by,
            question=pb.CANDIDATE_QUESTION_MERGE if merging else pb.CANDIDATE_QUESTION_SPLIT,
            weights_version=name_of(review.weights),
        ),
        worth=worth,
        threshold_bits=thresholds.merge_bits if merging else thresholds.split_bits,
        records=review.records,
        systems=review.systems,
        assignee=review.assignee,
        create_time=_stamp(review.create_time),
        closed=review.close_time is not None or (review.entity_id != review.other_entity_id) != merging,
    )
    if review.skip_time is not None:
        message.skip_time.CopyFrom(_stamp(review.skip_time))
    return message


def _side(side: Side) -> pb.ReviewSide:
    records = [
        pb.ReviewRecord(record=responses.record_ref(one.ref), fields=shown(one.parts)) for one in side.records
    ]
    return pb.ReviewSide(entity_id=str(side.entity_id), records=records)


def decide_response(done: Done) -> pb.DecideReviewResponse:
    """Write what a decision did."""
    moved = [responses.record_ref(one) for one in done.moved]
    return pb.DecideReviewResponse(action=action_message(done.action), moved_records=moved)


def undo_response(done: Done) -> pb.UndoReviewResponse:
    """Write what an undoing did."""
    moved = [responses.record_ref(one) for one in done.moved]
    return pb.UndoReviewResponse(action=action_message(done.action), moved_records=moved)


def actions_response(page: Sequence[Action], before: int | None) -> pb.ListReviewActionsResponse:
    """Write a page of the audit."""
    token = "" if before is None else write_page_token(ACTIONS, [str(before)])
    return pb.ListReviewActionsResponse(actions=[action_message(one) for one in page], next_page_token=token)


def action_message(action: Action) -> pb.ReviewAction:
    """Write one line of the audit."""
    message = pb.ReviewAction(
        action_id="" if action.action_id == NOBODY else str(action.action_id),
        candidate_id=action.candidate_seq,
        kind=_KINDS[action.kind],
        entity_id=str(action.entity_id),
        other_entity_id=str(action.other_entity_id),
        merge_id="" if action.merge_id is None else str(action.merge_id),
        moved_count=action.moved_count,
        assignee=action.assignee,
        undoes="" if action.undoes is None else str(action.undoes),
        undone_by="" if action.undone_by is None else str(action.undone_by),
        actor=event_pb2.Actor(
            type=event_pb2.ActorType.ValueType(action.actor.type),
            id=action.actor.id,
            display_name=action.actor.display_name,
        ),
        reason=action.reason,
        action_time=_stamp(action.action_time),
    )
    if action.skip_time is not None:
        message.skip_time.CopyFrom(_stamp(action.skip_time))
    return message


def _stamp(moment: dt.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
