"""What one delivery sends: the smallest write that brings the CRM to the desired version. Pure."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from headwater.connectors.base import Found, Reference, Target, Write
from headwater.kernel.ids import ObjectName
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import ConnectorPolicy
from headwater.policy.outbound import (
    Wanted,
    end_marks,
    fill_empty,
    minimal_patch,
    same_value,
    select_target,
    wanted_fields,
)
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.lanes import Lane

REFERENCES_KEY: Final = "#references"
"""Place of the delivered references among the known fields; no CRM field begins with `#`."""
HOLDS: Final = ("approval:", "consent:", "scope:")
"""How what keeps a delivery, or a part of it, from being written begins."""
REFERENCE_RECHECK_S: Final = 0.25
"""Pause before a delivery that waits for another one is looked at again."""


class ReferenceState(Struct, frozen=True, gc=False):
    """An entity that this one refers to, as this connector has it.

    Args:
        crm_id: empty until it is delivered.
        coming: a delivery of it exists and may still succeed.
    """

    field: str
    entity_id: uuid.UUID
    crm_id: str
    coming: bool


class Holder(Struct, frozen=True):
    """The entity whose a CRM record is.

    Args:
        coming: its delivery is under way or due: what the record holds may change.
        heir_id: who stands for it since it was merged; empty when that is not known.
    """

    entity_id: str
    coming: bool = False
    heir_id: str = ""

    def leaves_to(self, entity_id: str) -> bool:
        """Return whether the record may go to *entity_id*, into which this one was merged."""
        return self.heir_id == entity_id != self.entity_id and not self.coming


class Claimed(Struct, frozen=True, gc=False):
    """A due delivery with all that a decision needs; a struct, as thousands a second are made.

    Args:
        in_doubt: a write may be under way or may have landed unseen: the CRM must be asked first.
        lane, due_time: where it stood in the queue.
        erred: its last try failed.
        delivered_version: what the CRM got last; 0 for nothing.
        learned: what a look-up showed beyond what was known, field by field, for the audit.
        shown: CRM field to whether it holds a value, as a look has shown just now; of fields that are written only
            where they are empty. Absent ones could not be read; None: nobody has looked.
        verdict: what became of a write in doubt, as `domain.doubting`; empty while nothing was in doubt.
    """

    tenant_id: str
    connector: str
    entity_id: uuid.UUID
    object: ObjectName
    state: str
    merged_into: uuid.UUID | None
    version: int
    values: Mapping[str, Any]
    crm_object: str
    crm_id: str
    known: Mapping[str, Any]
    failure_count: int
    in_doubt: bool
    waited_s: float
    event_key: uuid.UUID
    mark_time: dt.datetime
    dirty_time: dt.datetime
    trace: TraceContext | None
    last_trace: TraceContext | None
    tries_before: int
    lane: Lane
    due_time: dt.datetime
    delivered_version: int = 0
    references: tuple[ReferenceState, ...] = ()
    learned: tuple[Mapping[str, Any], ...] = ()
    verdict: str = ""
    erred: bool = False
    shown: Mapping[str, bool] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Write this.

    Args:
        note: what of it consent or a scope withholds, and why.
        unsure: CRM fields that are written only where they are empty: the CRM must be asked first.
    """

    claimed: Claimed
    target: Target
    write: Write
    lacks_reference: bool
    note: str = ""
    unsure: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wait:
    """Something it refers to is on its way: look again after a pause; no try is used up."""

    claimed: Claimed
    after_s: float


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to send: the CRM holds it already, or a rule says it need not.

    Args:
        outcome: `unchanged` or `superseded`.
        rule: name of the rule; of what is unchanged what consent withholds of it, or empty.
    """

    claimed: Claimed
    outcome: str
    rule: str = ""
    lacks_reference: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Do not write it: the policy holds it until its values, the policy or a person say otherwise.

    Args:
        why: what holds it, as `consent: …` or `approval: …`.
    """

    claimed: Claimed
    why: str


Plan = Send | Wait | Settled | Hold

_NO_FIELDS: Final = frozenset[str]()
_TARGETS_MAX: Final = 1_024
"""Mappings whose targets are kept."""
_targets: Final[dict[tuple[ObjectName, int], tuple[OutboundObject, Target]]] = {}


def plan_delivery(connector: ConnectorPolicy, claimed: Claimed, reference_wait_s: float) -> Plan:
    """Return what to do for *claimed* under *connector*'s mapping, or that which is staged for it."""
    connector = connector.of(claimed.entity_id)
    outbound = choose_outbound(connector, claimed)
    if outbound is None:
        return Settled(claimed, "superseded", "not_mapped")
    if claimed.state != "active":
        if not claimed.crm_id:
            return Settled(claimed, "superseded", f"{claimed.state}_before_delivery")
        marks = end_marks(outbound, claimed.state, str(claimed.merged_into or ""))
        return _planned(outbound, claimed, Wanted(marks), (), lacks=False)
    wanted = wanted_fields(outbound, claimed.values, connector.consents)
    if wanted.withheld:
        return _withheld(outbound, claimed, wanted)
    referred = [item for item in _wanted(outbound, claimed) if item.field not in wanted.kept_back]
    if any(not item.crm_id and item.coming for item in referred) and claimed.waited_s < reference_wait_s:
        return Wait(claimed, REFERENCE_RECHECK_S)
    lacks = any(not item.crm_id for item in referred)
    return _planned(outbound, claimed, wanted, _references(outbound, referred), lacks=lacks)


def _withheld(outbound: OutboundObject, claimed: Claimed, wanted: Wanted) -> Plan:
    """Return what to do for a record that consent withholds: where the CRM has it, it is told so, and no more."""
    if claimed.crm_id and minimal_patch(wanted.fields, claimed.known):
        return _planned(outbound, claimed, wanted, (), lacks=False)
    return Hold(claimed, f"consent: {wanted.withheld}")


def _planned(
    outbound: OutboundObject,
    claimed: Claimed,
    wanted: Wanted,
    references: tuple[Reference, ...],
    *,
    lacks: bool,
) -> Plan:
    patch, unsure, left = minimal_patch(wanted.fields, claimed.known), _NO_FIELDS, ""
    if outbound.if_empty and patch:
        fill = fill_empty(outbound.if_empty, patch, claimed.known, claimed.shown)
        patch, unsure, left = fill.patch, fill.unsure, fill.note
    fresh = tuple(
        item for item in references if list(item.crm_ids) != _known_references(claimed).get(item.name)
    )
    if claimed.crm_id and not patch and not fresh:
        rule = f"{wanted.note}; {left}" if wanted.note and left else wanted.note or left
        return Settled(claimed, "unchanged", rule, lacks_reference=lacks)
    write = Write(str(claimed.entity_id), claimed.crm_id, patch, fresh, claimed.version)
    note = f"consent: {wanted.note}" if wanted.note else ""
    note = f"{note}; {left}" if note and left else note or left
    return Send(claimed, to_target(claimed.object, outbound), write, lacks, note, unsure)


def choose_outbound(connector: ConnectorPolicy, claimed: Claimed) -> OutboundObject | None:
    """Return the mapping of *claimed*: where it was delivered before, else the first that fits."""
    targets = connector.of(claimed.entity_id).written.get(claimed.object, ())
    if claimed.crm_object:
        return next((item for item in targets if item.target == claimed.crm_object), None)
    return select_target(targets, claimed.values) or (
        targets[0] if targets and claimed.state != "active" else None
    )


def to_target(object_name: ObjectName, outbound: OutboundObject) -> Target:
    """Return *outbound* in the connector kit's words; of one mapping always the same one: each delivery asks for it."""
    key = (object_name, id(outbound))
    held = _targets.get(key)
    if held is None or held[0] is not outbound:
        if len(_targets) >= _TARGETS_MAX:
            _targets.clear()
        held = _targets[key] = (outbound, _make_target(object_name, outbound))
    return held[1]


def to_read(target: Target, outbound: OutboundObject) -> Target:
    """Return *target* as it is looked up: without the fields that no scope lets be read."""
    if not outbound.unread:
        return target
    return dataclasses.replace(
        target, fields=tuple(name for name in target.fields if name not in outbound.unread)
    )


def to_look_first(target: Target, outbound: OutboundObject) -> Target:
    """Return *target* as it is asked whether fields are empty."""
    return dataclasses.replace(
        target, fields=tuple(name for name in target.fields if name in outbound.if_empty)
    )


def _make_target(object_name: ObjectName, outbound: OutboundObject) -> Target:
    flags = (name for item in outbound.consent.values() for name in item.flags)
    fields = tuple(dict.fromkeys((*outbound.fields, *outbound.end_marks, *flags)))
    return Target(object_name, outbound.target, outbound.external_id, fields, tuple(outbound.references))


def connector_targets(connector: ConnectorPolicy) -> tuple[Target, ...]:
    """Return every target of a connector account."""
    return tuple(to_target(name, item) for name, items in connector.written.items() for item in items)


def known_after(claimed: Claimed, write: Write) -> dict[str, Any]:
    """Return what the CRM is known to hold once *write* is applied."""
    known = {name: value for name, value in {**claimed.known, **write.fields}.items() if value is not None}
    if write.references:
        held = {**_known_references(claimed), **{item.name: list(item.crm_ids) for item in write.references}}
        known[REFERENCES_KEY] = held
    return known


def field_changes(known: Mapping[str, Any], write: Write) -> Iterable[dict[str, Any]]:
    """Yield what *write* changes of *known*, field by field, as the audit tells it."""
    for name, value in write.fields.items():
        yield {"field": name, "before": known.get(name), "after": value, "rule": "minimal_patch"}
    held = known.get(REFERENCES_KEY, {})
    for item in write.references:
        yield {
            "field": item.name,
            "before": held.get(item.name),
            "after": list(item.crm_ids),
            "rule": "reference",
        }


def adopt_found(claimed: Claimed, found: Found, unread: frozenset[str] = frozenset()) -> Claimed:
    """Return *claimed* after a look-up: what the CRM shows replaces what was assumed, save of fields in *unread*.

    A write whose answer was lost shows here for the first time; noting it keeps the audit whole. What the record
    refers to is not shown: it is not known any more, and brought about again.
    """
    known = {name: value for name, value in found.fields.items() if value not in (None, "")}
    known |= {name: value for name, value in claimed.known.items() if name in unread}
    learned = tuple(
        {"field": name, "before": claimed.known.get(name), "after": value, "rule": "looked_up"}
        for name, value in found.fields.items()
        if not same_value(value, claimed.known.get(name))
    )
    return replace(claimed, crm_id=found.crm_id, known=known, learned=learned)


def seen_empty(claimed: Claimed, held: Mapping[str, Any] | None, outbound: OutboundObject) -> Claimed:
    """Return *claimed* after a look at the fields that are written only where they are empty.

    What they hold becomes known, save where no scope lets it be read: then only that there is something.

    Args:
        held: CRM field to its value; None: it could not be read.
    """
    if held is None:
        return replace(claimed, shown={})
    values = {name: held[name] for name in outbound.if_empty if name in held}
    filled = {name: value for name, value in values.items() if value not in (None, "")}
    known = {
        **{name: value for name, value in claimed.known.items() if name not in values},
        **{name: value for name, value in filled.items() if name not in outbound.unread},
    }
    return replace(claimed, known=known, shown={name: name in filled for name in values})


def _known_references(claimed: Claimed) -> Mapping[str, list[str]]:
    held: Mapping[str, list[str]] = claimed.known.get(REFERENCES_KEY, {})
    return held


def _wanted(outbound: OutboundObject, claimed: Claimed) -> Iterable[ReferenceState]:
    if not claimed.references:
        return ()
    fields = set(outbound.references.values())
    return (item for item in claimed.references if item.field in fields)


def _references(outbound: OutboundObject, referred: Sequence[ReferenceState]) -> tuple[Reference, ...]:
    found: list[Reference] = []
    for name, field_name in outbound.references.items():
        crm_ids = sorted({item.crm_id for item in referred if item.field == field_name and item.crm_id})
        if crm_ids:
            found.append(Reference(name, tuple(crm_ids)))
    return tuple(found)


def chunks(sends: Sequence[Send], records_max: int) -> list[list[Send]]:
    """Group *sends* by target into calls of at most *records_max* records, order kept."""
    by_target: dict[Target, list[Send]] = {}
    last: Target | None = None
    group: list[Send] = []
    for send in sends:
        if send.target is not last:  # nearly all go to one
            last = send.target
            group = by_target.setdefault(last, [])
        group.append(send)
    return [
        whole[start : start + records_max]
        for whole in by_target.values()
        for start in range(0, len(whole), records_max)
    ]
