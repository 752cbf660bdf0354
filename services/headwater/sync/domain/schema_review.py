"""What the monthly review finds: how a CRM's schema has changed, what of it the mappings do not fit, old versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from headwater.connectors.base.describing import ApiVersions, FieldShape
from headwater.policy.document import PolicyDocument
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.sweep_plans import SweepPlan

BEHIND_MAX: Final = 9
"""Versions newer than the one in use from which on it is time to move: three years at three releases a year."""
CONFLICTS: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset({"bool", "boolean", "date", "datetime"}),
    "integer": frozenset({"bool", "boolean", "date", "datetime"}),
    "boolean": frozenset({"number", "double", "int", "currency", "date", "datetime"}),
    "date": frozenset({"number", "double", "int", "currency", "bool", "boolean"}),
    "datetime": frozenset({"number", "double", "int", "currency", "bool", "boolean"}),
}
"""Canonical type to the vendors' types that cannot hold it."""

Schema = Mapping[str, FieldShape]


class Finding(msgspec.Struct, frozen=True):
    """One thing that somebody should look at.

    Args:
        where: CRM object and field, as `contacts.phone`; empty for the whole account.
        what: a word for its kind.
    """

    where: str
    what: str
    detail: str


def pack_schema(schema: Schema) -> dict[str, Any]:
    """Return a schema as reports keep it."""
    return {
        name: [item.type, list(item.options), item.required, item.writable] for name, item in schema.items()
    }


def unpack_schema(packed: Mapping[str, Any]) -> dict[str, FieldShape]:
    """Return a schema of a report."""
    return {
        name: FieldShape(kind, tuple(options), required, writable)
        for name, (kind, options, required, writable) in packed.items()
    }


def changes_of(crm_object: str, before: Schema, now: Schema, mapped: frozenset[str]) -> Iterator[Finding]:
    """Yield what has changed since the last review: of mapped fields everything, of others what is required now."""
    for name in sorted(mapped & before.keys()):
        where, old, new = f"{crm_object}.{name}", before[name], now.get(name)
        if new is None:
            yield Finding(where, "gone", "the field is no longer there, or the connected user may not see it")
            continue
        if new.type != old.type:
            yield Finding(where, "type", f"was {old.type}, is {new.type}")
        if old.writable and not new.writable:
            yield Finding(where, "read-only", "the connected user may no longer write it")
        if lost := sorted(set(old.options) - set(new.options)):
            yield Finding(where, "picklist", f"no longer offers {', '.join(lost)}")
        if fresh := sorted(set(new.options) - set(old.options)):
            yield Finding(where, "picklist", f"offers {', '.join(fresh)}, too")
    for name, item in sorted(now.items()):
        if before and item.required and not (name in before and before[name].required):
            yield Finding(f"{crm_object}.{name}", "required", "a new record must have it from now on")


def misfits_of(document: PolicyDocument, plan: SweepPlan, now: Schema) -> Iterator[Finding]:
    """Yield what of the mappings the CRM does not fit."""
    for name in plan.swept.fields:
        if name not in now:
            where = f"{plan.crm_object}.{name}"
            yield Finding(where, "mapping", "mapped, and not there, or the connected user may not see it")
    for object_name, outbound in plan.written.items():
        fields = document.objects[object_name].fields
        for name, item in outbound.fields.items():
            shape, held = now.get(name), fields.get(item.field or "")
            if shape is None:
                continue
            where = f"{plan.crm_object}.{name}"
            if not shape.writable:
                yield Finding(where, "mapping", "mapped to be written, and read-only")
            if held is not None and shape.type in CONFLICTS.get(held.type, ()) and not item.expr:
                yield Finding(
                    where, "mapping", f"{object_name}.{item.field} is {held.type}, the CRM's is {shape.type}"
                )
            if held is not None and shape.options:
                written = [item.values.get(one, one) for one in held.allowed]
                if lacking := sorted(set(written) - set(shape.options)):
                    yield Finding(where, "mapping", f"the CRM does not offer {', '.join(lacking)}")
        yield from _unfilled(plan.crm_object, outbound, now)


def _unfilled(crm_object: str, outbound: OutboundObject, now: Schema) -> Iterator[Finding]:
    filled = {name.lower() for name in (*outbound.fields, *outbound.references, outbound.external_id)}
    for name, item in sorted(now.items()):
        if item.required and name.lower() not in filled:
            yield Finding(
                f"{crm_object}.{name}", "required", "no mapping writes it: new records would be refused"
            )


def version_findings(versions: ApiVersions | None) -> Iterator[Finding]:
    """Yield what is to be said of the version of the API in use."""
    if versions is None or not versions.served:
        return
    if versions.used not in versions.served:
        yield Finding("", "API version", f"{versions.used} is not served: {versions.served[0]} is the oldest")
        return
    behind = len(versions.served) - 1 - versions.served.index(versions.used)
    if behind >= BEHIND_MAX or versions.used == versions.served[0]:
        newest = versions.served[-1]
        yield Finding(
            "", "API version", f"{versions.used} is {behind} versions behind {newest}: move before it ends"
        )
