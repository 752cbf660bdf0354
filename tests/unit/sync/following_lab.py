# ruff: noqa: ARG002 - methods have the port's arguments
"""A CRM in memory, merges of entities, and the real follower and connectors between them. Asserts nothing."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import httpx
import msgspec
from msgspec.structs import replace
from tests.unit.sandbox.bench import Bench

from headwater.connectors.base import Account, Connector, Vendor
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.hubspot.client import HubSpotVendor
from headwater.connectors.salesforce.client import SalesforceVendor
from headwater.policy.document import ConnectorPolicy
from headwater.sandbox.call import Answer, Call, Refusal
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.following import FollowState, RecordMerge
from headwater.sync.domain.leasing import Lease
from headwater.sync.following.follower import Follower
from headwater.sync.following.ports import Place, Places, Taken

TOKEN: Final = "token"
KEYS: Final[Mapping[str, str]] = {"hubspot": "headwater_id", "salesforce": "Headwater_Id__c"}
CONTACTS: Final[Mapping[str, str]] = {"hubspot": "contacts", "salesforce": "Contact"}
_SECRET: Final = {"client_id": "c", "client_secret": "sandbox-secret", "refresh_token": "r"}


class Crash(Exception):
    """The process ended here."""


class BenchTransport(httpx.AsyncBaseTransport):
    """Answers a connector's calls from a sandbox in memory; may lose an answer that was committed."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.lose: Callable[[str, str], bool] = lambda _method, _path: False
        self.writes: list[tuple[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Work on the call as the gate of the sandbox does."""
        path = request.url.path
        if path.endswith("/token"):
            granted = {"access_token": TOKEN, "expires_in": 1800, "instance_url": "http://crm.test"}
            return httpx.Response(200, json=granted)
        answer = self._answer(request, path)
        if request.method != "GET" and "/read" not in path:
            self.writes.append((request.method, path))
            if self.lose(request.method, path):
                raise httpx.ReadError("the line was cut", request=request)
        return httpx.Response(
            answer.status, content=answer.body, headers={"content-type": "application/json"}
        )

    def _answer(self, request: httpx.Request, path: str) -> Answer:
        bench = self.bench
        call = Call(
            cast("Any", bench.account.vendor), "unit", bench.account.take_call(), "r", request.method, path,
            tuple(request.url.params.multi_items()), dict(request.headers), request.content, "", bench.now_ms,
        )  # fmt: skip
        subject = bench.vendor.subject(call)
        try:
            with bench.database.transaction():
                return bench.vendor.handle(
                    call, bench.fleet.desk(bench.account, call, subject[1] if subject else "")
                )
        except Refusal as refusal:
            return refusal.answer


@dataclass(slots=True)
class Book:
    """Port `MergeBook` in memory, with the entities as identity has them and the record of each."""

    rows: dict[uuid.UUID, RecordMerge] = field(default_factory=dict)
    merged_into: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    records: dict[uuid.UUID, str] = field(default_factory=dict)
    crm_object: str = ""
    crash: Callable[[], bool] = lambda: False
    turns: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def hold(self, merge: RecordMerge, lease: Lease) -> Places:
        return self._places(merge.winner_id, merge.loser_id)

    def _places(self, winner_id: uuid.UUID, loser_id: uuid.UUID) -> Places:
        standing = {FollowState.MERGED, FollowState.UNDOING}
        while not self.records.get(winner_id):
            into = [row for row in self.rows.values() if row.loser_id == winner_id and row.state in standing]
            if not into:
                break
            winner_id = max(into, key=lambda row: row.number).winner_id
        return Places(winner_id, False, self._place(winner_id), self._place(loser_id))

    def _place(self, entity_id: uuid.UUID) -> Place:
        return Place(self.crm_object, self.records.get(entity_id, ""), False)

    async def related(self, merge: RecordMerge, holder_id: uuid.UUID) -> Sequence[RecordMerge]:
        below, found = {merge.winner_id, merge.loser_id, holder_id}, dict[uuid.UUID, RecordMerge]()
        while fresh := [
            one
            for one in self.rows.values()
            if one.winner_id in below and one.begin_turn and one.merge_id not in found
        ]:
            found |= {one.merge_id: one for one in fresh}
            below |= {one.loser_id for one in fresh}
        wanted = {FollowState.MERGED, FollowState.UNDOING, FollowState.UNDONE}
        return [one for one in found.values() if one.state in wanted]

    async def let_go(self, merge: RecordMerge, entity_id: uuid.UUID) -> None:
        return

    async def write(
        self,
        merge: RecordMerge,
        lease: Lease,
        pause_s: float = 0.0,
        notes: Sequence[object] = (),
    ) -> None:
        self._keep(merge)
        if self.crash():
            raise Crash

    def _keep(self, merge: RecordMerge) -> None:
        held = self.rows[merge.merge_id]
        kept = replace(merge, wanted=held.wanted, begin_turn=held.begin_turn, end_turn=held.end_turn)
        if kept.state is FollowState.MERGING and not kept.begin_turn:
            kept = replace(kept, begin_turn=next(self.turns))
        elif kept.state is FollowState.UNDONE:
            kept = replace(kept, end_turn=next(self.turns))
        self.rows[merge.merge_id] = msgspec.convert(msgspec.to_builtins(kept), RecordMerge)

    async def finish(
        self, merge: RecordMerge, lease: Lease, taken: Sequence[Taken] = (), left: Sequence[uuid.UUID] = ()
    ) -> None:
        if self.crash():  # one transaction: all of it or nothing
            raise Crash
        self._keep(merge)
        for entity_id in left:
            self.records[entity_id] = ""
        for item in taken:
            self.records[item.entity_id] = item.crm_id


def policy_of(vendor: str) -> ConnectorPolicy:
    """Return a connector whose contacts are merged."""
    names = {"hubspot": ("email", "lastname"), "salesforce": ("Email", "LastName")}[vendor]
    fields = {names[0]: {"field": "email"}, names[1]: {"field": "last_name"}}
    target = {"target": CONTACTS[vendor], "external_id": KEYS[vendor], "fields": fields, "merge": "merge"}
    return ConnectorPolicy.model_validate(
        {
            "vendor": vendor, "system": "crm", "base_url": "http://crm.test", "credentials": "env:X", "owner": "o",
            "backup": "b", "runbook": "r", "limits": {"window": {"calls": 10, "window_s": 1}, "batch_records": 10},
            "objects": {"contact": [target]},
        }
    )  # fmt: skip


class Lab:
    """Entities, their records in one CRM, and merges of both."""

    def __init__(self, vendor: str, seed: int = 0) -> None:
        self.vendor = vendor
        self.chance = random.Random(seed)
        self.bench = Bench(cast("Any", vendor))
        self.transport = BenchTransport(self.bench)
        self.book = Book(crm_object=CONTACTS[vendor])
        self._numbers = itertools.count(1)
        kind: Vendor = HubSpotVendor() if vendor == "hubspot" else SalesforceVendor()
        account = Account("crm", "http://crm.test", _SECRET)
        opened = cast("Any", kind).open(account, RecordingGate(), transport=self.transport)
        self.connector: Connector = opened
        self.account = cast("RunningAccount", _Account(policy_of(vendor)))
        if vendor == "hubspot":
            self._property()

    def _property(self) -> None:
        body = {
            "name": KEYS["hubspot"], "label": "k", "type": "string", "fieldType": "text",
            "groupName": "contactinformation", "hasUniqueValue": True,
        }  # fmt: skip
        self.bench.call("POST", "/crm/v3/properties/contacts", body)

    def entity(self, fields: Mapping[str, Any]) -> uuid.UUID:
        """Make an entity with a record of these fields."""
        entity_id = uuid.UUID(int=next(self._numbers))
        keyed = {**fields, KEYS[self.vendor]: str(entity_id)}
        self.book.records[entity_id] = self.make(CONTACTS[self.vendor], keyed)
        return entity_id

    def make(self, crm_object: str, fields: Mapping[str, Any]) -> str:
        """Make a record; return its id."""
        if self.vendor == "hubspot":
            answer = self.bench.call("POST", f"/crm/v3/objects/{crm_object}", {"properties": fields})
        else:
            answer = self.bench.call("POST", f"/services/data/v61.0/sobjects/{crm_object}", dict(fields))
        if answer.status != 201:
            raise AssertionError(answer.content)
        return str(answer.content["id"])

    def tie(self, crm_id: str, other: str, other_id: str) -> None:
        """Associate a HubSpot contact."""
        path = f"/crm/v4/objects/contacts/{crm_id}/associations/default/{other}/{other_id}"
        answer = self.bench.call("PUT", path)
        if answer.status != 200:
            raise AssertionError(answer.content)

    def order(self, winner: uuid.UUID, loser: uuid.UUID) -> uuid.UUID:
        """Merge two entities, as the projection tells it."""
        number = next(self._numbers)
        merge_id = uuid.UUID(int=number << 64)
        self.book.merged_into[loser] = winner
        self.book.rows[merge_id] = RecordMerge(
            "acme", "crm", merge_id, number, "contact", winner, loser, uuid.UUID(int=number), "merged", FollowState.PLANNED
        )  # fmt: skip
        return merge_id

    def split(self, merge_id: uuid.UUID) -> None:
        """Undo a merge of entities, as the projection tells it."""
        row = self.book.rows[merge_id]
        del self.book.merged_into[row.loser_id]
        self.book.rows[merge_id] = replace(row, wanted="split")

    async def follow(self, merge_id: uuid.UUID, *, rounds_max: int = 40) -> FollowState:
        """Follow until nothing is left to do; a crash begins anew with what was written."""
        for _ in range(rounds_max):
            row = self.book.rows[merge_id]
            if not self.is_open(row):
                return row.state
            try:
                await Follower(self.account, self.connector, cast("Any", self.book), self.chance).follow(row)
            except Crash:
                continue
        raise AssertionError(f"not at an end: {self.book.rows[merge_id]}")

    def is_open(self, row: RecordMerge) -> bool:
        """Say whether there is something to do."""
        unfinished = {FollowState.PLANNED, FollowState.MERGING, FollowState.UNDOING}
        return row.state in unfinished or (row.state is FollowState.MERGED and row.wanted == "split")

    async def follow_some(self, share: float) -> None:
        """Follow a share of what is open, at random; of merges that share an entity, the oldest first."""
        while todo := [row for row in self.book.rows.values() if self.is_open(row)]:
            first = [
                row
                for row in todo
                if not any(
                    other.number < row.number
                    and {other.winner_id, other.loser_id} & {row.winner_id, row.loser_id}
                    for other in todo
                )
            ]
            if self.chance.random() >= share:
                return
            await self.follow(self.chance.choice(first).merge_id)

    def contents(self) -> dict[str, Any]:
        """Return what the CRM holds, ids of contacts replaced by their entities."""
        return _contents(self)


@dataclass(slots=True)
class _Account:
    policy: ConnectorPolicy
    name: str = "crm"
    tenant_id: str = "acme"
    lease: Lease = Lease("connector/acme/crm", 1)  # noqa: RUF009 - frozen

    async def ask(self, _endpoint_class: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()


_OWN: Final = frozenset(
    {
        "Id", "CreatedDate", "LastModifiedDate", "SystemModstamp", "IsDeleted", "MasterRecordId",
        "createdate", "lastmodifieddate", "hs_lastmodifieddate", "hs_createdate", "hs_object_id",
        "hs_all_contact_vids", "hs_merged_object_ids", "hs_lifecyclestage_lead_date",
    }
)  # fmt: skip
"""Fields that are the vendor's own: ids, stamps, and what a HubSpot record remembers of merges."""


def _contents(lab: Lab) -> dict[str, Any]:
    account, told = lab.bench.account, dict[str, Any]()
    names: dict[str, str] = {}
    for record in account.records.scan(CONTACTS[lab.vendor]):
        names[record.record_id] = str(record.fields.get(KEYS[lab.vendor]) or record.record_id)
    kinds: Sequence[str] = lab.bench.vendor.kinds
    for kind in kinds:
        links: dict[str, set[tuple[str, str]]] = {}
        for start, from_id, end, to_id, _type in account.database.all("dump_associations", account.key, kind):
            del start
            links.setdefault(from_id, set()).add((end, str(names.get(to_id, to_id))))
        for record in account.records.scan(kind):
            fields = {
                name: names.get(str(value), value)
                for name, value in record.fields.items()
                if name not in _OWN
            }
            told[f"{kind}/{names.get(record.record_id, record.record_id)}"] = {
                "fields": fields,
                "links": sorted(links.get(record.record_id, ())),
            }
    return told
