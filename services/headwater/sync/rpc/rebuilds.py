# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of rebuilds: reads a request, calls one use case, writes its answer. Values of secrets end here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from headwater.event.v1 import event_pb2
from headwater.kernel.ids import ObjectName
from headwater.kernel.rpc.checks import Checks
from headwater.sync.rebuilding.rebuilder import EntityRebuilder, Outcome
from headwater.sync.rpc.requests import read_actor
from headwater.sync.v1 import rebuild_pb2 as pb
from headwater.sync.v1 import rebuild_pb2_grpc

REBUILD_NAME: Final = pb.DESCRIPTOR.services_by_name["RebuildService"].full_name


class RebuildServicer(rebuild_pb2_grpc.RebuildServiceServicer):
    """Serves `headwater.sync.v1.RebuildService`."""

    def __init__(self, rebuilder: EntityRebuilder) -> None:
        self._rebuilder = rebuilder

    async def RebuildEntity(self, request: pb.RebuildEntityRequest, context: Any) -> pb.RebuildEntityResponse:
        checks = Checks()
        tenant_id, entity_id = checks.tenant(request.tenant_id), checks.uuid("entity_id", request.entity_id)
        actor = "" if request.validate_only else read_actor(checks, request.actor)
        checks.finish()
        if request.validate_only:
            return _response(await self._rebuilder.preview(tenant_id, entity_id))
        found = await self._rebuilder.rebuild(tenant_id, entity_id, actor, drop_missing=request.drop_missing)
        return _response(found)


def _response(found: Outcome) -> pb.RebuildEntityResponse:
    entity, rebuilt = found.entity, found.rebuilt
    return pb.RebuildEntityResponse(
        entity_id=str(entity.entity_id),
        object=entity.object,
        event_count=found.events,
        record_count=found.records,
        changed_records=[
            event_pb2.RecordRef(source=key.source, object=key.object, external_id=key.external_id)
            for key in sorted(rebuilt.records)
        ],
        changed_fields=[_field(found, change) for change in rebuilt.changes],
        changed=rebuilt.changed,
        written=found.written,
        version=entity.version,
        connectors=sorted(connector for _, connector, _ in rebuilt.workspace.marks),
        missing=[str(item) for item in rebuilt.missing],
    )


def _field(found: Outcome, change: Mapping[str, Any]) -> pb.RebuiltField:
    entity = found.entity
    policy = found.rebuilt.workspace.policies[entity.tenant_id].of(entity.entity_id, entity.object)
    known = policy.objects[cast("ObjectName", entity.object)].fields.get(change["field"])
    secret = known is None or known.field_class == "secret"
    before, after = ("", "") if secret else (_json(change["before"]), _json(change["after"]))
    return pb.RebuiltField(field=change["field"], before_json=before, after_json=after)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
