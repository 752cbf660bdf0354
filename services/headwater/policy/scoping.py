"""Compiles scopes into a policy: what no scope allows is taken out of the mappings, once, when the document is read.

So whatever reads or writes by a mapping keeps to the scopes and pays nothing for it: polls and fetches ask for what is
left, records are read and written by what is left. What was taken out is kept beside, to be told and counted. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from headwater.kernel.ids import ObjectName
from headwater.policy.scopes import LeftOut, Scope, Scopes, Writing, scope_of
from headwater.policy.words import FieldName

if TYPE_CHECKING:
    from headwater.policy.document import ConnectorPolicy, PolicyDocument
    from headwater.policy.outbound_mapping import OutboundObject
    from headwater.policy.systems import Inbound, System

Lookup = dict[tuple[str, ObjectName, FieldName], Scope]
"""Connector, object and field to what may be done; fields that the policy knows."""


class Compiled(NamedTuple):
    """What scopes leave of a document.

    Args:
        unread: system and object to the fields that are not read from it.
    """

    connectors: Mapping[str, ConnectorPolicy]
    systems: Mapping[str, System]
    left_out: tuple[LeftOut, ...]
    unread: Mapping[tuple[str, str], frozenset[FieldName]]


def concerns(document: PolicyDocument) -> bool:
    """Return whether scopes can make any difference: one is declared, or there is a secret field."""
    return any(item.scopes != Scopes() for item in document.connectors.values()) or any(
        field.field_class == "secret" for item in document.objects.values() for field in item.fields.values()
    )


def lookup_of(document: PolicyDocument) -> Lookup:
    """Return what may be done with every field of every object at every connector."""
    return {
        (name, object_name, field): scope_of(connector.scopes, object_name, field, policy.field_class)
        for name, connector in document.connectors.items()
        for object_name, item in document.objects.items()
        for field, policy in item.fields.items()
    }


def compile_scopes(document: PolicyDocument) -> Compiled:
    """Return the parts of *document* that its scopes leave."""
    lookup, left_out = lookup_of(document), list[LeftOut]()
    unread = _unread(document, lookup)
    connectors = {
        name: item.model_copy(
            update={
                "objects": {
                    object_name: tuple(
                        _written(lookup, (name, object_name, number), target, left_out)
                        for number, target in enumerate(targets)
                    )
                    for object_name, targets in item.objects.items()
                }
            }
        )
        for name, item in document.connectors.items()
    }
    systems = {
        name: item.model_copy(
            update={
                "inbound": {
                    object_name: _read(document, lookup, (name, object_name), inbound, left_out)
                    for object_name, inbound in item.inbound.items()
                }
            }
        )
        for name, item in document.systems.items()
    }
    return Compiled(connectors, systems, tuple(left_out), unread)


class CrmAccess(NamedTuple):
    """What a policy does with an object of a CRM, by the CRM's name of it."""

    crm_object: str
    reads: bool
    writes: bool


def access_of(document: PolicyDocument, connector: str) -> tuple[CrmAccess, ...]:
    """Return what is read and written at an account: what mappings do, less what scopes take out."""
    account = document.connectors[connector]
    system = document.systems.get(account.system)
    readable = {name for name, item in system.inbound.items() if item.fields} if system is not None else set()
    read = {crm_object for name, crm_object in account.polled() if name in readable}
    written = {item.target for items in account.written.values() for item in items}
    return tuple(
        CrmAccess(name, name in read, name in written)
        for name in dict.fromkeys([*sorted(written), *sorted(read)])
    )


def _unread(document: PolicyDocument, lookup: Lookup) -> dict[tuple[str, str], frozenset[FieldName]]:
    barred: dict[tuple[str, str], set[FieldName]] = {}
    for (connector, object_name, field), scope in lookup.items():
        if not scope.reads:
            barred.setdefault((document.connectors[connector].system, object_name), set()).add(field)
    return {key: frozenset(fields) for key, fields in barred.items()}


def _written(
    lookup: Lookup, place: tuple[str, ObjectName, int], target: OutboundObject, left_out: list[LeftOut]
) -> OutboundObject:
    """Return a mapping without what may not be written; it knows what is written into empty fields only."""
    connector, object_name, number = place
    if target.direction == "in":
        return target
    path = f"connectors.{connector}.objects.{object_name}.{number}"
    named = {crm: item.field for crm, item in target.fields.items() if item.field is not None}
    found = _found(lookup, connector, object_name, {**named, **target.references})
    barred = {crm for crm, scope in found.items() if scope.writing is Writing.NEVER}
    for crm in found:
        if crm in barred:
            part, field = ("fields", named[crm]) if crm in named else ("references", target.references[crm])
            where = f"{path}.{part}.{crm}"
            left_out.append(
                LeftOut("write", connector, object_name, field, crm, where, found[crm].write_line)
            )
    kept = target.model_copy(
        update={
            "fields": {crm: item for crm, item in target.fields.items() if crm not in barred},
            "references": {crm: item for crm, item in target.references.items() if crm not in barred},
        }
    )
    kept.narrow(
        if_empty=(crm for crm, scope in found.items() if scope.writing is Writing.IF_EMPTY and crm in named),
        unread=(crm for crm, scope in found.items() if not scope.reads and crm not in barred),
    )
    return kept


def _found(
    lookup: Lookup, connector: str, object_name: ObjectName, named: Mapping[str, FieldName]
) -> dict[str, Scope]:
    """Return the scope of each CRM name whose canonical field the policy knows."""
    pairs = ((crm, lookup.get((connector, object_name, field))) for crm, field in named.items())
    return {crm: scope for crm, scope in pairs if scope is not None}


def _read(
    document: PolicyDocument,
    lookup: Lookup,
    place: tuple[str, ObjectName],
    inbound: Inbound,
    left_out: list[LeftOut],
) -> Inbound:
    """Return a reading without what may not be read by any account of the system: its events name none."""
    system, object_name = place
    accounts = [name for name, item in document.connectors.items() if item.system == system]
    kept = dict(inbound.fields)
    for path, item in inbound.fields.items():
        by = _barring(lookup, accounts, object_name, item.field)
        if by is None:
            continue
        connector, scope = by
        del kept[path]
        where = f"systems.{system}.inbound.{object_name}.fields.{path}"
        left_out.append(LeftOut("read", connector, object_name, item.field, path, where, scope.read_line))
    return inbound if len(kept) == len(inbound.fields) else inbound.without(kept)


def _barring(
    lookup: Lookup, accounts: Iterable[str], object_name: ObjectName, field: FieldName
) -> tuple[str, Scope] | None:
    for name in accounts:
        scope = lookup.get((name, object_name, field))
        if scope is not None and not scope.reads:
            return name, scope
    return None
