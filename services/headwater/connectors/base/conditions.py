"""The port of a vendor that can be asked what meets a record that is written: automations, and fields it must have.

Asked before many records are written at once: a workflow that greets one new contact greets forty thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class AutomationKind(StrEnum):
    """What acts, or refuses, when a record is written."""

    WORKFLOW = "workflow"
    FLOW = "flow"
    PROCESS = "process"
    TRIGGER = "trigger"
    DUPLICATE_RULE = "duplicate rule"


@dataclass(frozen=True, slots=True)
class Automation:
    """One automation that is switched on.

    Args:
        name: as people of the CRM know it.
    """

    kind: AutomationKind
    name: str


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """What meets the records of one object when they are written.

    Args:
        automations: everything switched on that may fire, whatever its criteria; no promise that it will.
        required: fields that a new record must have, and that the CRM does not fill by itself.
    """

    automations: tuple[Automation, ...] = ()
    required: tuple[str, ...] = ()


@runtime_checkable
class Inspectable(Protocol):
    """A connector that can be asked for the conditions of writing."""

    async def conditions(self, crm_object: str) -> WriteConditions:
        """Return what meets records of *crm_object* that are written now; a handful of calls.

        Raises: CallFailed, also where the connected user may not see automations: then nobody knows.
        """
        ...
