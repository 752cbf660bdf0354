"""Who decides each field: what a policy must say about it, and what contradicts itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headwater.kernel.ids import ROUTING_SOURCE, ObjectName
from headwater.policy.faults import Fault, nearest
from headwater.policy.objects import Deciding, FieldPolicy, ObjectPolicy
from headwater.policy.ruling import may_decide
from headwater.policy.systems import System

Systems = dict[str, System]

GROUP_RULES: Final = ("source_priority", "most_recent", "first", "most_complete", "manual")
"""Rules that choose a record; the others choose or mix single values."""


def ownership_faults(object_name: ObjectName, policy: ObjectPolicy, systems: Systems) -> Iterator[Fault]:
    """Yield what is missing or contradictory in who decides the fields of an object."""
    root = f"objects.{object_name}"
    yield from _group_faults(root, policy)
    yield from _object_grant_faults(root, object_name, policy, systems)
    for place, group, fields, item in policy.units():
        path = f"{root}.{place}"
        yield from _owner_faults(path, group, item, systems)
        yield from _human_faults(path, item)
        yield from _grant_faults(path, object_name, policy, item, systems)
        if item.locked_by is not None:
            yield from _lock_faults(path, object_name, policy, (fields, item), systems)
    for name, field in policy.fields.items():
        yield from _custom_faults(root, name, field, policy, systems)


def _group_faults(root: str, policy: ObjectPolicy) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    for name, group in policy.groups.items():
        path = f"{root}.groups.{name}"
        for field_name in group.fields:
            known = policy.fields.get(field_name)
            if known is None:
                message = f"{field_name!r} is not a field of the object"
                yield Fault(f"{path}.fields", "known_field", message, nearest(field_name, policy.fields))
                continue
            if taken.setdefault(field_name, name) != name:
                message = f"{field_name!r} is in group {taken[field_name]!r} already"
                yield Fault(f"{path}.fields", "one_group", message)
            own = sorted(known.model_fields_set & set(Deciding.model_fields))
            if own:
                message = f"{', '.join(own)}: group {name!r} decides this field"
                yield Fault(f"{root}.fields.{field_name}.{own[0]}", "group_decides", message)


def _owner_faults(path: str, group: str, item: Deciding, systems: Systems) -> Iterator[Fault]:
    if item.rule is None or (not item.owners and item.rule != "manual"):
        lacking = [name for name, given in (("owners", item.owners), ("a rule", item.rule)) if not given]
        yield Fault(path, "owner_and_rule", f"lacks {' and '.join(lacking)}")
    for number, owner in enumerate(item.owners):
        if owner not in systems and owner != ROUTING_SOURCE:
            yield Fault(
                f"{path}.owners", "known_system", f"{owner!r} is not under systems", nearest(owner, systems)
            )
        if owner in item.owners[:number]:
            yield Fault(f"{path}.owners", "distinct_owners", f"{owner!r} is named twice")
    if group and item.rule is not None and item.rule not in GROUP_RULES:
        yield Fault(f"{path}.rule", "group_rule", f"{item.rule} chooses single values, not a record")
    if item.rule == "manual" and not item.owners and item.override == ():
        yield Fault(path, "nobody_decides", "has no owner, and nobody may correct it")


def _human_faults(path: str, item: Deciding) -> Iterator[Fault]:
    if item.human and item.rule != "manual":
        yield Fault(f"{path}.human", "human_rule", "goes with rule manual")
    for name in item.human:
        if name not in item.owners:
            yield Fault(f"{path}.human", "human_owner", f"{name!r} is not among the owners")
    for owner in item.owners if item.rule == "manual" else ():
        if owner not in item.human:
            yield Fault(f"{path}.owners", "human_owner", f"{owner!r} is not said to be typed by people")


def _object_grant_faults(
    root: str, object_name: ObjectName, policy: ObjectPolicy, systems: Systems
) -> Iterator[Fault]:
    owners = {owner for _, _, _, item in policy.units() for owner in item.owners}
    for name in policy.granted:
        layer = systems[name].layer if name in systems else None
        if name not in owners:
            yield Fault(f"{root}.granted", "granted_owner", f"{name!r} is no owner of any field")
        elif layer == "intelligence":
            message = f"{name!r} is of the intelligence layer, which is granted single fields only"
            yield Fault(f"{root}.granted", "granted_by_field", message)
        elif layer is not None and may_decide(layer, object_name):
            yield Fault(f"{root}.granted", "granted_needless", f"the {layer} layer may decide {object_name}")


def _grant_faults(
    path: str, object_name: ObjectName, policy: ObjectPolicy, item: Deciding, systems: Systems
) -> Iterator[Fault]:
    for name in item.granted:
        if name not in item.owners:
            yield Fault(f"{path}.granted", "granted_owner", f"{name!r} is not among the owners")
        elif name in systems and may_decide(systems[name].layer, object_name):
            message = f"the {systems[name].layer} layer may decide {object_name}"
            yield Fault(f"{path}.granted", "granted_needless", message)
    for owner in item.owners:
        layer = systems[owner].layer if owner in systems else "record"
        granted = item.granted if layer == "intelligence" else (*item.granted, *policy.granted)
        if not may_decide(layer, object_name) and owner not in granted:
            message = f"{owner!r} is of the {layer} layer, which decides no field of {object_name} by itself"
            fix = f"add `granted: [{owner}]` where that is meant, or take {owner} out of owners"
            yield Fault(f"{path}.owners", "layer_grant", message, fix)


def _lock_faults(
    path: str,
    object_name: ObjectName,
    policy: ObjectPolicy,
    unit: tuple[tuple[str, ...], Deciding],
    systems: Systems,
) -> Iterator[Fault]:
    fields, item = unit
    name, place = item.locked_by or "", f"{path}.locked_by"
    flag = policy.fields.get(name)
    if flag is None or flag.type != "boolean":
        yield Fault(place, "lock_field", f"{name!r} is not a boolean field of the object")
        return
    decided = next(deciding for _, _, names, deciding in policy.units() if name in names)
    if name in fields or decided.locked_by is not None or decided.rule == "union":
        yield Fault(place, "lock_chain", f"{name!r} is locked, grouped with it, or a union itself")
        return
    for owner in decided.owners:
        if owner not in item.owners:
            message = f"{owner!r} may say {name}, but is no owner of what that holds"
            fix = f"add {owner} to the owners, or take it out of those of {name}"
            yield Fault(place, "lock_owner", message, fix)
        inbound = systems[owner].inbound.get(object_name) if owner in systems else None
        read = {reading.field for _, reading in inbound.readings()} if inbound else set()
        if name in read and not read.intersection(fields):
            message = f"{owner} says {name}, but its mapping reads no value that this could hold"
            yield Fault(
                f"systems.{owner}.inbound.{object_name}.fields", "lock_states_value", message,
                f"map {fields[0]} of {owner} as well",
            )  # fmt: skip


def _custom_faults(
    root: str, name: str, field: FieldPolicy, policy: ObjectPolicy, systems: Systems
) -> Iterator[Fault]:
    if not field.custom:
        return
    owners = next((item.owners for _, _, names, item in policy.units() if name in names), ())
    system = systems.get(owners[0]) if owners else None
    if system is None:
        return
    prefix = system.prefix or f"{owners[0]}_"
    if not name.startswith(prefix):
        message = f"a custom field of {owners[0]} whose name does not begin with {prefix!r}"
        yield Fault(f"{root}.fields.{name}", "custom_prefix", message, f"name it {prefix}{name}")
