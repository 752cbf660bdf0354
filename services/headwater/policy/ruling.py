"""The rules of an object's fields as the decision core needs them: compiled once per document. Pure.

A unit is what is decided together: one field, or all fields of a group. Who may decide is settled here, so that no
decision looks at the document again: an owner whose layer gives it no right to the fields, and which they do not
grant it, has no rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from headwater.kernel.ids import ObjectName
from headwater.policy.objects import Deciding, ObjectPolicy
from headwater.policy.systems import System
from headwater.policy.words import Layer, SurvivorshipRule

OPEN_TO_ENGAGEMENT: Final[frozenset[ObjectName]] = frozenset({"activity", "lead"})
"""Objects that engagement systems bring in; the others say who somebody is, which they may not by themselves (A13)."""


_NOTHING_RESTRICTS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {}


class Unit(msgspec.Struct, frozen=True):
    """What is decided together, and how.

    Args:
        fields: one field, or all of a group's.
        group: the group's name; empty for a single field.
        ranks: systems whose values count, 0 the strongest.
        denied: owners whose values do not count, and why.
        skew_s: times of two systems that lie in one span of so many seconds tell nothing about which is newer.
        lock: boolean field that, while true, holds the value of the record that says so; empty: none.
        overridable: whether operators' corrections count.
        restricts: of `most_restrictive` the values that refuse, and those that grant.
    """

    fields: tuple[str, ...]
    group: str
    rule: SurvivorshipRule
    ranks: Mapping[str, int]
    denied: Mapping[str, str]
    skew_s: float
    lock: str
    overridable: bool
    restricts: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


class ObjectRules(msgspec.Struct, frozen=True):
    """Every unit of an object.

    Args:
        units: those that decide locks first.
        unit_of: field to the unit that decides it.
        locks: fields that other units are locked by.
    """

    units: tuple[Unit, ...]
    unit_of: Mapping[str, Unit]
    locks: frozenset[str]


def compile_rules(
    policy: ObjectPolicy,
    systems: Mapping[str, System],
    object_name: ObjectName,
    override: tuple[str, ...] = ("operator",),
    restricting: Mapping[str, tuple[frozenset[str], frozenset[str]]] = _NOTHING_RESTRICTS,
) -> ObjectRules:
    """Return the rules of *policy*, the object *object_name* of a document with *systems*.

    Args:
        override: who may correct what says nothing of its own.
        restricting: field to the values that refuse, and those that grant, as the policy's consent has them.
    """
    units = tuple(
        _unit(group, fields, item, policy, systems, object_name, override)
        for _, group, fields, item in policy.units()
    )
    if restricting:
        units = tuple(
            msgspec.structs.replace(unit, restricts=restricting.get(unit.fields[0], unit.restricts))
            for unit in units
        )
    locks = frozenset(unit.lock for unit in units if unit.lock)
    ordered = sorted(units, key=lambda unit: unit.fields[0] not in locks)
    return ObjectRules(tuple(ordered), {name: unit for unit in units for name in unit.fields}, locks)


def may_decide(layer: Layer, object_name: ObjectName) -> bool:
    """Tell whether systems of *layer* may decide fields of an object without being granted them."""
    return layer == "record" or (layer == "engagement" and object_name in OPEN_TO_ENGAGEMENT)


def _unit(
    group: str,
    fields: tuple[str, ...],
    item: Deciding,
    policy: ObjectPolicy,
    systems: Mapping[str, System],
    object_name: ObjectName,
    override: tuple[str, ...],
) -> Unit:
    denied = dict(_denials(item, policy, systems, object_name))
    ranks = {owner: item.owners.index(owner) for owner in item.owners if owner not in denied}
    return Unit(
        fields,
        group,
        item.rule or "manual",
        ranks,
        denied,
        max((systems[owner].echo_skew_s for owner in ranks if owner in systems), default=0.0),
        item.locked_by or "",
        bool(override if item.override is None else item.override),
    )


def _denials(
    item: Deciding, policy: ObjectPolicy, systems: Mapping[str, System], object_name: ObjectName
) -> list[tuple[str, str]]:
    """Return the owners that have no right to decide, and why."""
    found: list[tuple[str, str]] = []
    for owner in item.owners:
        layer: Layer = systems[owner].layer if owner in systems else "record"
        granted = item.granted if layer == "intelligence" else (*item.granted, *policy.granted)
        if not may_decide(layer, object_name) and owner not in granted:
            found.append((owner, f"not granted to the {layer} layer"))
        elif item.rule == "manual" and owner not in item.human:
            found.append((owner, "not a person's value"))
    return found
