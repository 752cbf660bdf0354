"""What of a CRM is read and compared when Headwater and it are reconciled: one plan for each of its objects. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from headwater.connectors.base import Seen
from headwater.connectors.base.sweeping import Swept
from headwater.kernel.ids import ObjectName, parse_uuid
from headwater.policy.document import PolicyDocument
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.delivering import to_read, to_target
from headwater.sync.domain.polling import poll_plans

_canonical = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What is compared of one object of an account.

    Args:
        system: the account's system: source of what is read.
        polled: canonical object that its records are read as; None where they are only written.
        polled_fields: CRM fields of an event about a record of it.
        written: canonical object to the mapping that writes it.
        critical: canonical object to the fields that must agree; empty: all.
    """

    system: str
    swept: Swept
    polled: ObjectName | None
    polled_fields: tuple[str, ...]
    written: Mapping[ObjectName, OutboundObject]
    critical: Mapping[ObjectName, frozenset[str]]
    external_ids: tuple[str, ...]

    @property
    def crm_object(self) -> str:
        """The CRM's name of the object."""
        return self.swept.crm_object

    def fingerprint(self) -> str:
        """Return what tells whether something else would be compared."""
        mappings = {
            name: [item.model_dump(mode="json"), sorted(item.if_empty)]
            if item.if_empty
            else item.model_dump(mode="json")
            for name, item in self.written.items()
        }
        held = [self.system, self.swept.fields, self.polled or "", mappings, *self.swept.references]
        critical = {name: sorted(fields) for name, fields in self.critical.items()}
        return hashlib.blake2b(_canonical([held, critical]), digest_size=12).hexdigest()


def sweep_plans(document: PolicyDocument, connector: str) -> dict[str, SweepPlan]:
    """Return what is compared of an account, by CRM object; nothing where the policy asks for nothing."""
    section = document.reconcile
    policy = document.connectors[connector]
    if section is None or not section.concerns(connector):
        return {}
    written: dict[str, dict[ObjectName, OutboundObject]] = {}
    for object_name, outbounds in policy.written.items():
        for outbound in outbounds if object_name in section.critical else ():
            written.setdefault(outbound.target, {}).setdefault(object_name, outbound)
    polls = {
        name: plan
        for name, plan in poll_plans(document, connector).items()
        if plan.object_name in section.critical
    }
    critical = {name: frozenset(item.fields) for name, item in section.critical.items()}
    plans: dict[str, SweepPlan] = {}
    for crm_object in dict.fromkeys([*written, *polls]):
        poll, mappings = polls.get(crm_object), written.get(crm_object, {})
        targets = [to_read(to_target(name, item), item) for name, item in mappings.items()]
        ids = tuple(dict.fromkeys(item.external_id_field for item in targets))
        read = poll.polled.fields if poll else ()
        fields = tuple(dict.fromkeys([*read, *ids, *(one for item in targets for one in item.fields)]))
        references = tuple(dict.fromkeys(name for item in mappings.values() for name in item.references))
        marked = "" if poll or len(ids) != 1 else ids[0]
        plans[crm_object] = SweepPlan(
            policy.system,
            Swept(crm_object, fields, marked, references),
            poll.object_name if poll else None,
            read,
            mappings,
            critical,
            ids,
        )
    return plans


def marks_of(plan: SweepPlan, seen: Seen) -> uuid.UUID | None:
    """Return the entity whose id a record carries."""
    found = (parse_uuid(str(seen.fields.get(name) or "")) for name in plan.external_ids)
    return next((item for item in found if item is not None), None)
