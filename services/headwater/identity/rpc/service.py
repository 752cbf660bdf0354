# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service: each method reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

from headwater.identity.rpc import requests, responses, reviews
from headwater.identity.rpc.over_time import OverTimeMethods
from headwater.identity.usecases.asking import Questions
from headwater.identity.usecases.checking import Checker
from headwater.identity.usecases.erasing import Eraser
from headwater.identity.usecases.following import Groups
from headwater.identity.usecases.merging import Merger
from headwater.identity.usecases.queueing import Queue
from headwater.identity.usecases.redoing import Redoer
from headwater.identity.usecases.resolve import Resolver
from headwater.identity.usecases.reviewing import Reviewer
from headwater.identity.usecases.surveying import Surveys
from headwater.identity.v1 import identity_pb2 as pb

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["IdentityService"].full_name


class IdentityServicer(OverTimeMethods):
    """Serves `headwater.identity.v1.IdentityService`."""

    def __init__(
        self,
        resolver: Resolver,
        merger: Merger,
        questions: Questions,
        checker: Checker,
        reviewer: Reviewer,
        queue: Queue,
        groups: Groups,
        redoer: Redoer,
        surveys: Surveys,
        eraser: Eraser,
    ) -> None:
        super().__init__(groups, redoer, surveys, eraser)
        self._resolver = resolver
        self._merger = merger
        self._questions = questions
        self._checker = checker
        self._reviewer = reviewer
        self._queue = queue

    async def ResolveBatch(self, request: pb.ResolveBatchRequest, context: Any) -> pb.ResolveBatchResponse:
        tenant_id, records = requests.read_resolve(request)
        resolutions = await self._resolver.resolve(tenant_id, records, context.time_remaining())
        return responses.resolve_response(resolutions)

    async def CheckDuplicate(
        self, request: pb.CheckDuplicateRequest, context: Any
    ) -> pb.CheckDuplicateResponse:
        return responses.duplicate_response(await self._checker.check(*requests.read_check(request)))

    async def GetEntity(self, request: pb.GetEntityRequest, context: Any) -> pb.GetEntityResponse:
        view = await self._questions.get_entity(*requests.read_get(request))
        return pb.GetEntityResponse(entity=responses.entity_message(view))

    async def Merge(self, request: pb.MergeRequest, context: Any) -> pb.MergeResponse:
        order = requests.read_merge(request)
        merge = await self._merger.merge(
            order.tenant_id,
            order.winner_id,
            order.loser_id,
            order.actor,
            order.reason,
            context.time_remaining(),
            order.request_id,
        )
        return pb.MergeResponse(merge_id=str(merge.merge_id), moved_count=merge.moved_count)

    async def Split(self, request: pb.SplitRequest, context: Any) -> pb.SplitResponse:
        tenant_id, merge_id, actor = requests.read_split(request)
        restored, moved = await self._merger.split(tenant_id, merge_id, actor, context.time_remaining())
        return pb.SplitResponse(restored_entity_id=str(restored), moved_count=moved)

    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:
        return responses.explain_response(await self._questions.explain(*requests.read_explain(request)))

    async def ListMergeCandidates(
        self, request: pb.ListMergeCandidatesRequest, context: Any
    ) -> pb.ListMergeCandidatesResponse:
        page, next_seq = await self._questions.list_candidates(*requests.read_list(request))
        return responses.candidates_response(page, next_seq)

    async def GetIdentityStatus(
        self, request: pb.GetIdentityStatusRequest, context: Any
    ) -> pb.GetIdentityStatusResponse:
        counts, candidates = await self._questions.count(requests.read_status(request))
        return responses.status_response(counts, candidates)

    async def ListReviews(self, request: pb.ListReviewsRequest, context: Any) -> pb.ListReviewsResponse:
        page, after = await self._queue.list_reviews(*reviews.read_list(request))
        return reviews.list_response(page, after, self._queue.thresholds)

    async def GetReview(self, request: pb.GetReviewRequest, context: Any) -> pb.GetReviewResponse:
        view = await self._queue.get_review(*reviews.read_get(request))
        return reviews.view_response(view, self._queue.thresholds)

    async def DecideReview(self, request: pb.DecideReviewRequest, context: Any) -> pb.DecideReviewResponse:
        done = await self._reviewer.decide(*reviews.read_decide(request), context.time_remaining())
        return reviews.decide_response(done)

    async def UndoReview(self, request: pb.UndoReviewRequest, context: Any) -> pb.UndoReviewResponse:
        done = await self._reviewer.undo(*reviews.read_undo(request), context.time_remaining())
        return reviews.undo_response(done)

    async def AssignReview(self, request: pb.AssignReviewRequest, context: Any) -> pb.AssignReviewResponse:
        done = await self._reviewer.assign(*reviews.read_assign(request), context.time_remaining())
        return pb.AssignReviewResponse(action=reviews.action_message(done.action))

    async def ListReviewActions(
        self, request: pb.ListReviewActionsRequest, context: Any
    ) -> pb.ListReviewActionsResponse:
        page, before = await self._queue.list_actions(*reviews.read_actions(request))
        return reviews.actions_response(page, before)
