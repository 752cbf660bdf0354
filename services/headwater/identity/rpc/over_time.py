# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The methods about a tenant over time and whole: groups by former ids, records gone over, erased, scans. Decides nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.identity.domain.identifying import attributes_of
from headwater.identity.domain.proposing import Outcome, in_all
from headwater.identity.domain.records import GroupId, RecordId
from headwater.identity.domain.redoing import BEFORE_ALL, Phase, Redo, Said
from headwater.identity.rpc.checks import Checks
from headwater.identity.rpc.responses import record_ref
from headwater.identity.usecases.erasing import Eraser
from headwater.identity.usecases.following import Groups
from headwater.identity.usecases.redoing import Redoer
from headwater.identity.usecases.surveying import Surveys
from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.v1 import identity_pb2_grpc
from headwater.kernel.rpc.checks import write_page_token

PREVIEW: Final = "preview_redo"
"""The list of records whose pages a preview goes through."""
_PHASES: Final[dict[Phase, pb.RedoPhase.ValueType]] = {
    "rewrite": pb.REDO_PHASE_REWRITE,
    "resolve": pb.REDO_PHASE_RESOLVE,
    "done": pb.REDO_PHASE_DONE,
}
_OUTCOMES: Final[dict[Outcome, pb.ProposalOutcome.ValueType]] = {
    Outcome.PROPOSED: pb.PROPOSAL_OUTCOME_PROPOSED,
    Outcome.ASKED: pb.PROPOSAL_OUTCOME_ASKED,
    Outcome.ONE: pb.PROPOSAL_OUTCOME_ONE,
    Outcome.TOLD_APART: pb.PROPOSAL_OUTCOME_TOLD_APART,
    Outcome.UNKNOWN: pb.PROPOSAL_OUTCOME_UNKNOWN,
}
PAIRS_MAX: Final = 500
"""Pairs of one request; the wire contract's number."""
ERASED_MAX: Final = 2_000
"""Records of one erasure; the wire contract's number."""
_PASSES: Final = 2
"""How often a record is gone over."""


class OverTimeMethods(identity_pb2_grpc.IdentityServiceServicer):
    """Serves them."""

    def __init__(self, groups: Groups, redoer: Redoer, surveys: Surveys, eraser: Eraser) -> None:
        self._groups, self._redoer, self._surveys, self._eraser = groups, redoer, surveys, eraser

    async def EraseRecords(self, request: pb.EraseRecordsRequest, context: Any) -> pb.EraseRecordsResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.size("records", request.records, 1, ERASED_MAX)
        records = [
            checks.record(f"records[{number}]", one)
            for number, one in enumerate(request.records[: ERASED_MAX + 1])
        ]
        checks.finish()
        erased = await self._eraser.erase(tenant_id, records, dry_run=request.dry_run)
        return pb.EraseRecordsResponse(
            record_count=erased.members,
            statement_count=erased.statements,
            key_count=erased.keys,
            change_count=erased.notes,
        )

    async def GetGroup(self, request: pb.GetGroupRequest, context: Any) -> pb.GetGroupResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        group_id = GroupId(checks.uuid("group_id", request.group_id))
        checks.finish()
        found, members = await self._groups.get(tenant_id, group_id)
        return pb.GetGroupResponse(
            group_id=str(found.group_id),
            members=[
                pb.GroupMember(record=record_ref(one.ref), entity_id=str(one.entity_id)) for one in members
            ],
            split_into=[str(one) for one in found.split_into],
        )

    async def GetRedo(self, request: pb.GetRedoRequest, context: Any) -> pb.GetRedoResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.finish()
        redo, behind = await self._redoer.status(tenant_id)
        version = self._redoer.resolver.rules.version
        return pb.GetRedoResponse(redo=redo_message(redo), normalisation_version=version, behind=behind)

    async def StartRedo(self, request: pb.StartRedoRequest, context: Any) -> pb.StartRedoResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.finish()
        return pb.StartRedoResponse(redo=redo_message(await self._redoer.start(tenant_id)))

    async def PreviewRedo(self, request: pb.PreviewRedoRequest, context: Any) -> pb.PreviewRedoResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        page_size = checks.page_size(request.page_size)
        place = checks.page_token(request.page_token, PREVIEW, 1)
        after = BEFORE_ALL if place is None else RecordId(str(checks.uuid("page_token", place[0])))
        checks.finish()
        found = await self._redoer.preview(tenant_id, after, page_size)
        return pb.PreviewRedoResponse(
            records=found.records,
            behind=found.behind,
            changed=found.changed,
            changed_keys=found.keys,
            next_page_token=write_page_token(PREVIEW, [found.after]) if found.after else "",
        )

    async def StreamRecords(
        self, request: pb.StreamRecordsRequest, context: Any
    ) -> AsyncIterator[pb.StreamRecordsResponse]:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        object_name = checks.object_name("object", request.object)
        checks.finish()
        async with aclosing(self._surveys.stream(tenant_id, object_name)) as pages:
            async for page in pages:
                yield pb.StreamRecordsResponse(records=[_streamed(one) for one in page])

    async def ProposeMerges(self, request: pb.ProposeMergesRequest, context: Any) -> pb.ProposeMergesResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.size("pairs", request.pairs, 1, PAIRS_MAX)
        pairs = [
            (
                checks.record(f"pairs[{number}].left_record", one.left_record),
                checks.record(f"pairs[{number}].right_record", one.right_record),
            )
            for number, one in enumerate(request.pairs[: PAIRS_MAX + 1])
        ]
        for number, (left, right) in enumerate(pairs):
            if left == right and left.external_id:
                checks.broken(
                    f"pairs[{number}].right_record", right.external_id, "distinct", "another record"
                )
        checks.finish()
        outcomes = await self._surveys.propose(
            tenant_id, pairs, context.time_remaining(), validate_only=request.validate_only
        )
        return pb.ProposeMergesResponse(outcomes=[_OUTCOMES[one] for one in outcomes])


def _streamed(one: Said) -> pb.StreamedRecord:
    return pb.StreamedRecord(
        record=record_ref(one.ref),
        entity_id=str(one.entity_id),
        group_id=str(one.group_id),
        attributes=in_all(attributes_of(one.said)),
    )


def redo_message(redo: Redo | None) -> pb.Redo | None:
    """Write how far it is."""
    if redo is None:
        return None
    return pb.Redo(
        normalisation_version=redo.version,
        phase=_PHASES[redo.phase],
        steps=_PASSES * redo.records,
        steps_done=redo.seen,
        changed_records=redo.changed,
        merged_entities=redo.merged,
        holder=redo.holder,
        start_time=_stamp(redo.start_time),
        update_time=_stamp(redo.update_time),
        finish_time=None if redo.finish_time is None else _stamp(redo.finish_time),
    )


def _stamp(moment: dt.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
