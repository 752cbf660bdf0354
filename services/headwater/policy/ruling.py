"""The rules of an object's fields as the decision core needs them: compiled once per document. Pure.

A unit is what is decided together: one field, or all fields of a group. Who may decide is settled here, so that no
decision looks at the document again: owners whose layer gives them no right to the field, and which the field does
not grant it, have no rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from headwater.policy.words import SurvivorshipRule

if TYPE_CHECKING:
    from headwater.kernel.ids import ObjectName
    from headwater.policy.document import ObjectPolicy, System


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
    """

    fields: tuple[str, ...]
    group: str
    rule: SurvivorshipRule
    ranks: Mapping[str, int]
    denied: Mapping[str, str]
    skew_s: float
    lock: str
    overridable: bool


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
    policy: ObjectPolicy, systems: Mapping[str, System], object_name: ObjectName
) -> ObjectRules:
    """Return the rules of *policy*, the object *object_name* of a document with *systems*."""
    units = tuple(_units(policy, systems, object_name))
    locks = frozenset(unit.lock for unit in units if unit.lock)
    ordered = sorted(units, key=lambda unit: unit.fields[0] not in locks)
    return ObjectRules(tuple(ordered), {name: unit for unit in units for name in unit.fields}, locks)


def _units(policy: ObjectPolicy, systems: Mapping[str, System], object_name: ObjectName) -> Iterator[Unit]:
    for name, item in policy.fields.items():
        yield _unit((name,), "", item.owners, item.rule, systems)


def _unit(
    fields: tuple[str, ...],
    group: str,
    owners: tuple[str, ...],
    rule: SurvivorshipRule,
    systems: Mapping[str, System],
) -> Unit:
    ranks = {owner: owners.index(owner) for owner in owners}
    skew_s = max((systems[owner].clock_skew_s for owner in ranks if owner in systems), default=0.0)
    return Unit(fields, group, rule, ranks, {}, skew_s, lock="", overridable=True)
