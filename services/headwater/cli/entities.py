"""Entities as commands ask for them and name their records."""

from __future__ import annotations

from typing import Any

from headwater.cli import bits
from headwater.cli.plain import moment
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import read_who
from headwater.identity.v1 import identity_pb2


async def find_entity(session: Session, services: Services, who: str) -> identity_pb2.Entity:
    """Return the entity that a person names by its id or one of its records."""
    entity_id, record = read_who(who)
    request = identity_pb2.GetEntityRequest(tenant_id=session.tenant_id, entity_id=entity_id, record=record)
    found = await services.ask(services.identity.GetEntity, request)
    return found.entity


def member_row(item: identity_pb2.Member) -> tuple[Any, ...]:
    """Return a record of an entity as a row: its name, the rule that joined it, when."""
    return bits.record_name(item.record), item.rule, moment(item.resolve_time)
