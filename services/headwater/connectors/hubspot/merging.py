"""Merging records in HubSpot, and undoing it: plans are pure, `HubSpotMerges` orders the calls.

A merge makes a new record with a new id, which the old ids lead to; HubSpot cannot undo it. Undoing here takes from the
survivor what the other brought, makes the other anew from its snapshot under another new id, and ties it as it was.

Source: CRM API v3 (objects, merge) and v4 (associations), Contacts API v1 (secondary email), HubSpot's article on
merging records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from headwater.connectors.base.errors import CallFailed, ErrorClass
from headwater.connectors.base.http import Request, required_json
from headwater.connectors.base.merging import (
    RESTORED,
    Link,
    Merged,
    Present,
    Snapshot,
    Step,
    StepKind,
    Terms,
    fields_to_restore,
    links_to_move,
)
from headwater.connectors.base.oauth import AuthorizedHttp
from headwater.connectors.hubspot import merging_wire as wire
from headwater.connectors.hubspot.errors import error_of, error_of_entry
from headwater.connectors.hubspot.wire import read_only

Properties = Callable[[str], Awaitable[Mapping[str, Mapping[str, Any]]]]
"""Fetches the property definitions of an object."""

TIES: Final[Mapping[str, tuple[str, ...]]] = {
    "contacts": ("companies", "deals", "leads", "emails", "calls", "meetings", "notes", "tasks"),
    "companies": ("contacts", "deals", "leads", "emails", "calls", "meetings", "notes", "tasks"),
    "deals": ("contacts", "companies", "emails", "calls", "meetings", "notes", "tasks"),
}
"""Object that can be merged to the objects whose associations are kept in a snapshot."""
SECOND_ADDRESSES: Final = "hs_additional_emails"
ADDRESS: Final = "email"

_OK: Final = frozenset({200, 201, 204, 207})
_NOT_FOUND: Final = 404
_TERMS: Final = Terms(
    fate="it goes into a new record with a new id; its old id leads there",
    not_undone="HubSpot cannot undo a merge",
    compensation="it is made anew from its snapshot, with a new id and its external id; its associations move back and "
    "its address is given up by the survivor. Its property history, list memberships, associations with other kinds of "
    "objects and read-only values stay with the survivor, whose id stays the new one",
)


class HubSpotMerges:
    """Port `Merging` for one HubSpot account."""

    def __init__(self, http: AuthorizedHttp, properties: Properties) -> None:
        self._http = http
        self._properties = properties

    def merge_terms(self, crm_object: str) -> Terms | None:
        """Return what a merge means; see the port."""
        return _TERMS if crm_object in TIES else None

    def foreseen(self, survivor: Snapshot, loser: Snapshot) -> Mapping[str, Any]:
        """Return what the survivor gets: the other's values where it has none, and its address as a second one."""
        filled = {
            name: value
            for name, value in loser.fields.items()
            if name not in survivor.fields and name in survivor.writable
        }
        if survivor.fields.get(ADDRESS) and loser.fields.get(ADDRESS):
            second = [*_second(survivor), *_second(loser), str(loser.fields[ADDRESS])]
            filled[SECOND_ADDRESSES] = ";".join(dict.fromkeys(second))
        return filled

    def plan_merge(self, survivor: Snapshot, loser: Snapshot) -> Sequence[Step]:
        """Return the one call."""
        return (Step(StepKind.MERGE, survivor.crm_object, survivor.crm_id, loser.crm_id),)

    def plan_undo(self, merged: Merged, present: Present, key: str) -> Sequence[Step]:
        """Return the steps of the undoing; what has to be unique is given up first."""
        crm_object, survivor_id = present.survivor.crm_object, present.survivor.crm_id
        loser = merged.loser
        restored = fields_to_restore(merged, present)
        address = loser.fields.get(ADDRESS)
        if address and present.survivor.fields.get(ADDRESS) == address:
            restored[ADDRESS] = merged.survivor.fields.get(ADDRESS)
        own = {str(address or ""), *_second(loser)} - {""}
        freed = [one for one in _second(present.survivor) if one in own]
        lost, tied = links_to_move(merged, present)
        fields = {name: value for name, value in loser.fields.items() if name in loser.writable}
        steps = (
            Step(StepKind.SET, crm_object, survivor_id, fields=restored) if restored else None,
            Step(StepKind.FREE, crm_object, survivor_id, fields={ADDRESS: freed}) if freed else None,
            Step(StepKind.UNLINK, crm_object, survivor_id, links=lost) if lost else None,
            Step(StepKind.CREATE, crm_object, key=key, fields=fields),
            Step(StepKind.LINK, crm_object, RESTORED, links=tied) if tied else None,
        )
        return tuple(step for step in steps if step is not None)

    async def snapshots(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """Return records with every property and association; see the port."""
        definitions = await self._properties(crm_object)
        writable = tuple(sorted(name for name, one in definitions.items() if not read_only(one)))
        body = await self._send(wire.read_whole(crm_object, sorted(definitions), crm_ids), writes=False)
        found = wire.read_records(body, crm_ids)
        links = await self._links(crm_object, [crm_id for crm_id, _ in found.values()])
        return {
            asked: Snapshot(crm_object, crm_id, fields, links.get(crm_id, ()), writable)
            for asked, (crm_id, fields) in found.items()
        }

    async def perform(self, step: Step) -> str:
        """Perform a step; see the port."""
        match step.kind:
            case StepKind.MERGE:
                return wire.record_id(await self._send(wire.merge(step)))
            case StepKind.CREATE:
                return wire.record_id(await self._send(wire.create(step)))
            case StepKind.SET:
                await self._send(wire.change(step))
            case StepKind.FREE:
                for address in step.fields[ADDRESS]:
                    await self._send(wire.give_up_address(step.crm_id, address), absent=True)
            case StepKind.UNLINK | StepKind.LINK:
                await self._tie(step)
            case _:
                raise ValueError(f"HubSpot knows no {step.kind}")
        return step.crm_id

    async def performed(self, step: Step) -> str:
        """Look whether a merge or a creation was performed; see the port."""
        if step.kind is StepKind.MERGE:
            found = wire.read_records(
                await self._send(
                    wire.read_whole(step.crm_object, [wire.MERGED_IDS], [step.crm_id]), writes=False
                ),
                [step.crm_id],
            )
            crm_id, fields = found.get(step.crm_id, ("", {}))
            merged = str(fields.get(wire.MERGED_IDS, "")).split(";")
            return (
                crm_id if {step.crm_id, step.other_id} <= {*merged, crm_id} and crm_id != step.crm_id else ""
            )
        if step.kind is StepKind.CREATE:
            value = str(step.fields[step.key])
            return wire.first_id(
                await self._send(wire.read_by(step.crm_object, step.key, value), writes=False)
            )
        return ""

    async def _tie(self, step: Step) -> None:
        for other, links in wire.by_object(step.links).items():
            build = wire.untie if step.kind is StepKind.UNLINK else wire.tie
            for request in build(step.crm_object, step.crm_id, other, links):
                for entry in wire.refusals(await self._send(request)):
                    error = error_of_entry(entry, 400)
                    if (
                        error.error_class is not ErrorClass.NOT_FOUND
                    ):  # the other record is gone: nothing to tie
                        raise CallFailed(error)

    async def _links(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, tuple[Link, ...]]:
        links: dict[str, list[Link]] = {}
        for other in TIES.get(crm_object, ()) if crm_ids else ():
            body = await self._send(wire.read_ties(crm_object, other, crm_ids), writes=False)
            for crm_id, link in wire.read_links(body, other):
                links.setdefault(crm_id, []).append(link)
        return {crm_id: tuple(sorted(several)) for crm_id, several in links.items()}

    async def _send(self, request: Request, *, writes: bool = True, absent: bool = False) -> Any:
        answer = await self._http.send(request)
        if answer.status == _NOT_FOUND and absent:
            return None
        if answer.status not in _OK:
            raise CallFailed(error_of(answer, writes=writes))
        return required_json(answer, writes=writes) if answer.body else None


def _second(snapshot: Snapshot) -> list[str]:
    return [part for part in str(snapshot.fields.get(SECOND_ADDRESSES) or "").split(";") if part]
