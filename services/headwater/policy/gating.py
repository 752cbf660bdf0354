"""What must agree in the parts about writing: roles, approvals, consent, schedules. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headwater.kernel.ids import ObjectName
from headwater.policy.authority import ROLE
from headwater.policy.document import PolicyDocument
from headwater.policy.faults import Fault, nearest
from headwater.policy.outbound_mapping import OutboundObject
from headwater.policy.writing import Consent, Withhold


def gate_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield what is missing or contradictory in roles, approvals, consent and schedules."""
    for name, consent in document.consent.items():
        yield from _consent_faults(f"consent.{name}", consent, document)
    yield from _actor_faults("override", document.override, document)
    for object_name, policy in document.objects.items():
        for place, _, names, item in policy.units():
            path = f"objects.{object_name}.{place}"
            yield from _actor_faults(f"{path}.override", item.override or (), document)
            if item.rule == "most_restrictive" and not _says_consent(document, object_name, names[0]):
                message = "no purpose under consent says which of its values refuses"
                yield Fault(f"{path}.rule", "consent_unused", message)
    for name, approval in document.approval.items():
        path = f"approval.{name}"
        yield from _account_faults(path, approval.accounts, document)
        yield from _actor_faults(f"{path}.approvers", approval.approvers, document)
        yield from _approved_faults(path, approval.objects, approval.fields, document)
    for name, schedule in document.schedules.items():
        yield from _account_faults(f"schedules.{name}", schedule.accounts, document)


def withhold_faults(
    path: str, document: PolicyDocument, object_name: ObjectName, target: OutboundObject
) -> Iterator[Fault]:
    """Yield what is wrong in what a mapping withholds from a CRM, and in what it removes there."""
    if target.deletes == "remove" and "state" not in target.end_marks.values():
        message = "removes records that nothing has marked before: nobody could see them in their grace"
        yield Fault(f"{path}.deletes", "remove_marked", message)
    written = {item.field for item in target.fields.values()} | set(target.references.values())
    for purpose, item in target.consent.items():
        place = f"{path}.consent.{purpose}"
        known = document.consent.get(purpose)
        if known is None:
            message = f"{purpose!r} is not under consent"
            yield Fault(place, "known_purpose", message, nearest(purpose, document.consent))
        elif known.object != object_name:
            yield Fault(
                place, "consent_object", f"{purpose} is asked of {known.object}, not of {object_name}"
            )
        yield from _withhold_faults(place, item, target, {name for name in written if name})


def _withhold_faults(
    place: str, item: Withhold, target: OutboundObject, written: set[str]
) -> Iterator[Fault]:
    if (item.withhold == "fields") != bool(item.fields):
        yield Fault(f"{place}.fields", "withhold_fields", f"withhold is {item.withhold}")
    for name in item.fields:
        if name not in written:
            message = f"{name!r} is not written by this mapping"
            yield Fault(f"{place}.fields", "withhold_mapped", message, nearest(name, written))
    if item.withhold == "nothing" and not item.flags:
        yield Fault(place, "withhold_something", "withholds nothing and sets no flag")
    for crm_field in item.flags:
        if crm_field in target.fields or crm_field in target.end_marks:
            message = f"{crm_field!r} is filled by the mapping itself"
            yield Fault(f"{place}.flags.{crm_field}", "flag_alone", message)


def _says_consent(document: PolicyDocument, object_name: str, field: str) -> bool:
    return any(
        item.object == object_name and (field in item.opted_out or field in item.granted)
        for item in document.consent.values()
    )


def _actor_faults(path: str, actors: Iterable[str], document: PolicyDocument) -> Iterator[Fault]:
    for actor in actors:
        role = actor.removeprefix(ROLE)
        if actor.startswith(ROLE) and role not in document.roles:
            yield Fault(path, "known_role", f"{role!r} is not under roles", nearest(role, document.roles))


def _account_faults(path: str, accounts: Iterable[str], document: PolicyDocument) -> Iterator[Fault]:
    for name in accounts:
        if name not in document.connectors:
            message = f"{name!r} is not under connectors"
            yield Fault(f"{path}.accounts", "known_account", message, nearest(name, document.connectors))


def _approved_faults(
    path: str, objects: Iterable[ObjectName], fields: Iterable[str], document: PolicyDocument
) -> Iterator[Fault]:
    named = tuple(objects)
    for name in named:
        if name not in document.objects:
            yield Fault(f"{path}.objects", "known_object", f"{name!r} is not under objects")
    known = {
        field for name in named or document.objects if name in document.objects
        for field in document.objects[name].fields
    }  # fmt: skip
    for field in fields:
        if field not in known:
            message = f"{field!r} is not a field of these objects"
            yield Fault(f"{path}.fields", "known_field", message, nearest(field, known))


def _consent_faults(path: str, consent: Consent, document: PolicyDocument) -> Iterator[Fault]:
    policy = document.objects.get(consent.object)
    if policy is None:
        yield Fault(f"{path}.object", "known_object", f"{consent.object!r} is not under objects")
        return
    if not (consent.opted_out or consent.granted):
        yield Fault(path, "consent_says", "names no field that says whether somebody agrees")
    rules = {name: item.rule for _, _, names, item in policy.units() for name in names}
    for part, fields in (("opted_out", consent.opted_out), ("granted", consent.granted)):
        for name in fields:
            if name not in policy.fields:
                message = f"{name!r} is not a field of {consent.object}"
                yield Fault(f"{path}.{part}.{name}", "known_field", message, nearest(name, policy.fields))
            elif rules.get(name) != "most_restrictive":
                message = f"{name!r} is decided by {rules.get(name)}: a refusal could be lost in a merge"
                yield Fault(f"{path}.{part}.{name}", "consent_rule", message)
