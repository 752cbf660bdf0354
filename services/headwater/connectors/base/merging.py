"""Merging records in a CRM, and undoing it: snapshots, steps, and the part of a connector that takes them.

What a vendor does in a merge differs, so each vendor's plans are pure functions of its own package; steps are a closed
set that every vendor performs in its own words. A step is performed once in effect: one whose answer was lost is
looked at before it is sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

RESTORED: Final = "#restored"
"""Stands in a step for the record that the plan brings back, whose id an earlier step finds out."""


class Link(msgspec.Struct, frozen=True, order=True):
    """A tie between a record and another one.

    Args:
        name: where the tie is, in the vendor's words: an object (`companies`), or a child's field (`Task.WhoId`).
        other_id: the other record.
        kinds: the vendor's types of it, as `HUBSPOT_DEFINED/279`; empty where there is one only.
    """

    name: str
    other_id: str
    kinds: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """A record as the vendor's API gives it, whole.

    Args:
        fields: every field that has a value, in the vendor's own form.
        links: what it is tied to.
        writable: fields that can be set.
        deleted: it is in the vendor's bin, and can be taken out.
        required: fields that cannot be emptied.
    """

    crm_object: str
    crm_id: str
    fields: dict[str, Any] = {}
    links: tuple[Link, ...] = ()
    writable: tuple[str, ...] = ()
    deleted: bool = False
    required: tuple[str, ...] = ()

    def tied(self) -> frozenset[tuple[str, str]]:
        """Return what it is tied to, whatever the types."""
        return frozenset((link.name, link.other_id) for link in self.links)


class StepKind(StrEnum):
    """What a step does."""

    MERGE = "merge"
    """Put record `other_id` into `crm_id`."""
    UNDELETE = "undelete"
    """Take `crm_id` out of the bin."""
    CREATE = "create"
    """Make a record of `fields` anew; found again by its value of `key`."""
    SET = "set"
    """Set `fields` of `crm_id`; empty clears."""
    FREE = "free"
    """Let `crm_id` give up the second addresses in `fields`, so that another record may have them."""
    UNLINK = "unlink"
    """Untie `links` from `crm_id`."""
    LINK = "link"
    """Tie `links` to `crm_id`."""


class Step(msgspec.Struct, frozen=True):
    """One write of a plan."""

    kind: StepKind
    crm_object: str
    crm_id: str = ""
    other_id: str = ""
    key: str = ""
    fields: dict[str, Any] = {}
    links: tuple[Link, ...] = ()

    @property
    def repeatable(self) -> bool:
        """Whether performing it twice changes nothing, so that a lost answer need not be looked at."""
        return self.kind in {StepKind.SET, StepKind.FREE, StepKind.UNLINK, StepKind.LINK}

    def on(self, restored_id: str) -> Step:
        """Return the step with the id of the record that was brought back."""
        return msgspec.structs.replace(self, crm_id=restored_id) if self.crm_id == RESTORED else self


class Merged(msgspec.Struct, frozen=True):
    """A merge that was done, as its undoing needs it.

    Args:
        survivor: the record that stays, as it was before.
        loser: the record that goes, as it was before.
        after: the survivor right after; its id may be a new one.
    """

    survivor: Snapshot
    loser: Snapshot
    after: Snapshot


class Present(msgspec.Struct, frozen=True):
    """What there is when a merge is undone.

    Args:
        survivor: the record that has the loser's data now; it may have been merged on since.
        loser: what the vendor still has under the loser's own id; None when nothing.
        staying: records whose data stays in it, as they were.
        moved_on: the survivor of the merge went into another record since.
    """

    survivor: Snapshot
    loser: Snapshot | None = None
    staying: tuple[Snapshot, ...] = ()
    moved_on: bool = False


class Terms(msgspec.Struct, frozen=True):
    """What a vendor's merge means, in sentences for people.

    Args:
        fate: what becomes of the record that goes.
        not_undone: what the vendor does not undo.
        compensation: how our undoing makes up for it, and what it cannot bring back.
    """

    fate: str
    not_undone: str
    compensation: str


class Merging(Protocol):
    """What a connector offers beside deliveries when its vendor can merge records."""

    def merge_terms(self, crm_object: str) -> Terms | None:
        """Return what a merge of *crm_object* means; None when such records cannot be merged."""
        ...

    def foreseen(self, survivor: Snapshot, loser: Snapshot) -> Mapping[str, Any]:
        """Return the fields of the survivor that the vendor's merge will change, with their values. Pure."""
        ...

    def plan_merge(self, survivor: Snapshot, loser: Snapshot) -> Sequence[Step]:
        """Return the steps that merge *loser* into *survivor*. Pure."""
        ...

    def plan_undo(self, merged: Merged, present: Present, key: str) -> Sequence[Step]:
        """Return the steps that bring the loser back and take from the survivor what came with it. Pure.

        Args:
            key: the external id field.
        """
        ...

    async def snapshots(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """Return records whole, by the id asked for; ones in the vendor's bin are `deleted`, others left out.

        Raises: CallFailed.
        """
        ...

    async def perform(self, step: Step) -> str:
        """Perform *step* and return the id of the record that it leaves.

        Raises: CallFailed; IN_DOUBT when it may have been performed.
        """
        ...

    async def performed(self, step: Step) -> str:
        """Return the id of the record that *step* left; empty when it was not performed. Raises: CallFailed."""
        ...


@runtime_checkable
class Mergeable(Protocol):
    """A connector whose vendor can merge records."""

    @property
    def merging(self) -> Merging:
        """The part of the connector that merges, on the same account and gate."""
        ...


def without(snapshot: Snapshot, lost: Snapshot, kept: Sequence[Snapshot]) -> Snapshot:
    """Return *snapshot* without what only *lost* had brought: ties and values that none of *kept* has. Pure."""
    tied = frozenset[tuple[str, str]]().union(*(one.tied() for one in kept))
    foreign = lost.tied() - tied
    links = tuple(link for link in snapshot.links if (link.name, link.other_id) not in foreign)
    brought = set(_only_of(lost, snapshot, kept))
    fields = {name: value for name, value in snapshot.fields.items() if name not in brought}
    return msgspec.structs.replace(snapshot, fields=fields, links=links)


def _only_of(lost: Snapshot, shown: Snapshot, kept: Sequence[Snapshot]) -> Iterator[str]:
    for name, value in lost.fields.items():
        if shown.fields.get(name) == value and all(one.fields.get(name) != value for one in kept):
            yield name


def fields_to_restore(merged: Merged, present: Present) -> dict[str, Any]:
    """Return what the survivor must be set to, so that what the merge gave it is gone. Pure.

    Only where nobody changed it since. Where the survivor went into another record, what is only the loser's goes; what
    cannot be empty waits for the survivor's own delivery.
    """
    writable = merged.survivor.writable
    if present.moved_on:
        kept = (merged.survivor, *present.staying)
        restored = dict.fromkeys(
            name for name in _only_of(merged.loser, present.survivor, kept) if name in writable
        )
    else:
        before, after, now = merged.survivor.fields, merged.after.fields, present.survivor.fields
        restored = {
            name: before.get(name)
            for name in writable
            if after.get(name) != before.get(name) and now.get(name) == after.get(name)
        }
    required = present.survivor.required
    return {name: value for name, value in restored.items() if value is not None or name not in required}


def links_to_move(merged: Merged, present: Present) -> tuple[tuple[Link, ...], tuple[Link, ...]]:
    """Return which ties the survivor loses and which the loser gets back. Pure.

    The survivor keeps what it had itself and what others have that stay merged into it.
    """
    kept = merged.survivor.tied().union(*(one.tied() for one in present.staying))
    tied = present.survivor.tied()
    lost = tuple(
        link
        for link in merged.loser.links
        if (link.name, link.other_id) in tied and (link.name, link.other_id) not in kept
    )
    return lost, merged.loser.links
