"""From the use cases' answers to responses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from headwater.event.v1 import event_pb2
from headwater.identity.domain.explaining import Explanation, SharedKey
from headwater.identity.domain.records import RecordRef
from headwater.identity.domain.resolving import Resolution, ResolutionKind
from headwater.identity.ports import CandidateRow, MemberRow, ObjectCount
from headwater.identity.rpc.checks import candidates_token
from headwater.identity.usecases.asking import DuplicateAnswer, EntityView
from headwater.identity.v1 import identity_pb2

_KINDS: Final[Mapping[ResolutionKind, identity_pb2.ResolutionKind.ValueType]] = {
    "known": identity_pb2.RESOLUTION_KIND_KNOWN,
    "matched": identity_pb2.RESOLUTION_KIND_MATCHED,
    "created": identity_pb2.RESOLUTION_KIND_CREATED,
    "unmatched": identity_pb2.RESOLUTION_KIND_UNMATCHED,
}


def record_ref(ref: RecordRef) -> event_pb2.RecordRef:
    """Write a record's name."""
    return event_pb2.RecordRef(source=ref.source, object=ref.object, external_id=ref.external_id)


def resolve_response(resolutions: Sequence[Resolution]) -> identity_pb2.ResolveBatchResponse:
    """Write the answer to a batch."""
    return identity_pb2.ResolveBatchResponse(resolutions=[_resolution(one) for one in resolutions])


def _resolution(one: Resolution) -> identity_pb2.Resolution:
    return identity_pb2.Resolution(
        entity_id="" if one.entity_id is None else str(one.entity_id),
        kind=_KINDS[one.kind],
        rule=one.rule,
        matched_record=None if one.matched is None else record_ref(one.matched),
    )


def duplicate_response(answer: DuplicateAnswer) -> identity_pb2.CheckDuplicateResponse:
    """Write the answer to a check."""
    return identity_pb2.CheckDuplicateResponse(
        exists=answer.entity is not None,
        entity=None if answer.entity is None else entity_message(answer.entity),
        rule=answer.rule,
        matched_keys=[_matched_key(one) for one in answer.shared],
    )


def _matched_key(one: SharedKey) -> identity_pb2.MatchedKey:
    return identity_pb2.MatchedKey(
        kind=one.key.kind, value=one.key.value, joins=not one.blocked_by, blocked_by=one.blocked_by
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
    member = identity_pb2.Member(record=record_ref(one.ref), rule=one.rule)
    member.resolve_time.FromDatetime(one.resolve_time)
    return member


def explain_response(found: Explanation) -> identity_pb2.ExplainResponse:
    """Write an explanation."""
    return identity_pb2.ExplainResponse(
        same_entity=found.same_entity,
        shared_keys=[_matched_key(one) for one in found.shared],
        rule=found.rule,
        verdict=found.verdict,
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
