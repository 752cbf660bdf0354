# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of deleted entities' records: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

from headwater.kernel.ids import parse_uuid
from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.sync.domain.removing import Fate
from headwater.sync.removing.ports import Flagged, FlaggedPlace
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.deletes import Deletes
from headwater.sync.v1 import deletes_pb2 as pb
from headwater.sync.v1 import deletes_pb2_grpc

DELETES_NAME: Final = pb.DESCRIPTOR.services_by_name["DeleteService"].full_name
LIST: Final = "deletes"
"""The list, as page tokens name it."""


class DeleteServicer(deletes_pb2_grpc.DeleteServiceServicer):
    """Serves `headwater.sync.v1.DeleteService`."""

    def __init__(self, deletes: Deletes) -> None:
        self._deletes = deletes

    async def ListDeletes(self, request: pb.ListDeletesRequest, context: Any) -> pb.ListDeletesResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        connector = checks.name("connector", request.connector, required=False)
        after = _place(checks, request.page_token)
        page_size = checks.page_size(request.page_size)
        checks.finish()
        page, more = await self._deletes.listed(tenant_id, connector, after, page_size)
        token = ""
        if more:
            last = page[-1][0]
            token = write_page_token(LIST, (str(last.entity_id), last.connector))
        return pb.ListDeletesResponse(records=[_record(*item) for item in page], next_page_token=token)


def _place(checks: Checks, token: str) -> FlaggedPlace | None:
    place = checks.page_token(token, LIST, 2)
    if place is None:
        return None
    entity_id = parse_uuid(place[0])
    if entity_id is None or "\x00" in place[1]:
        checks.broken_token(token)
        return None
    return entity_id, place[1]


def _record(item: Flagged, fate: Fate) -> pb.MarkedRecord:
    return pb.MarkedRecord(
        connector=item.connector,
        object=item.object,
        entity_id=str(item.entity_id),
        crm_object=item.crm_object,
        crm_id=item.crm_id,
        flag_time=moment_message(item.flag_time),
        action=fate.action,
        due_time=moment_message(fate.due_time),
    )
