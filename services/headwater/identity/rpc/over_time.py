# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The methods about change over time: groups by former ids, records gone over by later rules. Decides nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.identity.domain.records import GroupId, RecordId
from headwater.identity.domain.redoing import BEFORE_ALL, Phase, Redo
from headwater.identity.rpc.checks import Checks
from headwater.identity.rpc.responses import record_ref
from headwater.identity.usecases.following import Groups
from headwater.identity.usecases.redoing import Redoer
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
_PASSES: Final = 2
"""How often a record is gone over."""


class OverTimeMethods(identity_pb2_grpc.IdentityServiceServicer):
    """Serves them."""

    def __init__(self, groups: Groups, redoer: Redoer) -> None:
        self._groups, self._redoer = groups, redoer

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
