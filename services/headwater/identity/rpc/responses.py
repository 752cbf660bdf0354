"""From the use cases' answers to responses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from headwater.event.v1 import event_pb2
from headwater.identity.domain.clustering.tiers import Tier
from headwater.identity.domain.explaining import Explanation, SharedKey
from headwater.identity.domain.records import RecordRef
from headwater.identity.domain.resolving.values import Question, Resolution, ResolutionKind
from headwater.identity.domain.scoring.versions import name_of
from headwater.identity.ports import CandidateRow, MemberRow, ObjectCount
from headwater.identity.rpc.checks import candidates_token
from headwater.identity.usecases.asking import EntityView
from headwater.identity.usecases.checking import Answer, Duplicate, DuplicateAnswer
from headwater.identity.v1 import identity_pb2

_KINDS: Final[Mapping[ResolutionKind, identity_pb2.ResolutionKind.ValueType]] = {
    "known": identity_pb2.RESOLUTION_KIND_KNOWN,
    "matched": identity_pb2.RESOLUTION_KIND_MATCHED,
    "created": identity_pb2.RESOLUTION_KIND_CREATED,
    "unmatched": identity_pb2.RESOLUTION_KIND_UNMATCHED,
}
_TIERS: Final[Mapping[Tier, identity_pb2.MatchTier.ValueType]] = {
    Tier.NEW: identity_pb2.MATCH_TIER_NEW,
    Tier.REVIEW: identity_pb2.MATCH_TIER_REVIEW,
    Tier.LINK: identity_pb2.MATCH_TIER_LINK,
    Tier.MERGE: identity_pb2.MATCH_TIER_MERGE,
}
_ANSWERS: Final[Mapping[Answer, identity_pb2.DuplicateAnswer.ValueType]] = {
    Answer.EXISTS: identity_pb2.DUPLICATE_ANSWER_EXISTS,
    Answer.SIMILAR: identity_pb2.DUPLICATE_ANSWER_SIMILAR,
    Answer.NEW: identity_pb2.DUPLICATE_ANSWER_NEW,
}
_QUESTIONS: Final[Mapping[Question, identity_pb2.CandidateQuestion.ValueType]] = {
    "merge": identity_pb2.CANDIDATE_QUESTION_MERGE,
    "split": identity_pb2.CANDIDATE_QUESTION_SPLIT,
}


def record_ref(ref: RecordRef) -> event_pb2.RecordRef:
    """Write a record's name."""
    return event_pb2.RecordRef(source=ref.source, object=ref.object, external_id=ref.external_id)


def resolve_response(resolutions: Sequence[Resolution]) -> identity_pb2.ResolveBatchResponse:
    """Write the answer to a batch."""
    return identity_pb2.ResolveBatchResponse(
        resolutions=[_resolution(one) for one in resolutions],
        revision=min(one.revision for one in resolutions),
    )


def _resolution(one: Resolution) -> identity_pb2.Resolution:
    return identity_pb2.Resolution(
        entity_id="" if one.entity_id is None else str(one.entity_id),
        kind=_KINDS[one.kind],
        rule=one.rule,
        matched_record=None if one.matched is None else record_ref(one.matched),
        group_id="" if one.group_id is None else str(one.group_id),
        tier=identity_pb2.MATCH_TIER_UNSPECIFIED if one.tier is None else _TIERS[one.tier],
        bits=one.bits,
    )


def duplicate_response(answer: DuplicateAnswer) -> identity_pb2.CheckDuplicateResponse:
    """Write the answer to a check."""
    response = identity_pb2.CheckDuplicateResponse(
        answer=_ANSWERS[answer.answer], candidates=[_duplicate(one) for one in answer.candidates]
    )
    if answer.answer is Answer.EXISTS:
        best = response.candidates[0]
        response.exists = True
        response.entity.CopyFrom(best.entity)
        response.rule = best.rule
        response.matched_keys.extend(best.matched_keys)
    return response


def _duplicate(one: Duplicate) -> identity_pb2.DuplicateCandidate:
    return identity_pb2.DuplicateCandidate(
        entity=entity_message(one.entity),
        group_id=str(one.group_id),
        tier=_TIERS[one.tier],
        bits=one.bits,
        rule=one.rule,
        matched_keys=[_matched_key(key) for key in one.shared],
        record=record_ref(one.record),
    )


def _matched_key(one: SharedKey) -> identity_pb2.MatchedKey:
    return identity_pb2.MatchedKey(
        kind=one.kind, value=one.value, joins=not one.blocked_by, blocked_by=one.blocked_by
    )


def entity_message(view: EntityView) -> identity_pb2.Entity:
    """Write an entity with its records."""
    state = view.state
    message = identity_pb2.Entity(
        entity_id=str(state.entity_id),
        object=state.object,
        merged_into="" if state.merged_into is None else str(state.merged_into),
        members=[_member(one) for one in view.members],
    )
    message.create_time.FromDatetime(state.create_time)
    return message


def _member(one: MemberRow) -> identity_pb2.Member:
    member = identity_pb2.Member(record=record_ref(one.ref), rule=one.rule, group_id=str(one.group_id))
    member.resolve_time.FromDatetime(one.resolve_time)
    return member


def explain_response(found: Explanation) -> identity_pb2.ExplainResponse:
    """Write an explanation."""
    return identity_pb2.ExplainResponse(
        same_entity=found.same_entity,
        shared_keys=[_matched_key(one) for one in found.shared],
        rule=found.rule,
        verdict=found.verdict,
        fields=[
            identity_pb2.FieldBits(
                field=one.field, level=one.level, bits=one.bits, rarity_bits=one.rarity_bits
            )
            for one in found.score.parts
        ],
        bits=found.score.bits,
        left_record=None if found.left is None else record_ref(found.left),
        right_record=None if found.right is None else record_ref(found.right),
        tier=_TIERS[found.tier],
        same_group=found.same_group,
        weights_version=found.score.version,
    )


def candidates_response(
    rows: Sequence[CandidateRow], next_seq: int | None
) -> identity_pb2.ListMergeCandidatesResponse:
    """Write a page of candidates."""
    return identity_pb2.ListMergeCandidatesResponse(
        candidates=[
            identity_pb2.MergeCandidate(
                entity_id=str(row.entity_id),
                other_entity_id=str(row.other_entity_id),
                object=row.object,
                rule=row.rule,
                record=record_ref(row.ref),
                other_record=record_ref(row.other_ref),
                bits=row.bits,
                blocked_by=row.blocked_by,
                question=_QUESTIONS[row.question],
                weights_version=name_of(row.weights),
            )
            for row in rows
        ],
        next_page_token=candidates_token(next_seq),
    )


def status_response(counts: Sequence[ObjectCount], candidates: int) -> identity_pb2.GetIdentityStatusResponse:
    """Write the counts."""
    return identity_pb2.GetIdentityStatusResponse(
        counts=[
            identity_pb2.IdentityCount(
                object=one.object, entities=one.entities, records=one.records, merged=one.merged
            )
            for one in counts
        ],
        merge_candidates=candidates,
    )
