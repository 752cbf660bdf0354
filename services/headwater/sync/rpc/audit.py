# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of the provable audit: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headwater.audit.checkpoints import write_line
from headwater.audit.merkle import TILE_HASHES
from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.sync.auditing.ports import Wanted
from headwater.sync.rpc.requests import AUDIT, read_actor, read_place
from headwater.sync.rpc.responses import audit_message
from headwater.sync.usecases.proving import Proving
from headwater.sync.v1 import audit_pb2 as pb
from headwater.sync.v1 import audit_pb2_grpc

AUDIT_NAME: Final = pb.DESCRIPTOR.services_by_name["AuditService"].full_name

_encode: Final = msgspec.json.Encoder().encode


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """Serves `headwater.sync.v1.AuditService`."""

    def __init__(self, proving: Proving) -> None:
        self._proving = proving

    async def GetAuditHead(self, request: pb.GetAuditHeadRequest, context: Any) -> pb.GetAuditHeadResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        checks.finish()
        standing, keys = await self._proving.standing(tenant_id)
        return pb.GetAuditHeadResponse(
            size=standing.size,
            sealed_size=standing.sealed,
            finding=standing.finding,
            keys=[write_line(key) for key in keys],
        )

    async def SearchAudit(self, request: pb.SearchAuditRequest, context: Any) -> pb.SearchAuditResponse:
        checks = Checks()
        tenant_id, size = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        wanted, place = _wanted(checks, request), read_place(checks, request.page_token)
        checks.finish()
        found = await self._proving.search(tenant_id, wanted, place, size)
        token = write_page_token(AUDIT, [*map(str, found.next_place)]) if found.next_place else ""
        return pb.SearchAuditResponse(
            entries=[audit_message(entry) for entry in found.entries], next_page_token=token
        )

    async def ReadAudit(self, request: pb.ReadAuditRequest, context: Any) -> pb.ReadAuditResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        if request.after_seq < 0 or request.after_seq % TILE_HASHES:
            checks.broken(
                "after_seq", str(request.after_seq), "range", "0 or next_after_seq of the page before"
            )
        checks.finish()
        page = await self._proving.page(tenant_id, request.after_seq)
        return pb.ReadAuditResponse(entries=page.lines, next_after_seq=page.next_after_seq)

    async def ListAuditCheckpoints(
        self, request: pb.ListAuditCheckpointsRequest, context: Any
    ) -> pb.ListAuditCheckpointsResponse:
        checks = Checks()
        tenant_id, size = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        above = _count(checks, "above_size", request.above_size, 0)
        checks.finish()
        found = await self._proving.checkpoints(tenant_id, above, size)
        return pb.ListAuditCheckpointsResponse(checkpoints=[write_line(item) for item in found])

    async def ProveAuditEntry(
        self, request: pb.ProveAuditEntryRequest, context: Any
    ) -> pb.ProveAuditEntryResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        audit_id = _count(checks, "audit_id", request.audit_id, 1)
        checks.finish()
        proof = await self._proving.prove(tenant_id, audit_id)
        return pb.ProveAuditEntryResponse(
            entry=_encode(proof.entry), path=proof.path, checkpoint=write_line(proof.checkpoint)
        )

    async def ProveAuditConsistency(
        self, request: pb.ProveAuditConsistencyRequest, context: Any
    ) -> pb.ProveAuditConsistencyResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        first = _count(checks, "first_size", request.first_size, 1)
        second = _count(checks, "second_size", request.second_size, max(1, first))
        checks.finish()
        return pb.ProveAuditConsistencyResponse(
            path=await self._proving.consistency(tenant_id, first, second)
        )

    async def EraseAuditValues(
        self, request: pb.EraseAuditValuesRequest, context: Any
    ) -> pb.EraseAuditValuesResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        entity_id = checks.uuid("entity_id", request.entity_id)
        reason, actor = checks.text("reason", request.reason), read_actor(checks, request.actor)
        checks.finish()
        erased = await self._proving.erase(tenant_id, entity_id, actor, reason, dry_run=request.dry_run)
        return pb.EraseAuditValuesResponse(
            erased_count=erased.entries, trace_count=erased.traces, held_count=erased.held
        )


def _wanted(checks: Checks, request: pb.SearchAuditRequest) -> Wanted:
    return Wanted(
        checks.optional_uuid("entity_id", request.entity_id),
        checks.optional_uuid("event_key", request.event_key),
        checks.text("actor", request.actor, required=False) or None,
        checks.text("action", request.action, required=False) or None,
        checks.text("connector", request.connector, required=False) or None,
        checks.moment("since_time", request.since_time) if request.HasField("since_time") else None,
        checks.moment("until_time", request.until_time) if request.HasField("until_time") else None,
    )


def _count(checks: Checks, field: str, value: int, least: int) -> int:
    if value < least:
        checks.broken(field, str(value), "range", f"{least} or more")
    return value
