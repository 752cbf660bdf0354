"""The BottleCRM connector: orders the calls of one port operation. Requests and answers are `wire`'s business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from headwater.connectors.base.batch import check_batch, settle_each
from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.describing import ApiVersions, FieldShape
from headwater.connectors.base.doubt import InDoubtProtocol, Promise, WriteKind, creating_kind
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.expiring import Expiry, credential_expiries
from headwater.connectors.base.http import HttpCaller, Request, read_retry_after, required_json
from headwater.connectors.base.polling import Page, Polled
from headwater.connectors.base.port import (
    Account,
    CallGate,
    Failed,
    Found,
    Outcome,
    Report,
    Target,
    Vendor,
    Write,
    Written,
)
from headwater.connectors.base.reports import explain
from headwater.connectors.bottlecrm import parallel, polling, wire
from headwater.connectors.bottlecrm.errors import error_of, error_of_record, no_field
from headwater.connectors.bottlecrm.kinds import KINDS, Kind
from headwater.kernel.errors import InvalidInput

API_TOKEN: Final = "api_token"  # noqa: S105 - the part's name
"""Part of the credentials: a personal access token."""
OWN_PREFIX: Final = "headwater_"
"""Custom fields of this prefix are ours to create."""
CUSTOMS_USES_MAX: Final = 20
"""Batches until the custom fields are read anew: values of one put out of use would be passed over in silence."""

_DONE: Final = frozenset({200, 201})
_OF_THE_RECORD: Final = frozenset(
    {
        ErrorClass.VALIDATION,
        ErrorClass.NOT_FOUND,
        ErrorClass.REFERENCE,
        ErrorClass.FORMAT,
        ErrorClass.CONFLICT,
    }
)

CAPABILITIES: Final = Capabilities(
    objects=tuple(KINDS),
    batch_records_max=wire.BATCH_RECORDS_MAX,
    references=True,
    conflicts=True,
    delete=True,
    polling=True,
    schema_discovery=True,
    limits=("retry_after",),
)

IN_DOUBT: Final[InDoubtProtocol] = {
    WriteKind.CREATE: Promise(
        repeat_safe=False,
        reason="BottleCRM has no upsert and a custom field is not unique, so a repeated create may make a second "
        "record; the external id is looked up first (1.35.0, POST of contacts, leads, accounts, deals and tasks)",
    ),
    WriteKind.UPDATE: Promise(
        repeat_safe=True, reason="a PATCH by the record's id sets the same values again (1.35.0)"
    ),
}
"""What follows a write whose answer was lost."""


@dataclass(slots=True)
class _Fields:
    """The custom fields of one object, and for how many more batches they are believed."""

    active: wire.Customs
    retired: frozenset[str]
    uses_left: int = CUSTOMS_USES_MAX


class BottleCrmVendor:
    """BottleCRM as the registry finds it."""

    name = "bottlecrm"
    capabilities = CAPABILITIES
    fails_by_endpoint = False
    in_doubt = IN_DOUBT

    def write_kind(self, target: Target, write: Write) -> WriteKind:  # noqa: ARG002 - all objects alike
        """Return the kind of *write*: an update by record id where it is known, else a create after a look-up."""
        return creating_kind(write)

    def open(
        self, account: Account, gate: CallGate, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> BottleCrmConnector:
        """Return a connector; no I/O yet.

        Raises:
            InvalidInput: the credentials lack `api_token`.
        """
        token = account.credentials.get(API_TOKEN)
        if not token:
            message = f"credentials of connector {account.name!r} need {API_TOKEN}, a personal access token"
            raise InvalidInput(message, reason="CREDENTIALS_INCOMPLETE")
        http = HttpCaller(account, gate, read_retry_after, transport=transport)
        return BottleCrmConnector(http, token, credential_expiries(account.name, account.credentials))


class BottleCrmConnector:
    """One organization's BottleCRM."""

    def __init__(self, http: HttpCaller, token: str, ends: Sequence[Expiry] = ()) -> None:
        self._http = http
        self._token = token
        self._ends = tuple(ends)
        self._customs: dict[str, _Fields] = {}

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Create missing custom fields of ours, report every other gap."""
        findings: list[str] = []
        for target in targets:
            if target.crm_object not in KINDS:
                findings.append(f"BottleCRM {target.crm_object}: is none of {', '.join(KINDS)}")
            else:
                findings.extend(await self._prepare(target))
        ready = "BottleCRM: every field is there and can be written"
        return Report.of(findings, ready)

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Look up what has no record id yet, then create or update one record a call."""
        check_batch(writes, wire.BATCH_RECORDS_MAX)
        kind, customs = kind_of(target), await self._customs_for(target, writes)
        creates = [write.external_id for write in writes if not write.crm_id]
        held = await self._by_external_id(kind, target, creates)

        async def send(write: Write) -> Outcome:
            return await self._send(kind, target, write, customs, held.get(write.external_id))

        return await settle_each(writes, send)

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the records that hold these external ids."""
        kind, customs = kind_of(target), await self._customs_of(target.crm_object)
        records = await self._by_external_id(kind, target, external_ids)
        return {key: wire.read_found(kind, record, target, customs) for key, record in records.items()}

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the external ids of these records."""
        kind = kind_of(target)

        async def read(crm_id: str) -> wire.Record | None:
            return await self._record(kind, crm_id)

        found = await parallel.side_by_side(list(dict.fromkeys(crm_ids)), read)
        return {
            crm_id: wire.external_id_of(record, target)
            for crm_id, record in found.items()
            if record is not None
        }

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return changes behind *cursor*; see the port of pollers."""
        kind, customs = kind_of(polled), await self._customs_of(polled.crm_object)
        body = await self._read_or_none(polling.request_of(kind, cursor, limit))
        return polling.page_of(kind, polled, customs, cursor, body, limit=limit, now=now)

    async def schema(self, crm_object: str) -> Mapping[str, FieldShape]:
        """Return every field that can be written, native and custom ones, by name."""
        kind = _kind(crm_object)
        self._customs.pop(crm_object, None)
        customs = await self._customs_of(crm_object)
        native = {
            name: FieldShape(type_, required=name in kind.required) for name, type_ in kind.fields.items()
        }
        return {**{name: FieldShape(type_) for name, type_ in customs.items()}, **native}

    async def api_versions(self) -> ApiVersions | None:
        """Return None: BottleCRM's API has no versions."""
        return None

    async def expiries(self) -> Sequence[Expiry]:
        """Return what the credentials say of their end."""
        return self._ends

    async def renew(self, expiry: Expiry) -> Expiry:
        """Return *expiry* as it is: a token cannot make another, a person must."""
        return expiry

    async def test_connection(self) -> Report:
        """Read one list and the custom fields, and say what to do when the token may not."""
        try:
            await self._read(wire.page_request(KINDS["contacts"], 0, 1))
            await self._read(wire.customs_request(KINDS["contacts"].model))
        except CallFailed as failed:
            return Report(ok=False, findings=(explain("BottleCRM", failed.error),))
        return Report(
            ok=True, findings=("BottleCRM: the token is accepted, contacts and custom fields can be read",)
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _send(
        self, kind: Kind, target: Target, write: Write, customs: wire.Customs, held: wire.Record | None
    ) -> Outcome:
        crm_id = write.crm_id or (str(held["id"]) if held else "")
        adds = [reference for reference in write.references if reference.name in kind.many]
        if adds and crm_id:  # rows of lists do not name every link
            held = await self._record(kind, crm_id) or held
        body = wire.body_of(kind, target, write, customs, held or {})
        if isinstance(body, str):
            return Failed(no_field(target.crm_object, body))
        request = wire.update_request(kind, crm_id, body) if crm_id else wire.create_request(kind, body)
        answer = await self._http.send(request, token=self._token)
        if answer.status not in _DONE:
            return await self._refused(kind, target, write, error_of_record(answer, kind, crm_id))
        made = crm_id or wire.read_id(required_json(answer, writes=True))
        if not made:
            found = await self._by_external_id(kind, target, [write.external_id])
            made = str(found[write.external_id]["id"]) if found else ""
        if not made:
            return Failed(_UNSAID)
        lost = await self._not_linked(kind, made, write) if adds else None
        return Failed(lost) if lost else Written(made, created=not crm_id)

    async def _refused(self, kind: Kind, target: Target, write: Write, error: VendorError) -> Outcome:
        if error.error_class is ErrorClass.FORMAT:
            self._customs.pop(target.crm_object, None)
        if error.error_class not in _OF_THE_RECORD:
            raise CallFailed(error)
        if error.error_class is not ErrorClass.CONFLICT:
            return Failed(error)
        holder = await self._holder(kind, str(write.fields.get(kind.unique) or ""))
        return Failed(replace(error, existing_crm_id=str(holder["id"]) if holder else ""))

    async def _holder(self, kind: Kind, value: str) -> wire.Record | None:
        """Return the record that holds the unique *value*, whatever its case; None where the account may not see it."""
        if not value.strip():
            return None
        pages = wire.rows_of(kind, await self._read(wire.holders_request(kind, value.strip())))
        wanted = value.strip().casefold()
        same = (row for rows in pages for row in rows if str(row.get(kind.unique) or "").casefold() == wanted)
        return next(same, None)

    async def _not_linked(self, kind: Kind, crm_id: str, write: Write) -> VendorError | None:
        """Return the refusal of a link that BottleCRM passed over in silence: it leaves out what is not there."""
        record = await self._record(kind, crm_id) or {}
        for reference in write.references:
            if reference.name not in kind.many:
                continue
            if missing := set(reference.crm_ids) - set(wire.linked(record, reference.name)):
                message = f"{reference.name}: no such record: {', '.join(sorted(missing))}"
                return VendorError(
                    ErrorClass.REFERENCE, "LINK_PASSED_OVER", message[:512], field=reference.name
                )
        return None

    async def _by_external_id(
        self, kind: Kind, target: Target, external_ids: Sequence[str]
    ) -> dict[str, wire.Record]:
        """Return the records that hold these external ids; of several that hold one, the first that was made."""

        async def find(external_id: str) -> wire.Record | None:
            body = await self._read(wire.look_up_request(kind, target.external_id_field, external_id))
            rows = (row for rows in wire.rows_of(kind, body) for row in rows)
            for row in sorted(rows, key=lambda row: str(row.get("created_at"))):
                record = row if kind.listed_whole else await self._record(kind, str(row["id"]))
                if record is not None and wire.external_id_of(record, target) == external_id:
                    return record
            return None

        # BottleCRM leaves an empty filter out and tells every record
        asked = [external_id for external_id in dict.fromkeys(external_ids) if external_id]
        found = await parallel.side_by_side(asked, find)
        return {external_id: record for external_id, record in found.items() if record is not None}

    async def _record(self, kind: Kind, crm_id: str) -> wire.Record | None:
        body = await self._read_or_none(wire.record_request(kind, crm_id))
        return None if body is None else wire.record_of(body, crm_id)

    async def _read_or_none(self, request: Request) -> Any:
        """Return the JSON of an answer, None where what was asked for is not there."""
        try:
            return await self._read(request)
        except CallFailed as failed:
            if failed.error.error_class is ErrorClass.NOT_FOUND and request.url_template.endswith("/{id}/"):
                return None
            raise

    async def _read(self, request: Request) -> Any:
        answer = await self._http.send(request, token=self._token)
        if answer.status not in _DONE:
            raise CallFailed(error_of(answer, writes=False))
        return required_json(answer, writes=False)

    async def _customs_of(self, crm_object: str) -> wire.Customs:
        if crm_object not in self._customs:
            body = await self._read(wire.customs_request(_kind(crm_object).model))
            self._customs[crm_object] = _Fields(*wire.read_customs(body))
        return self._customs[crm_object].active

    async def _customs_for(self, target: Target, writes: Sequence[Write]) -> wire.Customs:
        """Return the custom fields of an object, read anew where a write names one that was not there before.

        Raises: CallFailed, FORMAT when there is no external id field.
        """
        kind, customs = kind_of(target), await self._customs_of(target.crm_object)
        named = {name for write in writes for name in write.fields if name not in kind.fields}
        fields = self._customs[target.crm_object]
        fields.uses_left -= 1
        if fields.uses_left < 0 or not {*named, target.external_id_field} <= set(customs):
            del self._customs[target.crm_object]
            customs = await self._customs_of(target.crm_object)
        if target.external_id_field not in customs:
            raise CallFailed(no_field(target.crm_object, target.external_id_field))
        return customs

    async def _prepare(self, target: Target) -> list[str]:
        kind = kind_of(target)
        self._customs.pop(target.crm_object, None)
        await self._customs_of(target.crm_object)
        fields = self._customs[target.crm_object]
        findings: list[str] = []
        if target.external_id_field in kind.fields:
            where = f"BottleCRM {kind.name}.{target.external_id_field}"
            findings.append(
                f"{where}: records cannot be found by a native field; name a custom field of text"
            )
        for name in dict.fromkeys((target.external_id_field, *target.fields)):
            if name in kind.fields or name in fields.active:
                continue
            where = f"BottleCRM {kind.name}.{name}"
            if name in fields.retired:
                findings.append(f"{where}: the custom field is out of use; put it into use in BottleCRM")
            elif name == target.external_id_field or name.startswith(OWN_PREFIX):
                findings.extend(await self._define(kind, name, where, long=name != target.external_id_field))
            else:
                findings.append(
                    f"{where}: there is no such field; create it in BottleCRM or take it out of the policy"
                )
        findings.extend(
            f"BottleCRM {kind.name}.{name}: is no link that can be written; known: {', '.join(kind.references)}"
            for name in target.references
            if name not in kind.references
        )
        return findings

    async def _define(self, kind: Kind, name: str, where: str, *, long: bool) -> list[str]:
        answer = await self._http.send(wire.define_request(kind, name, long=long), token=self._token)
        self._customs.pop(kind.name, None)
        if answer.status in _DONE:
            return []
        error = error_of(answer, writes=True)
        if error.error_class in {ErrorClass.PERMISSION, ErrorClass.VALIDATION, ErrorClass.FORMAT}:
            return [f"{where}: the field is missing and cannot be created: {error.message}"]
        raise CallFailed(error)


_UNSAID: Final = VendorError(
    ErrorClass.IN_DOUBT,
    "NO_ID",
    "the answer to a create does not say which record it made, and none is found",
)


def kind_of(aim: Target | Polled) -> Kind:
    """Return the object that a target, or a poll, is about.

    Raises: CallFailed, FORMAT when BottleCRM has none of that name that can be written.
    """
    return _kind(aim.crm_object)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        message = f"BottleCRM has no object {name!r} that can be written; known: {', '.join(KINDS)}"
        raise CallFailed(VendorError(ErrorClass.FORMAT, "OBJECT_UNKNOWN", message))
    return KINDS[name]


VENDOR: Final[Vendor] = BottleCrmVendor()
