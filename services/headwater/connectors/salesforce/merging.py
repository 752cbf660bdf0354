"""Merging records in Salesforce, and undoing it: plans are pure, `SalesforceMerges` orders the calls.

A merge deletes the other record into the bin and re-parents what refers to it. Undoing here takes it out of the bin
while it is there, else makes it anew; what was re-parented and still is with the survivor goes back to it.

Source: SOAP API Developer Guide (merge, undelete); REST API Developer Guide (sObject rows, collections, query).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Answer, Request, required_json
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
from headwater.connectors.salesforce import merging_wire as wire
from headwater.connectors.salesforce.errors import error_of
from headwater.connectors.salesforce.wire import describe_request, query_all_request, query_request, read_page

CHILDREN: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "Account": (
        ("Account", "ParentId"),
        ("Asset", "AccountId"),
        ("Case", "AccountId"),
        ("Contact", "AccountId"),
        ("Contract", "AccountId"),
        ("Event", "WhatId"),
        ("Opportunity", "AccountId"),
        ("Task", "WhatId"),
    ),
    "Contact": (
        ("Asset", "ContactId"),
        ("Case", "ContactId"),
        ("Contact", "ReportsToId"),
        ("Event", "WhoId"),
        ("Task", "WhoId"),
    ),
    "Lead": (("Event", "WhoId"), ("Task", "WhoId")),
}
"""Object that can be merged to what refers to it and can be re-parented by the data API; custom look-ups are added."""
CHILDREN_MAX: Final = 2_000
"""Rows of one child that a snapshot holds: one page of a query."""

_OK: Final = frozenset({200, 201, 204})
_NOT_FOUND: Final = 404
_IN_BIN: Final = Terms(
    fate="it is deleted into the recycle bin; what refers to it refers to the survivor",
    not_undone="Salesforce takes it out of the bin within 15 days, and re-parents nothing back",
    compensation="it is taken out of the bin under its own id, or made anew from its snapshot with a new id when it is "
    "not there any more; what was re-parented and still is with the survivor goes back to it. Children of kinds that "
    "the data API cannot re-parent (feeds, shares, campaign members, contact roles) stay with the survivor",
)
_TOO_MANY: Final = VendorError(
    ErrorClass.VALIDATION,
    "TOO_MANY_CHILDREN",
    f"more than {CHILDREN_MAX} rows of one kind refer to the records",
)


class SalesforceMerges:
    """Port `Merging` for one Salesforce org."""

    def __init__(self, http: AuthorizedHttp, version: str) -> None:
        self._http = http
        self._version = version

    def merge_terms(self, crm_object: str) -> Terms | None:
        """Return what a merge means; see the port."""
        return _IN_BIN if crm_object in CHILDREN else None

    def foreseen(self, survivor: Snapshot, loser: Snapshot) -> Mapping[str, Any]:  # noqa: ARG002 - the master's stay
        """Return nothing: the master keeps its values, and none of the other's are taken."""
        return {}

    def plan_merge(self, survivor: Snapshot, loser: Snapshot) -> Sequence[Step]:
        """Return the one call."""
        return (Step(StepKind.MERGE, survivor.crm_object, survivor.crm_id, loser.crm_id),)

    def plan_undo(self, merged: Merged, present: Present, key: str) -> Sequence[Step]:
        """Return the steps of the undoing."""
        crm_object, loser = merged.loser.crm_object, merged.loser
        restored = {} if present.moved_on else fields_to_restore(merged, present)
        lost, _ = links_to_move(merged, present)
        fields = {name: value for name, value in loser.fields.items() if name in loser.writable}
        steps: list[Step] = []
        if restored:
            steps.append(Step(StepKind.SET, crm_object, present.survivor.crm_id, fields=restored))
        if present.loser is None:
            steps.append(Step(StepKind.CREATE, crm_object, key=key, fields=fields))
        elif present.loser.deleted:
            steps.append(Step(StepKind.UNDELETE, crm_object, loser.crm_id))
        else:
            steps.append(Step(StepKind.SET, crm_object, loser.crm_id, fields={key: fields[key]}))
        if lost:
            steps.append(Step(StepKind.LINK, crm_object, RESTORED, links=lost))
        return tuple(steps)

    async def snapshots(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """Return records with every field and what refers to them; see the port."""
        shape = await self._send(describe_request(self._version, crm_object), writes=False)
        writable = wire.writable(shape)
        links = await self._links(crm_object, shape, crm_ids)
        found: dict[str, Snapshot] = {}
        for crm_id in crm_ids:
            fields = await self._row(crm_object, crm_id)
            if fields is not None:
                found[crm_id] = Snapshot(
                    crm_object, crm_id, fields, links.get(crm_id, ()), writable, required=wire.required(shape)
                )
            elif await self._in_bin(crm_object, crm_id):
                found[crm_id] = Snapshot(crm_object, crm_id, writable=writable, deleted=True)
        return found

    async def perform(self, step: Step) -> str:
        """Perform a step; see the port."""
        match step.kind:
            case StepKind.MERGE:
                return await self._soap(wire.merge(self._version, step))
            case StepKind.UNDELETE:
                return await self._soap(wire.undelete(self._version, step))
            case StepKind.CREATE:
                return wire.made_id(await self._send(wire.create(self._version, step)))
            case StepKind.SET:
                await self._send(wire.change(self._version, step))
            case StepKind.LINK:
                for request in wire.parent(self._version, step):
                    wire.check_parented(await self._send(request))
            case _:
                raise ValueError(f"Salesforce knows no {step.kind}")
        return step.crm_id

    async def performed(self, step: Step) -> str:
        """Look whether a merge, an undeletion or a creation was performed; see the port."""
        if step.kind is StepKind.MERGE:
            return step.crm_id if await self._master_of(step) == step.crm_id else ""
        if step.kind is StepKind.UNDELETE:
            return step.crm_id if await self._row(step.crm_object, step.crm_id) is not None else ""
        if step.kind is StepKind.CREATE:
            soql = wire.by_key(step.crm_object, step.key, str(step.fields[step.key]))
            page = read_page(await self._send(query_request(self._version, soql), writes=False))
            return next((str(one["Id"]) for one in page.records), "")
        return ""

    async def _master_of(self, step: Step) -> str:
        soql = wire.bin_query(step.crm_object, step.other_id)
        page = read_page(await self._send(query_all_request(self._version, soql), writes=False))
        return next((str(one.get("MasterRecordId") or "") for one in page.records), "")

    async def _in_bin(self, crm_object: str, crm_id: str) -> bool:
        soql = wire.bin_query(crm_object, crm_id)
        return bool(read_page(await self._send(query_all_request(self._version, soql), writes=False)).records)

    async def _row(self, crm_object: str, crm_id: str) -> dict[str, Any] | None:
        answer = await self._http.send(wire.row(self._version, crm_object, crm_id))
        if answer.status == _NOT_FOUND:
            return None
        return wire.read_row(self._body(answer, writes=False))

    async def _links(
        self, crm_object: str, shape: Any, crm_ids: Sequence[str]
    ) -> dict[str, tuple[Link, ...]]:
        links: dict[str, list[Link]] = {}
        for child, name in wire.children(shape, CHILDREN.get(crm_object, ())):
            request = query_request(self._version, wire.child_query(child, name, crm_ids))
            answer = await self._http.send(request)
            if wire.not_there(answer):  # not visible to the connected user: nothing that could be re-parented
                continue
            page = read_page(self._body(answer, writes=False))
            if page.locator or len(page.records) >= CHILDREN_MAX:
                raise CallFailed(_TOO_MANY)
            for record in page.records:
                links.setdefault(str(record[name]), []).append(Link(f"{child}.{name}", str(record["Id"])))
        return {crm_id: tuple(sorted(several)) for crm_id, several in links.items()}

    async def _soap(self, request: Request) -> str:
        answer = await self._http.send(request)
        return wire.soap_id(answer)

    async def _send(self, request: Request, *, writes: bool = True) -> Any:
        return self._body(await self._http.send(request), writes=writes)

    def _body(self, answer: Answer, *, writes: bool) -> Any:
        if answer.status not in _OK:
            raise CallFailed(error_of(answer, writes=writes))
        return required_json(answer, writes=writes) if answer.body else None
