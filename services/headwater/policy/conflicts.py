"""Mappings in two ways: each field says what becomes of a person's change in the CRM, and the owners agree. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from headwater.kernel.ids import ObjectName
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.faults import Fault
from headwater.policy.outbound_mapping import OutboundObject


def conflict_faults(
    path: str, document: PolicyDocument, connector: ConnectorPolicy, name: ObjectName, target: OutboundObject
) -> Iterator[Fault]:
    """Yield where a mapping in two ways leaves a conflict undecided, or says what the owners contradict."""
    fields = {crm: item for crm, item in target.fields.items() if item.field in document.objects[name].fields}
    if target.direction != "two_way":
        yield from _needless(path, target)
        return
    silent = [crm for crm, item in fields.items() if (item.conflict or target.conflict) is None]
    if silent:
        message = f"is read and written, and does not say whose value stands in {', '.join(silent[:5])}"
        yield Fault(path, "conflict_rule", message)
    rules = document.rules[name].unit_of
    inbound = (
        document.systems[connector.system].inbound.get(name) if connector.system in document.systems else None
    )
    read = {reading.field for _, reading in inbound.readings()} if inbound else set()
    for crm, item in fields.items():
        field, conflict, place = item.field or "", item.conflict or target.conflict, f"{path}.fields.{crm}"
        owns = connector.system in rules[field].ranks
        if conflict == "policy" and not owns:
            message = f"{connector.system} is no owner of {field!r}: its changes could never count"
            fix = f"add {connector.system} to the owners of {field}, or say `conflict: overwrite` here"
            yield Fault(place, "conflict_owner", message, fix)
        elif conflict == "policy" and inbound is not None and field not in read:
            message = f"{connector.system}'s inbound mapping does not read {field!r}: no change would be seen"
            fix = f"map {crm} to {field} under systems.{connector.system}.inbound.{name}, or say `conflict: overwrite` here"
            yield Fault(place, "conflict_read", message, fix)
        elif conflict == "overwrite" and owns:
            message = f"{connector.system} is an owner of {field!r}, whose changes count"
            fix = f"say `conflict: policy` here, or take {connector.system} out of the owners of {field}"
            yield Fault(place, "conflict_owner", message, fix)


def _needless(path: str, target: OutboundObject) -> Iterator[Fault]:
    message = f"the mapping goes only one way ({target.direction}): nothing can conflict"
    if target.conflict is not None:
        yield Fault(f"{path}.conflict", "conflict_two_way", message)
    for crm, item in target.fields.items():
        if item.conflict is not None:
            yield Fault(f"{path}.fields.{crm}.conflict", "conflict_two_way", message)
