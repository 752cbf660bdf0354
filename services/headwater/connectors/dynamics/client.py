"""The Dynamics 365 connector: orders the calls of one port operation. Requests and answers are `wire`'s business."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import httpx

from headwater.connectors.base.batch import Refused, check_batch, parts_of, settle
from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.doubt import InDoubtProtocol, Promise, WriteKind, keyed_kind
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.expiring import Expiry, credential_expiries
from headwater.connectors.base.fetching import Fetched
from headwater.connectors.base.http import HttpCaller, Request, required_json
from headwater.connectors.base.oauth import AuthorizedHttp, token_source
from headwater.connectors.base.polling import Page, Polled, Seen
from headwater.connectors.base.port import (
    Account,
    CallGate,
    Found,
    Outcome,
    Report,
    Target,
    Vendor,
    Write,
    Written,
)
from headwater.connectors.base.reports import explain
from headwater.connectors.dynamics import polling, schema, wire
from headwater.connectors.dynamics.auth import refresher
from headwater.connectors.dynamics.batching import batch_request, read_batch
from headwater.connectors.dynamics.erasing import DynamicsErasures
from headwater.connectors.dynamics.errors import error_of
from headwater.connectors.dynamics.limits import read_limits
from headwater.connectors.dynamics.schema import Table
from headwater.kernel.ids import parse_uuid

OWN_PREFIX: Final = "hw_"
"""Columns of this prefix are ours to create; Dataverse takes prefixes of two to eight characters."""

_OK: Final = frozenset({200, 201, 204})

CAPABILITIES: Final = Capabilities(
    objects=("*",),
    batch_records_max=wire.BATCH_RECORDS_MAX,
    references=True,
    delete=True,
    polling=True,
    schema_discovery=True,
    tokens=True,
    limits=("window", "concurrency", "retry_after"),
)

IN_DOUBT: Final[InDoubtProtocol] = {
    WriteKind.UPSERT: Promise(
        repeat_safe=True,
        reason="a PATCH by an alternate key updates the record that the first try made (Dataverse Web API, Upsert)",
    ),
    WriteKind.UPDATE: Promise(
        repeat_safe=True,
        reason="a PATCH by id with If-Match: * sets the same values again and creates nothing (Dataverse Web API)",
    ),
}
"""What follows a write whose answer was lost: every kind is keyed, so a repeat changes nothing."""


class DynamicsVendor:
    """Dynamics 365 as the registry finds it."""

    name = "dynamics"
    capabilities = CAPABILITIES
    fails_by_endpoint = False
    in_doubt = IN_DOUBT

    def write_kind(self, target: Target, write: Write) -> WriteKind:  # noqa: ARG002 - all tables alike
        """Return the kind of *write*: an update by id where it is known, else an upsert by alternate key."""
        return keyed_kind(write)

    def open(
        self, account: Account, gate: CallGate, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> DynamicsConnector:
        """Return a connector; no I/O yet.

        Raises:
            InvalidInput: the credentials lack a part.
        """
        http = HttpCaller(account, gate, read_limits, transport=transport)
        tokens = token_source(account, refresher(account, http))
        ends = credential_expiries(account.name, account.credentials)
        return DynamicsConnector(AuthorizedHttp(http, tokens), ends)


class DynamicsConnector:
    """One Dataverse environment."""

    def __init__(self, http: AuthorizedHttp, ends: Sequence[Expiry] = ()) -> None:
        self._http = http
        self._ends = tuple(ends)
        self._tables: dict[str, Table] = {}
        self.erasing = DynamicsErasures(http.send, self._table)

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Create missing columns and keys of ours, report every other gap."""
        findings: list[str] = []
        for target in targets:
            self._tables.pop(target.crm_object, None)
            findings.extend(await self._prepare(target))
            self._tables.pop(target.crm_object, None)
        ready = "Dynamics 365: every column and alternate key is there and can be written"
        return Report.of(findings, ready)

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Bring about the writes, references among them."""
        check_batch(writes, wire.BATCH_RECORDS_MAX)
        table = await self._table(target.crm_object, references=any(write.references for write in writes))
        by_key = {write.external_id: write for write in writes}
        upserts, updates, refused = parts_of(writes)

        async def send(keys: Sequence[str]) -> Mapping[str, Outcome] | Refused:
            return await self._send(table, target, [by_key[key] for key in keys])

        done = await self._upsert_multiple(table, target, [by_key[key] for key in upserts])
        rest = [key for key in upserts if key not in done]
        outcomes = refused | done | await settle([rest, updates], send)
        return [outcomes[write.external_id] for write in writes]

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the records that hold these external ids."""
        table = await self._table(target.crm_object)
        columns = (target.external_id_field, *target.fields)
        found: dict[str, Found] = {}
        async for body in self._queried(table, columns, target.external_id_field, external_ids):
            found |= wire.read_found(body, table, target)
        wanted = set(external_ids)  # Dataverse compares without case and without spaces at the end
        return {key: record for key, record in found.items() if key in wanted}

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the external ids of these records."""
        table = await self._table(target.crm_object)
        owners: dict[str, str] = {}
        async for body in self._queried(table, (target.external_id_field,), table.primary_id, crm_ids):
            for record in schema.items_of(body):
                owners[str(record[table.primary_id])] = str(record.get(target.external_id_field) or "")
        return owners

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return changes behind *cursor*; see the port of pollers. An expired link is FORMAT: reset the cursor."""
        table = await self._table(polled.crm_object)
        body = await self._read(polling.request_of(table, polled, cursor, limit))
        return polling.page_of(table, polled, cursor, body, now)

    async def fetch(self, polled: Polled, crm_ids: Sequence[str]) -> Fetched:
        """Return records by id; see the port of fetchers. Deleted ones are no more: they are absent."""
        table = await self._table(polled.crm_object)
        records: dict[str, Seen] = {}
        ids = [crm_id for crm_id in crm_ids if parse_uuid(crm_id) is not None]
        async for body in self._queried(table, polling.columns_of(polled), table.primary_id, ids):
            told = (polling.seen(table, polled, item) for item in schema.items_of(body))
            records |= {item.crm_id: item for item in told}
        absent = tuple(crm_id for crm_id in dict.fromkeys(crm_ids) if crm_id not in records)
        return Fetched(tuple(records.values()), (), absent)

    async def expiries(self) -> Sequence[Expiry]:
        """Return what the credentials say of their end."""
        return self._ends

    async def renew(self, expiry: Expiry) -> Expiry:
        """Return *expiry* as it is: a person must make a new client secret."""
        return expiry

    async def test_connection(self) -> Report:
        """Ask who the application is, and say what to do when it is nobody."""
        try:
            await self._read(wire.who_am_i_request())
        except CallFailed as failed:
            return Report(ok=False, findings=(explain("Dynamics 365", failed.error),))
        return Report(ok=True, findings=("Dynamics 365: the token is accepted and the Web API answers",))

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _upsert_multiple(
        self, table: Table, target: Target, writes: Sequence[Write]
    ) -> dict[str, Outcome]:
        """Return the outcomes of many new records written at once; none when they are few, or one is refused.

        Raises: CallFailed when the whole call failed.
        """
        if len(writes) < wire.UPSERT_MULTIPLE_MIN:
            return {}
        before = await self.look_up(replace(target, fields=()), [write.external_id for write in writes])
        answer = await self._http.send(wire.upsert_multiple_request(table, target, writes))
        if answer.status not in _OK:
            error = error_of(answer, writes=True)
            if error.error_class in _OF_RECORDS:  # nothing was kept: the batch tells whose fault it is
                return {}
            raise CallFailed(error)
        return await self._read_back(target, writes, before)

    async def _read_back(
        self, target: Target, writes: Sequence[Write], before: Mapping[str, Found]
    ) -> dict[str, Outcome]:
        keys = [write.external_id for write in writes]
        try:
            after = await self.look_up(replace(target, fields=()), keys)
        except (
            CallFailed
        ):  # written, but under which ids nobody says: the batch finds them, and changes nothing
            return {}
        return {key: Written(found.crm_id, created=key not in before) for key, found in after.items()}

    async def _send(
        self, table: Table, target: Target, writes: Sequence[Write]
    ) -> Mapping[str, Outcome] | Refused:
        build = wire.update_operation if writes[0].crm_id else wire.upsert_operation
        request = batch_request(wire.API, [build(table, target, write) for write in writes])
        answer = await self._http.send(request)
        if answer.status not in _OK:
            raise CallFailed(error_of(answer, writes=True))
        return wire.read_outcomes(read_batch(answer), table, target, writes)

    async def _queried(
        self, table: Table, columns: Sequence[str], name: str, values: Sequence[str]
    ) -> AsyncIterator[Any]:
        distinct = list(dict.fromkeys(values))
        for start in range(0, len(distinct), wire.FILTER_VALUES_MAX):
            chunk = distinct[start : start + wire.FILTER_VALUES_MAX]
            yield await self._read(wire.query_request(table, columns, name, chunk))

    async def _read(self, request: Request) -> Any:
        answer = await self._http.send(request)
        if answer.status not in _OK:
            raise CallFailed(error_of(answer, writes=False))
        return required_json(answer, writes=False)

    async def _table(self, name: str, *, references: bool = False) -> Table:
        """Return a table with its columns, keys, and where asked for its references.

        Raises: CallFailed, FORMAT when there is none.
        """
        known = self._tables.get(name)
        if known is None:
            found = schema.read_table(await self._read(wire.table_request(name)))
            if found is None:
                message = f"there is no table {name!r}; the policy must say its logical name, as contact"
                raise CallFailed(VendorError(ErrorClass.FORMAT, "NO_SUCH_TABLE", message))
            columns = schema.read_columns(await self._read(wire.columns_request(found.metadata_id)))
            keys = schema.read_keys(await self._read(wire.keys_request(name)))
            known = replace(found, columns=columns, keys=keys)
        if references and not known.sets:
            known = replace(known, sets=await self._sets(name))
        self._tables[name] = known
        return known

    async def _sets(self, name: str) -> dict[str, str]:
        leads = schema.read_references(await self._read(wire.references_request(name)))
        sets: dict[str, str] = {}
        for other in sorted(set(leads.values())):
            found = schema.read_table(await self._read(wire.table_request(other)))
            if found is not None:
                sets[other] = found.entity_set
        return {navigation: sets[other] for navigation, other in leads.items() if other in sets}

    async def _prepare(self, target: Target) -> list[str]:
        try:
            table = await self._table(target.crm_object, references=bool(target.references))
        except CallFailed as failed:
            if failed.error.code != "NO_SUCH_TABLE":
                raise
            return [f"Dynamics 365 {target.crm_object}: {failed.error.message}"]
        findings: list[str] = []
        for name in dict.fromkeys((target.external_id_field, *target.fields)):
            if name not in table.columns:
                findings.extend(await self._create_column(table, target, name))
            elif not (table.columns[name].creatable or table.columns[name].updatable):
                findings.append(f"Dynamics 365 {table.name}.{name}: values of this column cannot be written")
        findings.extend(
            f"Dynamics 365 {table.name}.{name}: there is no such navigation property"
            for name in target.references
            if name not in table.sets
        )
        if not findings:
            findings.extend(await self._prepare_key(table, target.external_id_field))
        return findings

    async def _create_column(self, table: Table, target: Target, name: str) -> list[str]:
        where = f"Dynamics 365 {table.name}.{name}"
        if not name.startswith(OWN_PREFIX):
            return [f"{where}: there is no such column; create it in Dynamics or take it out of the policy"]
        long = name != target.external_id_field
        request = wire.create_column_request(table.metadata_id, name, long=long)
        return await self._made(request, f"{where}: the column is missing and cannot be created")

    async def _prepare_key(self, table: Table, column: str) -> list[str]:
        where = f"Dynamics 365 {table.name}.{column}"
        state = table.keys.get(column)
        if state is None:
            request = wire.create_key_request(table.name, column)
            gaps = await self._made(request, f"{where}: there is no alternate key and none can be created")
            if gaps:
                return gaps
            state = schema.read_keys(await self._read(wire.keys_request(table.name))).get(column, "Pending")
        if state == schema.ACTIVE:
            return []
        return [f"{where}: the index of the alternate key is {state.lower()}; try again when it is built"]

    async def _made(self, request: Request, words: str) -> list[str]:
        answer = await self._http.send(request)
        if answer.status in _OK:
            return []
        error = error_of(answer, writes=True)
        if error.error_class in _OF_RECORDS or error.error_class is ErrorClass.PERMISSION:
            return [f"{words}: {error.message}"]
        raise CallFailed(error)


_OF_RECORDS: Final = frozenset(
    {
        ErrorClass.VALIDATION,
        ErrorClass.FORMAT,
        ErrorClass.CONFLICT,
        ErrorClass.NOT_FOUND,
        ErrorClass.REFERENCE,
    }
)


VENDOR: Final[Vendor] = DynamicsVendor()
