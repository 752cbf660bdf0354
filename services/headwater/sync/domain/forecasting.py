"""What a merge or a split would do in an account, as people are shown it before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headwater.connectors.base import Snapshot, Step, StepKind, Terms


class FieldChange(msgspec.Struct, frozen=True):
    """A field of the surviving record that changes."""

    field: str
    before: str
    after: str


class Forecast(msgspec.Struct, frozen=True):
    """What would be done in one account.

    Args:
        mode: `merge`, `undo`, `link_only` (the policy has nothing merged there) or `nothing`.
        survivor_id, loser_id: CRM ids; empty where there is no record.
        changes: of the record that stays, by the vendor or by our undoing.
        steps: what is sent, a sentence each.
        calls: calls that write; reads for the snapshots come to them.
        notes: what becomes of the other record, what the vendor does not undo, how our undoing makes up for it.
        hindrance: why nothing can be said or done; empty when it can.
    """

    connector: str
    mode: str
    crm_object: str = ""
    survivor_id: str = ""
    loser_id: str = ""
    changes: tuple[FieldChange, ...] = ()
    steps: tuple[str, ...] = ()
    calls: int = 0
    notes: tuple[str, ...] = ()
    hindrance: str = ""


def forecast_merge(
    connector: str,
    survivor: Snapshot,
    loser: Snapshot,
    foreseen: Mapping[str, Any],
    steps: Sequence[Step],
    terms: Terms,
) -> Forecast:
    """Return what merging two records would do."""
    changes = tuple(
        FieldChange(name, _text(survivor.fields.get(name)), _text(value))
        for name, value in sorted(foreseen.items())
    )
    moving = loser.tied() - survivor.tied()
    moves = (f"{len(moving)} ties of {loser.crm_id} go to the survivor",) if moving else ()
    return Forecast(
        connector, "merge", survivor.crm_object, survivor.crm_id, loser.crm_id, changes,
        tuple(sentence(step) for step in steps) + moves, calls_of(steps),
        (terms.fate, terms.not_undone, terms.compensation),
    )  # fmt: skip


def forecast_undo(
    connector: str, survivor: Snapshot, loser: Snapshot, steps: Sequence[Step], terms: Terms
) -> Forecast:
    """Return what taking two records apart would do."""
    changes = tuple(
        FieldChange(name, _text(survivor.fields.get(name)), _text(value))
        for step in steps
        if step.kind is StepKind.SET and step.crm_id == survivor.crm_id
        for name, value in sorted(step.fields.items())
    )
    return Forecast(
        connector, "undo", survivor.crm_object, survivor.crm_id, loser.crm_id, changes,
        tuple(sentence(step) for step in steps), calls_of(steps), (terms.not_undone, terms.compensation),
    )  # fmt: skip


def calls_of(steps: Sequence[Step]) -> int:
    """Return how many calls the steps take, none of them repeated."""
    return sum(_calls(step) for step in steps)


def _calls(step: Step) -> int:
    match step.kind:
        case StepKind.FREE:
            return sum(len(several) for several in step.fields.values())
        case StepKind.LINK | StepKind.UNLINK:
            return len({link.name for link in step.links})
        case _:
            return 1


def sentence(step: Step) -> str:
    """Return a step in words."""
    where = f"{step.crm_object} {step.crm_id}".strip()
    match step.kind:
        case StepKind.MERGE:
            return f"merge {step.crm_object} {step.other_id} into {step.crm_id}"
        case StepKind.UNDELETE:
            return f"take {where} out of the bin"
        case StepKind.CREATE:
            return f"make {step.crm_object} anew with {len(step.fields)} fields; it gets a new id"
        case StepKind.SET:
            return f"set {', '.join(sorted(step.fields))} of {where}"
        case StepKind.FREE:
            return f"{where} gives up {', '.join(str(one) for several in step.fields.values() for one in several)}"
        case StepKind.UNLINK:
            return f"{where} loses {len(step.links)} ties"
        case StepKind.LINK:
            return f"{len(step.links)} ties go back to the record that was merged"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
