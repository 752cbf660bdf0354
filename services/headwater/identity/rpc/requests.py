"""From requests to the use cases' words. Pure; raises `InvalidInput` with every violation."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.event.v1 import event_pb2
from headwater.identity.domain.merging import Actor
from headwater.identity.rpc.checks import Checks, sound_ref
from headwater.identity.usecases.asking import Subject
from headwater.identity.usecases.resolve import RecordToResolve
from headwater.identity.v1 import identity_pb2
from headwater.kernel.ids import EntityId, EventKey, TenantId, parse_uuid

RECORDS_MAX: Final = 2_000
"""Records of one batch; the wire contract's number."""
ATTRIBUTES_MAX: Final = 100
"""Attributes of one record; those that identify it are fewer than a dozen."""


@dataclass(frozen=True, slots=True)
class MergeOrder:
    """A checked MergeRequest."""

    tenant_id: TenantId
    winner_id: EntityId
    loser_id: EntityId
    actor: Actor
    reason: str
    request_id: str


def read_resolve(
    request: identity_pb2.ResolveBatchRequest,
) -> tuple[TenantId, Sequence[RecordToResolve]]:
    """Check and read a batch."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    checks.size("records", request.records, 1, RECORDS_MAX)
    records = [
        _sound_record(one) or _record(checks, f"records[{number}]", one)
        for number, one in enumerate(request.records[: RECORDS_MAX + 1])
    ]
    checks.finish()
    return tenant_id, records


def _sound_record(one: identity_pb2.ResolveRecord) -> RecordToResolve | None:
    """Read a record that breaks no rule, as nearly all: only the others need words for what is wrong."""
    ref = sound_ref(one.record)
    event_key = parse_uuid(one.event_key)
    if ref is None or event_key is None or len(one.attributes) > ATTRIBUTES_MAX:
        return None
    return RecordToResolve(ref, EventKey(event_key), dict(one.attributes), one.match_only)


def _record(checks: Checks, field: str, one: identity_pb2.ResolveRecord) -> RecordToResolve:
    ref = checks.record(f"{field}.record", one.record)
    event_key = EventKey(checks.uuid(f"{field}.event_key", one.event_key))
    checks.size(f"{field}.attributes", one.attributes, 0, ATTRIBUTES_MAX)
    return RecordToResolve(ref, event_key, dict(one.attributes), one.match_only)


def read_check(request: identity_pb2.CheckDuplicateRequest) -> tuple[TenantId, str, dict[str, str]]:
    """Check and read the description of a record to be created."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    object_name = checks.object_name("object", request.object)
    checks.size("attributes", request.attributes, 1, ATTRIBUTES_MAX)
    checks.finish()
    return tenant_id, object_name, dict(request.attributes)


def read_get(request: identity_pb2.GetEntityRequest) -> tuple[TenantId, Subject]:
    """Check and read which entity is asked for."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    subject = _subject(checks, "", request.entity_id, request.record if request.HasField("record") else None)
    checks.finish()
    return tenant_id, subject


def read_explain(request: identity_pb2.ExplainRequest) -> tuple[TenantId, Subject, Subject]:
    """Check and read which two are compared."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    left = _subject(
        checks,
        "left_",
        request.left_entity_id,
        request.left_record if request.HasField("left_record") else None,
    )
    right = _subject(
        checks,
        "right_",
        request.right_entity_id,
        request.right_record if request.HasField("right_record") else None,
    )
    checks.finish()
    return tenant_id, left, right


def _subject(checks: Checks, prefix: str, entity_id: str, record: event_pb2.RecordRef | None) -> Subject:
    if record is not None and entity_id:
        checks.broken(
            f"{prefix}entity_id", entity_id, "exclusive", f"either this or {prefix}record, not both"
        )
    if record is not None:
        return checks.record(f"{prefix}record", record)
    return EntityId(checks.uuid(f"{prefix}entity_id", entity_id))


def read_merge(request: identity_pb2.MergeRequest) -> MergeOrder:
    """Check and read a merge."""
    checks = Checks()
    order = MergeOrder(
        checks.tenant(request.tenant_id),
        EntityId(checks.uuid("winner_entity_id", request.winner_entity_id)),
        EntityId(checks.uuid("loser_entity_id", request.loser_entity_id)),
        checks.actor("actor", request.actor),
        checks.text("merge_reason", request.merge_reason, required=False),
        checks.text("request_id", request.request_id, required=False),
    )
    if order.winner_id == order.loser_id and request.loser_entity_id:
        checks.broken(
            "loser_entity_id", request.loser_entity_id, "distinct", "another entity than the winner"
        )
    checks.finish()
    return order


def read_split(request: identity_pb2.SplitRequest) -> tuple[TenantId, uuid.UUID, Actor]:
    """Check and read a split."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    merge_id = checks.uuid("merge_id", request.merge_id)
    actor = checks.actor("actor", request.actor)
    checks.finish()
    return tenant_id, merge_id, actor


def read_list(request: identity_pb2.ListMergeCandidatesRequest) -> tuple[TenantId, int, int]:
    """Check and read a page: tenant, place after which it begins, rows."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    after_seq = checks.candidates_from(request.page_token)
    page_size = checks.page_size(request.page_size)
    checks.finish()
    return tenant_id, after_seq, page_size


def read_status(request: identity_pb2.GetIdentityStatusRequest) -> TenantId:
    """Check and read whose status is asked for."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    checks.finish()
    return tenant_id
