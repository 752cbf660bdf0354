# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of provenance: reads a request, calls one use case, writes its answer. Values of secrets end here."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from headwater.event.v1 import event_pb2
from headwater.kernel.rpc.checks import Checks
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.provenance import FieldStory, Held, Statement, Story
from headwater.sync.rpc.responses import delivery_message, moment_message
from headwater.sync.usecases.provenance import Provenance
from headwater.sync.v1 import provenance_pb2 as pb
from headwater.sync.v1 import provenance_pb2_grpc

PROVENANCE_NAME: Final = pb.DESCRIPTOR.services_by_name["ProvenanceService"].full_name


class ProvenanceServicer(provenance_pb2_grpc.ProvenanceServiceServicer):
    """Serves `headwater.sync.v1.ProvenanceService`."""

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance

    async def ExplainEntity(self, request: pb.ExplainEntityRequest, context: Any) -> pb.ExplainEntityResponse:
        checks = Checks()
        tenant_id, subject = checks.tenant(request.tenant_id), _subject(checks, request)
        field = checks.text("field", request.field, required=False)
        checks.finish()
        return _response(await self._provenance.explain(tenant_id, subject, field))


def _subject(checks: Checks, request: pb.ExplainEntityRequest) -> uuid.UUID | RecordKey:
    if request.WhichOneof("subject") != "record":
        return checks.uuid("entity_id", request.entity_id)
    record = request.record
    return RecordKey(
        request.tenant_id,
        checks.text("record.object", record.object),
        checks.name("record.source", record.source),
        checks.text("record.external_id", record.external_id),
    )


def _response(story: Story) -> pb.ExplainEntityResponse:
    entity = story.entity
    return pb.ExplainEntityResponse(
        entity_id=str(entity.entity_id),
        object=entity.object,
        state=entity.state,
        version=entity.version,
        former_entity_ids=[str(item) for item in story.former],
        decided_by=entity.policy_version,
        policy_version=story.policy_version,
        policy_digest=story.policy_digest,
        fields=[_field(item) for item in story.fields],
        accounts=[
            pb.AccountStanding(delivery=delivery_message(delivery), crm_object=crm_object)
            for delivery, crm_object in story.accounts
        ],
    )


def _field(item: FieldStory) -> pb.ExplainedField:
    decision = item.decision
    return pb.ExplainedField(
        field=decision.field,
        field_class=item.field_class,
        masked=item.masked,
        value_json="" if item.value is None else _value(item, item.value),
        rule=decision.rule,
        reason=decision.reason,
        owners=decision.owners,
        group=decision.group,
        locked_by=decision.locked_by,
        statements=[_statement(item, one) for one in item.statements],
        held=[_held(item, one) for one in item.held],
        renewal_pending=item.pending,
    )


def _statement(item: FieldStory, one: Statement) -> pb.Statement:
    said, actor = one.candidate, one.actor
    told = actor is not None and (actor.type or actor.id or actor.name)
    return pb.Statement(
        source=said.source,
        external_id=said.external_id,
        value_json=_value(item, said.value),
        won=said.won,
        reason=said.reason,
        field_time=moment_message(said.field_time),
        event_key=str(said.event_key),
        actor=_actor(actor.type, actor.id, actor.name) if actor is not None and told else None,
        record_time=moment_message(actor.record_time) if actor is not None else None,
        raw_json="" if said.raw is None else _value(item, said.raw),
        suggestion="" if item.masked else said.suggestion,
    )


def _actor(kind: int, actor_id: str, name: str) -> event_pb2.Actor:
    return event_pb2.Actor(type=event_pb2.ActorType.ValueType(kind), id=actor_id, display_name=name)


def _held(item: FieldStory, one: Held) -> pb.HeldValue:
    return pb.HeldValue(
        connector=one.connector,
        crm_object=one.crm_object,
        crm_field=one.crm_field,
        value_json=_value(item, one.value),
        wanted_json=_value(item, one.wanted),
        differs=one.differs,
        scope=one.scope,
    )


def _value(item: FieldStory, value: Any) -> str:
    """Return *value* as JSON; nothing of a secret's."""
    return "" if item.masked else json.dumps(value, ensure_ascii=False)
