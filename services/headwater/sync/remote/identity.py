"""The identity service as the projector's resolver."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

import grpc
from asyncpg.pgproto.pgproto import (
    UUID,  # made and hashed in an eighth and a half of the time; equal to the library's
)

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2, identity_pb2_grpc
from headwater.kernel.errors import Unavailable
from headwater.sync.domain.erasing import HeldRecord
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.reading import Answers, Subject

RECORDS_MAX: Final = 2000
"""identity.proto, ResolveBatchRequest.records."""


class IdentityResolver:
    """Asks `ResolveBatch`, at most 2,000 records a call."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = identity_pb2_grpc.IdentityServiceStub(channel)
        self._timeout_s = timeout_s

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:
        """Return the entity of every subject; see the port."""
        resolved: dict[RecordKey, uuid.UUID] = {}
        revisions: list[int] = []
        for start in range(0, len(subjects), RECORDS_MAX):
            part = subjects[start : start + RECORDS_MAX]
            request = identity_pb2.ResolveBatchRequest(
                tenant_id=tenant_id, records=[_record(subject, key) for subject, key in part]
            )
            try:
                response = await self._stub.ResolveBatch(request, timeout=self._timeout_s)
            except grpc.aio.AioRpcError as error:
                raise Unavailable(f"identity: {error.code().name}: {error.details()}") from error
            for (subject, _), resolution in zip(part, response.resolutions, strict=True):
                if resolution.entity_id:
                    resolved[subject.key] = UUID(resolution.entity_id)
            revisions.append(response.revision)
        return Answers(resolved, min(revisions))

    async def erase(
        self, tenant_id: str, records: Sequence[HeldRecord], *, dry_run: bool = False
    ) -> dict[str, int]:
        """Empty records of all that identity knows of them; see the port `Forgetting`."""
        counts = {"records": 0, "statements": 0, "keys": 0, "changes": 0}
        for start in range(0, len(records), RECORDS_MAX):
            part = records[start : start + RECORDS_MAX]
            names = [
                event_pb2.RecordRef(source=item.source, object=item.object, external_id=item.external_id)
                for item in part
            ]
            request = identity_pb2.EraseRecordsRequest(tenant_id=tenant_id, records=names, dry_run=dry_run)
            try:
                told = await self._stub.EraseRecords(request, timeout=self._timeout_s)
            except grpc.aio.AioRpcError as error:
                raise Unavailable(f"identity: {error.code().name}: {error.details()}") from error
            counts["records"] += told.record_count
            counts["statements"] += told.statement_count
            counts["keys"] += told.key_count
            counts["changes"] += told.change_count
        return counts

    async def open_count(self, tenant_id: str) -> int:
        """Count pairs that wait for a person; see the port `Reviews`."""
        request = identity_pb2.GetIdentityStatusRequest(tenant_id=tenant_id)
        try:
            found = await self._stub.GetIdentityStatus(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"identity: {error.code().name}: {error.details()}") from error
        return found.merge_candidates


def _record(subject: Subject, event_key: uuid.UUID) -> identity_pb2.ResolveRecord:
    key = subject.key
    return identity_pb2.ResolveRecord(
        record=event_pb2.RecordRef(source=key.source, object=key.object, external_id=key.external_id),
        event_key=str(event_key),
        attributes=subject.attributes,
        match_only=subject.match_only,
    )
