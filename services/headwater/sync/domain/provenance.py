"""Why an entity shows the values it shows, and what each CRM holds of them. Pure; knows no secret's value when done."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from headwater.kernel.ids import ObjectName
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.explaining import Candidate, Decision, explain
from headwater.policy.outbound import same_value, wanted_fields
from headwater.policy.outbound_mapping import OutboundObject
from headwater.policy.scopes import RULE as SCOPE
from headwater.policy.scopes import Writing, scope_of
from headwater.policy.words import FieldClass
from headwater.sync.domain.delivering import REFERENCES_KEY, Claimed, choose_outbound
from headwater.sync.domain.operating import Delivery
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.domain.workbench import Standing

_UNTOLD: Final[frozenset[FieldClass]] = frozenset({"secret"})
"""Classes of fields whose values nobody is told."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who or what said so; type as in event.proto."""

    type: int
    id: str
    name: str
    record_time: dt.datetime


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is known of an entity, at one moment.

    Args:
        former: entities that were followed to this one, by merges.
        actors: event key to who said so; events whose day is dropped from the log are absent.
        policy: text of the policy in force.
    """

    entity: EntityState
    former: tuple[uuid.UUID, ...]
    members: Sequence[RecordState]
    standings: Sequence[Standing]
    actors: Mapping[uuid.UUID, Actor]
    policy: str


@dataclass(frozen=True, slots=True)
class Held:
    """What one CRM holds of a field, and what it should.

    Args:
        scope: by which scope it does not get the field, or only where it is empty; empty where none bars it.
    """

    connector: str
    crm_object: str
    crm_field: str
    value: Any
    wanted: Any
    scope: str = ""

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return not self.scope and not same_value(self.value, self.wanted)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one record says of a field, and who said so."""

    candidate: Candidate
    actor: Actor | None


@dataclass(frozen=True, slots=True)
class FieldStory:
    """One field: who decides it, what everybody says, what each CRM holds.

    Args:
        value: that the entity shows.
        masked: nobody may be told a value: the field is secret.
        pending: the policy in force decides another value: the entity is not renewed yet.
    """

    field_class: FieldClass
    decision: Decision
    value: Any
    statements: tuple[Statement, ...]
    held: tuple[Held, ...]
    pending: bool

    @property
    def masked(self) -> bool:
        """Whether nobody may be told a value."""
        return self.field_class in _UNTOLD


@dataclass(frozen=True, slots=True)
class Story:
    """An entity, explained.

    Args:
        accounts: deliveries with the CRM object that each is.
    """

    entity: EntityState
    former: tuple[uuid.UUID, ...]
    policy_version: str
    policy_digest: str
    fields: tuple[FieldStory, ...]
    accounts: tuple[tuple[Delivery, str], ...]


def tell(document: PolicyDocument, digest: str, known: Known, field: str = "") -> Story:
    """Return why the entity shows what it shows, of one field or of all that anything is stated of.

    Raises:
        LookupError: the policy has no such object or field.
    """
    entity = known.entity
    fields = document.objects[cast("ObjectName", entity.object)].fields
    names = [field] if field else [name for name in sorted(fields) if _spoken_of(name, known)]
    return Story(
        entity=entity,
        former=known.former,
        policy_version=document.version,
        policy_digest=digest,
        fields=tuple(_field(document, known, name) for name in names),
        accounts=tuple((item.delivery, item.claimed.crm_object) for item in known.standings),
    )


def _spoken_of(name: str, known: Known) -> bool:
    return name in known.entity.fields or any(name in member.fields for member in known.members)


def _field(document: PolicyDocument, known: Known, name: str) -> FieldStory:
    entity = known.entity
    object_name = cast("ObjectName", entity.object)
    decision = explain(document, object_name, [item.as_member() for item in known.members], name)
    shown = entity.fields.get(name)
    decided = decision.winner.value if decision.winner is not None else None
    value = shown.value if shown is not None else None
    return FieldStory(
        field_class=document.objects[object_name].fields[name].field_class,
        decision=decision,
        value=value,
        statements=tuple(Statement(item, known.actors.get(item.event_key)) for item in decision.candidates),
        held=tuple(_held(document, known.standings, name)),
        pending=entity.state != "merged" and value != decided,
    )


def _held(document: PolicyDocument, standings: Iterable[Standing], name: str) -> Iterable[Held]:
    for standing in standings:
        claimed = standing.claimed
        policy = document.connectors.get(claimed.connector)
        outbound = None if policy is None else _mapping(policy, claimed)
        if policy is None or outbound is None:
            continue
        lives = claimed.state == "active"
        wanted = wanted_fields(outbound, claimed.values, policy.consents).fields if lives else {}
        for crm_field, item in outbound.fields.items():
            if item.field == name:
                value = claimed.known.get(crm_field)
                want = wanted.get(crm_field, value)
                kept = crm_field in outbound.if_empty and value not in (None, "")
                scope = (
                    f"{SCOPE}: written only where it is empty" if kept and not same_value(value, want) else ""
                )
                yield Held(claimed.connector, outbound.target, crm_field, value, want, scope)
        yield from _barred(document, claimed, outbound.target, name)
        yield from _references(outbound, claimed, name)


def _barred(document: PolicyDocument, claimed: Claimed, crm_object: str, name: str) -> Iterable[Held]:
    """Yield the CRM fields that would be written, were it not for a scope; else the scope that would bar them."""
    connector, object_name = claimed.connector, claimed.object
    found = False
    for item in document.left_out:
        if (item.way, item.connector, item.object, item.field) == ("write", connector, object_name, name):
            found = True
            value = claimed.known.get(item.crm_field)
            yield Held(connector, crm_object, item.crm_field, value, None, item.why)
    mapped = any(
        name in {*(one.field for one in target.fields.values()), *target.references.values()}
        for target in document.connectors[connector].written.get(object_name, ())
    )
    field_class = document.objects[object_name].fields[name].field_class
    scope = scope_of(document.connectors[connector].scopes, object_name, name, field_class)
    if not found and not mapped and scope.writing is Writing.NEVER and scope.write_line:
        by = f"connectors.{connector}.{scope.write_line}"
        yield Held(connector, crm_object, "", None, None, f"{SCOPE}: never written: {by}")


def _mapping(policy: ConnectorPolicy, claimed: Claimed) -> OutboundObject | None:
    return choose_outbound(policy, claimed) if policy.enabled else None


def _references(outbound: OutboundObject, claimed: Claimed, name: str) -> Iterable[Held]:
    held = claimed.known.get(REFERENCES_KEY, {})
    for crm_field, field in outbound.references.items():
        if field == name:
            ids = sorted({item.crm_id for item in claimed.references if item.field == name and item.crm_id})
            yield Held(
                claimed.connector, outbound.target, crm_field, held.get(crm_field) or None, ids or None
            )
