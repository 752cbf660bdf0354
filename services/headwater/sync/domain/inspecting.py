"""What a bulk change would run into at an account: automations that fire, and fields that nothing fills. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headwater.connectors.base import WriteConditions
from headwater.policy.document import ConnectorPolicy
from headwater.sync.domain.delivering import connector_targets

UNCHECKED: Final = "unchecked"
"""Kind and name of the finding that nobody knows what the account would do."""
REQUIRED_FIELD: Final = "required field"
"""Kind of the finding that the CRM wants a field which the mapping does not write."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an account told of its conditions.

    Args:
        conditions: CRM object to what meets its records.
        hindrance: why the account could not be asked; empty when it was.
    """

    conditions: Mapping[str, WriteConditions] = field(default_factory=dict)
    hindrance: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an operator must know of before records are written in bulk.

    Args:
        kind: `workflow`, `flow`, `process`, `trigger`, `duplicate rule`, `required field` or `unchecked`.
        crm_object: empty when it concerns the whole account.
        name: what it is acknowledged by: the automation's or the field's name.
        detail: what follows from it.
    """

    kind: str
    crm_object: str
    name: str
    detail: str

    @property
    def label(self) -> str:
        """The finding in the words of messages and of the audit."""
        return f"{self.kind} {self.crm_object}: {self.name}" if self.crm_object else self.kind


def objects_written(policy: ConnectorPolicy, object_name: str) -> tuple[str, ...]:
    """Return the CRM objects that a change may write; *object_name* empty: of every canonical object."""
    return tuple(
        dict.fromkeys(
            target.crm_object
            for target in connector_targets(policy)
            if object_name in {"", target.object_name}
        )
    )


def findings_of(policy: ConnectorPolicy, object_name: str, inspection: Inspection) -> tuple[Finding, ...]:
    """Return everything found out about the objects that a change may write."""
    if inspection.hindrance:
        return (Finding(UNCHECKED, "", UNCHECKED, inspection.hindrance),)
    found: list[Finding] = []
    for crm_object in objects_written(policy, object_name):
        conditions = inspection.conditions.get(crm_object, WriteConditions())
        found.extend(
            Finding(item.kind.value, crm_object, item.name, "may act on every record that is written")
            for item in conditions.automations
        )
        found.extend(
            Finding(REQUIRED_FIELD, crm_object, name, "no mapping writes it: new records would be refused")
            for name in _unfilled(policy, crm_object, conditions.required)
        )
    return tuple(found)


def unacknowledged(findings: Sequence[Finding], names: Collection[str]) -> tuple[Finding, ...]:
    """Return the findings that keep a rollout from beginning: those whose name is not among *names*."""
    return tuple(item for item in findings if item.name not in names)


def _unfilled(policy: ConnectorPolicy, crm_object: str, required: Sequence[str]) -> tuple[str, ...]:
    """Return the required fields that some mapping to the object leaves empty; names are compared without case."""
    filled = [
        {name.lower() for name in (target.external_id_field, *target.fields, *target.references)}
        for target in connector_targets(policy)
        if target.crm_object == crm_object
    ]
    return tuple(name for name in required if any(name.lower() not in names for names in filled))
