"""What must agree between scopes and the mappings of a policy: nothing may go further than its scope. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from headwater.kernel.ids import ObjectName
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.faults import Fault, nearest
from headwater.policy.outbound_mapping import OutboundObject
from headwater.policy.scopes import Access, Writing
from headwater.policy.scoping import Lookup, compile_scopes, concerns, lookup_of


def scope_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield where a mapping goes further than its scope, and scopes that concern nothing.

    A secret field that no scope names is no fault: its mapping stands, and is not written.
    """
    if not concerns(document):
        return
    lookup = lookup_of(document)
    for name, connector in document.connectors.items():
        yield from _known_faults(document, name, connector)
    for item in compile_scopes(document).left_out:
        if not item.line:
            continue
        line = f"connectors.{item.connector}.{item.line}"
        if item.way == "read":
            message = f"reads {item.object}.{item.field}, and {line} does not let it be read"
            yield Fault(item.place, "scope_read", message)
        else:
            ways = "two ways" if _goes_two_ways(document, item.place, item.connector, item.object) else "out"
            message = f"writes {item.object}.{item.field} ({ways}), and {line} does not let it be written"
            yield Fault(item.place, "scope_write", message)
    for name, connector in document.connectors.items():
        for object_name, targets in connector.written.items():
            for target in targets:
                number = connector.objects[object_name].index(target)
                yield from _target_faults(
                    lookup, name, object_name, f"connectors.{name}.objects.{object_name}.{number}", target
                )


def _goes_two_ways(document: PolicyDocument, place: str, connector: str, object_name: ObjectName) -> bool:
    number = place.removeprefix(f"connectors.{connector}.objects.{object_name}.").partition(".")[0]
    return document.connectors[connector].objects[object_name][int(number)].direction == "two_way"


def _known_faults(document: PolicyDocument, name: str, connector: ConnectorPolicy) -> Iterator[Fault]:
    """Yield lines about what nobody knows, or about what no mapping has; `never` may stand before any mapping does."""
    for object_name, part in connector.scopes.objects.items():
        path = f"connectors.{name}.scopes.objects.{object_name}"
        policy = document.objects.get(object_name)
        if policy is None:
            message = f"{object_name!r} is not under objects"
            yield Fault(path, "known_object", message, nearest(object_name, document.objects))
            continue
        mapped = _mapped(document, connector, object_name)
        if not mapped and any(_grants(line) for line in (part.access or (), *part.classes.values())):
            message = f"{name} has no mapping of {object_name!r}"
            yield Fault(path, "scope_unmapped", message)
        for field, line in part.fields.items():
            if field not in policy.fields:
                message = f"{field!r} is not a field of {object_name}"
                yield Fault(f"{path}.fields.{field}", "known_field", message, nearest(field, policy.fields))
            elif _grants(line) and field not in mapped:
                message = f"{field!r} is in no mapping of {object_name} from or to {name}"
                yield Fault(f"{path}.fields.{field}", "scope_unmapped", message)


def _grants(line: Access) -> bool:
    return bool(line) and "never" not in line


def _mapped(document: PolicyDocument, connector: ConnectorPolicy, object_name: ObjectName) -> frozenset[str]:
    """Return the canonical fields that are mapped at an account, in either direction."""
    system = document.systems.get(connector.system)
    inbound = system.inbound.get(object_name) if system is not None else None
    read = {item.field for _, item in inbound.readings()} if inbound is not None else set()
    written = {
        field
        for target in connector.written.get(object_name, ())
        for field in (*(item.field for item in target.fields.values()), *target.references.values())
        if field is not None
    }
    return frozenset(read | written)


def _target_faults(
    lookup: Lookup, name: str, object_name: ObjectName, path: str, target: OutboundObject
) -> Iterator[Fault]:
    for crm, item in target.fields.items():
        scope = lookup.get((name, object_name, item.field or ""))
        if scope is None or scope.writing is not Writing.IF_EMPTY:
            continue
        conflict = item.conflict or target.conflict
        if target.direction == "two_way" and conflict == "overwrite":
            message = f"is written over what a person changes, and connectors.{name}.{scope.write_line} lets it be written only where it is empty"
            yield Fault(f"{path}.fields.{crm}", "scope_overwrite", message)
    narrowed = [
        scope for (connector, held, _), scope in lookup.items()
        if (connector, held) == (name, object_name) and (scope.read_line or (scope.writing is Writing.NEVER and scope.write_line))
    ]  # fmt: skip
    if target.merge == "merge" and narrowed:
        line = narrowed[0].read_line or narrowed[0].write_line
        message = (
            f"a merge reads and keeps whole records, to be undone, and connectors.{name}.{line} bars a field"
        )
        yield Fault(f"{path}.merge", "scope_merge", message)
    for crm, field in target.references.items():
        scope = lookup.get((name, object_name, field))
        if scope is not None and scope.writing is Writing.IF_EMPTY:
            message = f"{field!r} is a reference, and connectors.{name}.{scope.write_line} lets it be written only where it is empty"
            yield Fault(f"{path}.references.{crm}", "scope_reference", message)
