"""From a source's payload to canonical fields, held to the tenant's contract. Pure.

The same function serves ingest (which wants the violations) and the projector (which wants the
fields), so that what passed the door can always be projected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from headwater.kernel.errors import FieldViolation
from headwater.kernel.ids import OPERATOR_SOURCE, ROUTING_SOURCE, ObjectName, parse_uuid
from headwater.policy import places
from headwater.policy.authority import may_act
from headwater.policy.document import PolicyDocument
from headwater.policy.normalising import geography
from headwater.policy.objects import FieldPolicy, ObjectPolicy
from headwater.policy.systems import Inbound, InboundField
from headwater.policy.values import Broken, Reader, reader_of
from headwater.policy.words import FieldName

_VALUE_CHARS_MAX: Final = 128
"""Length to which values are cut in violations (event.proto, Violation.value)."""


@dataclass(frozen=True, slots=True)
class CanonicalRecord:
    """What a payload says in canonical words.

    Args:
        raw: what the source said, of the fields whose value was brought into another spelling.
        fields: canonical field to canonical value; None where the source cleared it.
        violations: every broken rule; the fields concerned are left out of *fields*.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


def canonicalise(
    document: PolicyDocument,
    source: str,
    object_name: ObjectName,
    payload: Mapping[str, Any],
    actor_id: str = "",
) -> CanonicalRecord:
    """Read *payload*, a record of *object_name* as *source* words it.

    A field the payload does not hold is unchanged; null or an empty text clears it.

    Args:
        actor_id: who corrects, where *source* is the operators'.
    """
    if source == OPERATOR_SOURCE:
        return _read_correction(document, object_name, payload, actor_id)
    if source == ROUTING_SOURCE:
        return _read_assignment(document, object_name, payload)
    system = document.systems.get(source)
    if system is None:
        return _refused("event.source", source, "known_source", "the policy names no such system")
    inbound = system.inbound.get(object_name)
    if inbound is None:
        return _refused(
            "event.object", object_name, "mapped_object", f"{source} has no inbound mapping of it"
        )
    policy = document.objects[object_name]
    fields, violations, broken, raw = _read_fields(plan_of(policy, inbound), payload)
    if source not in document.enrichers:  # what a provider adds is never a whole record
        violations.extend(_missing(policy, fields, broken))
    if policy.consistent:
        violations.extend(_disagreements(policy, inbound, fields))
    return CanonicalRecord(fields, tuple(violations), raw)


def _read_correction(
    document: PolicyDocument, object_name: ObjectName, payload: Mapping[str, Any], actor_id: str
) -> CanonicalRecord:
    """Read an operator's correction: canonical fields by name, references by entity, nothing required."""
    policy = document.objects.get(object_name)
    if policy is None:
        return _refused("event.object", object_name, "mapped_object", "the policy names no such object")
    inbound = Inbound(fields={name: InboundField(field=name) for name in payload if name in policy.fields})
    fields, violations, _, raw = _read_fields(plan_of(policy, inbound), payload)
    violations.extend(_disagreements(policy, inbound, fields))
    violations.extend(_unauthorised(document, policy, fields, actor_id))
    for name in payload:
        item = policy.fields.get(name)
        if item is None or item.type == "participants":
            rule = "is not a field that can be corrected"
            violations.append(
                FieldViolation(f"event.payload.{name[:_VALUE_CHARS_MAX]}", "", "known_field", rule)
            )
        elif item.type == "reference" and fields.get(name) and parse_uuid(str(fields[name])) is None:
            shown = str(fields[name])[:_VALUE_CHARS_MAX]
            violations.append(
                FieldViolation(f"event.payload.{name}", shown, "format.uuid", f"{name}: must be an entity")
            )
    broken = {item.field for item in violations}
    kept = {name: value for name, value in fields.items() if f"event.payload.{name}" not in broken}
    raw = {name: said for name, said in raw.items() if name in kept}
    return CanonicalRecord(kept, tuple(violations), raw)


def _read_assignment(
    document: PolicyDocument, object_name: ObjectName, payload: Mapping[str, Any]
) -> CanonicalRecord:
    """Read the owner that routing has found: canonical fields by name; what else the event tells is left.

    Under any policy, also one that routes no more: a log may be projected again by the newest.
    """
    policy = document.objects.get(object_name)
    if policy is None:
        return _refused("event.object", object_name, "mapped_object", "the policy names no such object")
    inbound = Inbound(fields={name: InboundField(field=name) for name in payload if name in policy.fields})
    fields, violations, _, raw = _read_fields(plan_of(policy, inbound), payload)
    return CanonicalRecord(fields, tuple(violations), raw)


def _unauthorised(
    document: PolicyDocument, policy: ObjectPolicy, fields: Mapping[str, Any], actor_id: str
) -> Iterator[FieldViolation]:
    """Yield the fields that *actor_id* may not correct, or not without those that go with them."""
    for _, group, names, item in policy.units():
        stated = [name for name in names if name in fields]
        if not stated:
            continue
        allowed = document.override if item.override is None else item.override
        if not may_act(allowed, actor_id, document.roles):
            who = f"{actor_id or 'nobody'} may not correct it, only {', '.join(allowed) or 'no one'}"
            yield from (
                FieldViolation(f"event.payload.{name}", "", "override", f"{name}: {who}") for name in stated
            )
        absent = [name for name in names if name not in fields]
        if group and absent:
            whole = f"goes with {', '.join(absent)}: state all of {group}, null where there is none"
            yield from (
                FieldViolation(f"event.payload.{name}", "", "group_whole", f"{name}: {whole}")
                for name in stated
            )
    for _, _, names, item in policy.units():
        flag = item.locked_by
        if flag and fields.get(flag) is True and all(fields.get(name) is None for name in names):
            rule = f"{flag}: state {names[0]} as well, the value that it holds"
            yield FieldViolation(f"event.payload.{flag}", "true", "lock_states_value", rule)


def agrees(policy: ObjectPolicy, inbound: Inbound, payload: Mapping[str, Any]) -> bool:
    """Tell whether no two fields that must agree contradict each other."""
    involved = {name for pair in policy.consistent for name in pair}
    plan = tuple(item for item in plan_of(policy, inbound) if item.name in involved)
    fields, violations, _, _ = _read_fields(plan, payload)
    return not violations and not any(_disagreements(policy, inbound, fields))


class _Read(NamedTuple):
    """Canonical fields, violations, the names of the fields concerned, and what the source said of respelt ones."""

    fields: dict[str, Any]
    violations: list[FieldViolation]
    broken: set[str]
    raw: dict[str, Any]


class Step(NamedTuple):
    """How one field of a payload is read.

    Args:
        name: of the canonical field.
        country_field: which names the country that the value is read in; empty: it makes no difference.
        respells: whether the value may come out in another spelling, so that what the source said is kept.
    """

    path: str
    name: FieldName
    read: Reader
    country_field: str
    respells: bool
    is_secret: bool


def plan_of(policy: ObjectPolicy, inbound: Inbound) -> tuple[Step, ...]:
    """Return how records are read, fields that hang on a country last; made once for each mapping of a policy."""
    kept = inbound.plans.get(id(policy))
    if kept is None or kept[0] is not policy:
        kept = inbound.plans[id(policy)] = (policy, _planned(policy, inbound))
    plan: tuple[Step, ...] = kept[1]
    return plan


def _planned(policy: ObjectPolicy, inbound: Inbound) -> tuple[Step, ...]:
    steps = [_step(path, policy.fields[reading.field], reading) for path, reading in inbound.readings()]
    return tuple(sorted(steps, key=lambda step: step.name in policy.abroad))


def _step(path: str, policy: FieldPolicy, reading: InboundField) -> Step:
    asks = policy.steps is not None and policy.steps.asks_country
    return Step(
        path,
        reading.field,
        reader_of(policy, reading),
        (policy.country_field or "") if asks else "",
        policy.steps is not None,
        policy.field_class == "secret",
    )


def _read_fields(plan: Iterable[Step], payload: Mapping[str, Any]) -> _Read:
    """Return what a payload says."""
    fields: dict[str, Any] = {}
    read = _Read(fields, [], set(), {})
    for path, name, read_value, country_field, respells, is_secret in plan:
        if path in payload:
            raw = payload[path]
        else:
            present, raw = reach(payload, path) if "." in path else (False, None)
            if not present:
                continue
        value = read_value(raw, _country_of(fields.get(country_field)) if country_field else "")
        if value.__class__ is Broken:
            shown = "" if is_secret else str(raw)[:_VALUE_CHARS_MAX]
            read.broken.add(name)
            read.violations.append(
                FieldViolation(f"event.payload.{path}", shown, value.rule, f"{name}: {value.description}")
            )
        elif fields.get(name) is None:
            fields[name] = value
            if respells and value is not raw and value is not None:
                said = raw.strip() if isinstance(raw, str) else raw
                if said != value:
                    read.raw[name] = said
    return read


def _country_of(named: Any) -> str:
    """Return the ISO code of the country that a record names; empty where it names none."""
    return geography.code_of(named) if isinstance(named, str) else ""


def _disagreements(
    policy: ObjectPolicy, inbound: Inbound, fields: Mapping[str, Any]
) -> Iterator[FieldViolation]:
    for name, country_name in policy.consistent:
        value, country = fields.get(name), fields.get(country_name)
        if value is None or country is None:
            continue
        kind = policy.fields[name].format
        if places.fits(kind, str(value), str(country)):
            continue
        path = next((path for path, item in inbound.readings() if item.field == name), name)
        shown = "" if policy.fields[name].field_class == "secret" else str(value)[:_VALUE_CHARS_MAX]
        description = f"{name}: is no {kind} of {country_name} {str(country)[:_VALUE_CHARS_MAX]!r}"
        yield FieldViolation(f"event.payload.{path}", shown, f"consistent.{kind}", description)


def _missing(policy: ObjectPolicy, fields: Mapping[str, Any], broken: set[str]) -> Iterator[FieldViolation]:
    for name in policy.required:
        if fields.get(name) is None and name not in broken:
            yield FieldViolation(f"event.payload.{name}", "", "required", f"{name} is required")
    for group in policy.require_any:
        if not any(fields.get(name) is not None for name in group):
            names = ", ".join(group)
            yield FieldViolation("event.payload", "", "require_any", f"at least one of {names} is required")


def reach(payload: Mapping[str, Any], path: str) -> tuple[bool, Any]:
    """Return whether the payload holds *path*, and its value; a key spelled with dots goes first."""
    if path in payload:
        return True, payload[path]
    current: Any = payload
    for part in path.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return False, None
        current = current[part]
    return True, current


def _refused(path: str, value: str, rule: str, description: str) -> CanonicalRecord:
    return CanonicalRecord({}, (FieldViolation(path, value[:_VALUE_CHARS_MAX], rule, description),))
