"""The Pipedrive connector: orders the calls of one port operation. Requests and answers are `wire`'s business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import httpx

from headwater.connectors.base.batch import check_batch, settle_each
from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.doubt import InDoubtProtocol, Promise, WriteKind, creating_kind
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.expiring import Expiry, credential_expiries
from headwater.connectors.base.fetching import Fetched
from headwater.connectors.base.http import Answer, HttpCaller, Request, required_json
from headwater.connectors.base.oauth import AuthorizedHttp, token_source
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
)
from headwater.connectors.base.reports import explain
from headwater.connectors.pipedrive import looking, polling, wire
from headwater.connectors.pipedrive.auth import API_TOKEN, API_TOKEN_HEADER, OAUTH, refresher
from headwater.connectors.pipedrive.errors import error_of, error_of_record, no_field
from headwater.connectors.pipedrive.fields import Catalogue, catalogue_of
from headwater.connectors.pipedrive.kinds import KINDS, Kind
from headwater.connectors.pipedrive.limits import read_limits
from headwater.connectors.pipedrive.removing import PipedriveRemovals

OWN_PREFIX: Final = "headwater_"
"""Custom fields of this prefix are ours to create."""
FIELD_PAGES_MAX: Final = 20
"""Pages of field definitions read: 10,000 fields."""

_DONE: Final = frozenset({200, 201})

CAPABILITIES: Final = Capabilities(
    objects=tuple(KINDS),
    batch_records_max=wire.BATCH_RECORDS_MAX,
    references=True,
    delete=True,
    remove=True,
    polling=True,
    webhooks=True,
    schema_discovery=True,
    tokens=True,
    limits=("window", "daily", "retry_after"),
)

IN_DOUBT: Final[InDoubtProtocol] = {
    WriteKind.CREATE: Promise(
        repeat_safe=False,
        reason="Pipedrive keeps no value unique and has no upsert, so a repeated create makes a second record; "
        "the external id is looked up first (API v2, POST of persons, organizations and deals)",
    ),
    WriteKind.UPDATE: Promise(
        repeat_safe=True, reason="a PATCH by the record's id sets the same values again (API v2)"
    ),
}
"""What follows a write whose answer was lost."""


class Sender(Protocol):
    """What sends requests with the account's credentials."""

    async def send(self, request: Request) -> Answer:
        """Send *request*. Raises: CallFailed."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


GrantedScopes = Callable[[], Awaitable[tuple[str, ...] | None]]
"""Tells what the present token was granted."""


async def _untold() -> tuple[str, ...] | None:
    """Return None: an API token has every right of its user."""


class PipedriveVendor:
    """Pipedrive as the registry finds it."""

    name = "pipedrive"
    capabilities = CAPABILITIES
    fails_by_endpoint = False
    in_doubt = IN_DOUBT
    oauth = OAUTH

    def write_kind(self, target: Target, write: Write) -> WriteKind:  # noqa: ARG002 - all objects alike
        """Return the kind of *write*: an update by record id where it is known, else a create after a look-up."""
        return creating_kind(write)

    def open(
        self, account: Account, gate: CallGate, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> PipedriveConnector:
        """Return a connector; no I/O yet.

        Raises:
            InvalidInput: the credentials lack a part: `api_token`, or what OAuth needs.
        """
        ends = credential_expiries(account.name, account.credentials)
        if token := account.credentials.get(API_TOKEN):
            headers = {API_TOKEN_HEADER: token}
            http = HttpCaller(account, gate, read_limits, transport=transport, headers=headers)
            return PipedriveConnector(http, ends)
        http = HttpCaller(account, gate, read_limits, transport=transport)
        tokens = token_source(account, refresher(account, http))
        authorized = AuthorizedHttp(http, tokens)
        return PipedriveConnector(authorized, ends, authorized.granted_scopes)


class PipedriveConnector:
    """One company's Pipedrive."""

    def __init__(self, http: Sender, ends: Sequence[Expiry] = (), granted: GrantedScopes = _untold) -> None:
        self._http = http
        self.granted_scopes = granted
        self._ends = tuple(ends)
        self._catalogues: dict[str, Catalogue] = {}
        self.removing = PipedriveRemovals(http.send)

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Create missing custom fields of ours, report every other gap."""
        findings: list[str] = []
        for target in targets:
            if target.crm_object not in KINDS:
                findings.append(f"Pipedrive {target.crm_object}: is none of {', '.join(KINDS)}")
            else:
                findings.extend(await self._prepare(target))
        ready = "Pipedrive: every field is there and can be written"
        return Report.of(findings, ready)

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Look up what has no record id yet, then create or update one record a call."""
        check_batch(writes, wire.BATCH_RECORDS_MAX)
        kind, catalogue = kind_of(target), await self._catalogue_for(target, writes)
        creates = [write.external_id for write in writes if not write.crm_id]
        held = await looking.by_external_id(self._read, kind, target, catalogue, creates)
        held |= await self._held(kind, catalogue, [write for write in writes if write.crm_id])

        async def send(write: Write) -> Outcome:
            return await self._send(target, write, catalogue, held.get(write.external_id))

        return await settle_each(writes, send)

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the records that hold these external ids."""
        kind, catalogue = kind_of(target), await self._catalogue(target.crm_object)
        records = await looking.by_external_id(self._read, kind, target, catalogue, external_ids)
        return {key: wire.read_found(record, target, catalogue) for key, record in records.items()}

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the external ids of these records."""
        kind, catalogue = kind_of(target), await self._catalogue(target.crm_object)
        records = await looking.by_id(self._read, kind, catalogue, [target.external_id_field], crm_ids)
        return {crm_id: wire.external_id_of(record, target, catalogue) for crm_id, record in records.items()}

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return changes behind *cursor*; see the port of pollers."""
        kind, catalogue = kind_of(polled), await self._catalogue(polled.crm_object)
        body = await self._read(polling.request_of(kind, polled, catalogue, cursor, limit))
        return polling.page_of(polled, catalogue, cursor, body, now)

    async def fetch(self, polled: Polled, crm_ids: Sequence[str]) -> Fetched:
        """Return records by id; see the port of fetchers. Deleted ones are in no list: they are absent."""
        kind, catalogue = kind_of(polled), await self._catalogue(polled.crm_object)
        records = await looking.by_id(self._read, kind, catalogue, polled.fields, crm_ids)
        absent = tuple(crm_id for crm_id in dict.fromkeys(crm_ids) if crm_id not in records)
        return Fetched(tuple(polling.seen(polled, catalogue, item) for item in records.values()), (), absent)

    async def expiries(self) -> Sequence[Expiry]:
        """Return what the credentials say of their end."""
        return self._ends

    async def renew(self, expiry: Expiry) -> Expiry:
        """Return *expiry* as it is: a person must connect the account again."""
        return expiry

    async def test_connection(self) -> Report:
        """Ask who the token is, and say what to do when it is nobody."""
        try:
            body = await self._read(wire.me_request())
        except CallFailed as failed:
            return Report(ok=False, findings=(explain("Pipedrive", failed.error),))
        data = body.get("data") if isinstance(body, dict) else None
        company = str(data.get("company_name") or "") if isinstance(data, dict) else ""
        of_company = f" for the company {company}" if company else ""
        return Report(ok=True, findings=(f"Pipedrive: the token is accepted{of_company}",))

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _held(
        self, kind: Kind, catalogue: Catalogue, writes: Sequence[Write]
    ) -> dict[str, Mapping[str, Any]]:
        """Return, by external id, the records of which a write replaces a whole list."""
        known = {
            write.crm_id: write.external_id for write in writes if wire.replaces_a_list(write, catalogue)
        }
        records = await looking.by_id(self._read, kind, catalogue, (), list(known)) if known else {}
        return {known[crm_id]: record for crm_id, record in records.items()}

    async def _send(
        self, target: Target, write: Write, catalogue: Catalogue, held: Mapping[str, Any] | None
    ) -> Outcome:
        kind = kind_of(target)
        body = wire.body_of(target, write, catalogue, held or {})
        if isinstance(body, str):
            return Failed(no_field(target.crm_object, body))
        crm_id = write.crm_id or (str(held["id"]) if held else "")
        request = wire.update_request(kind, crm_id, body) if crm_id else wire.create_request(kind, body)
        answer = await self._http.send(request)
        if answer.status in _DONE:
            return wire.read_written(required_json(answer, writes=True), write, created=not crm_id)
        error = error_of_record(
            error_of(answer, writes=True), write, wire.codes_sent(write, catalogue), crm_id
        )
        if error.error_class is ErrorClass.FORMAT:  # a field may have been deleted or made anew
            self._catalogues.pop(target.crm_object, None)
        if error.error_class in _OF_THE_RECORD:
            return Failed(error)
        raise CallFailed(error)

    async def _read(self, request: Request) -> Any:
        answer = await self._http.send(request)
        if answer.status not in _DONE:
            raise CallFailed(error_of(answer, writes=False))
        return required_json(answer, writes=False)

    async def _catalogue(self, crm_object: str) -> Catalogue:
        if crm_object not in self._catalogues:
            kind, definitions, cursor = _kind(crm_object), list[Mapping[str, Any]](), ""
            for _page in range(FIELD_PAGES_MAX):
                page = await self._read(wire.fields_request(kind, cursor))
                found, cursor = wire.read_fields(page)
                definitions.extend(found)
                if not cursor:
                    break
            self._catalogues[crm_object] = catalogue_of(kind, definitions)
        return self._catalogues[crm_object]

    async def _catalogue_for(self, target: Target, writes: Sequence[Write]) -> Catalogue:
        """Return the fields of an object, read anew where a write names one that was not there before.

        Raises: CallFailed, FORMAT when there is no external id field.
        """
        catalogue = await self._catalogue(target.crm_object)
        named = {name for write in writes for name in write.fields}
        if any(catalogue.get(name) is None for name in (*named, target.external_id_field)):
            del self._catalogues[target.crm_object]
            catalogue = await self._catalogue(target.crm_object)
        if catalogue.get(target.external_id_field) is None:
            raise CallFailed(no_field(target.crm_object, target.external_id_field))
        return catalogue

    async def _prepare(self, target: Target) -> list[str]:
        self._catalogues.pop(target.crm_object, None)
        catalogue = await self._catalogue(target.crm_object)
        wanted = dict.fromkeys((target.external_id_field, *target.fields))
        findings: list[str] = []
        for name in wanted:
            if name not in catalogue.fields and name not in catalogue.unmapped:
                findings.extend(await self._create_field(target, name))
        catalogue = await self._catalogue(target.crm_object)
        missing = {text.partition(":")[0] for text in findings}
        gaps = (_gap(target, catalogue, name) for name in wanted)
        return [*findings, *(text for text in gaps if text and text.partition(":")[0] not in missing)]

    async def _create_field(self, target: Target, name: str) -> list[str]:
        where = f"Pipedrive {target.crm_object}.{name}"
        is_key = name == target.external_id_field
        if not is_key and not name.startswith(OWN_PREFIX):
            return [f"{where}: there is no such field; create it in Pipedrive or take it out of the policy"]
        answer = await self._http.send(wire.create_field_request(kind_of(target), name, long=not is_key))
        self._catalogues.pop(target.crm_object, None)
        if answer.status in _DONE:
            return []
        error = error_of(answer, writes=True)
        if error.error_class in {ErrorClass.PERMISSION, ErrorClass.VALIDATION, ErrorClass.FORMAT}:
            return [f"{where}: the field is missing and cannot be created: {error.message}"]
        raise CallFailed(error)


_OF_THE_RECORD: Final = frozenset(
    {ErrorClass.VALIDATION, ErrorClass.NOT_FOUND, ErrorClass.REFERENCE, ErrorClass.FORMAT}
)


def kind_of(aim: Target | Polled) -> Kind:
    """Return the object that a target, or a poll, is about.

    Raises: CallFailed, FORMAT when Pipedrive has none of that name that can be written.
    """
    return _kind(aim.crm_object)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        message = f"Pipedrive has no object {name!r} with custom fields; known: {', '.join(KINDS)}"
        raise CallFailed(VendorError(ErrorClass.FORMAT, "OBJECT_UNKNOWN", message))
    return KINDS[name]


def _gap(target: Target, catalogue: Catalogue, name: str) -> str:
    where = f"Pipedrive {target.crm_object}.{name}"
    if name in catalogue.ambiguous:
        return f"{where}: several fields bear this name; say the field's key in the policy"
    item = catalogue.get(name)
    if item is None and name in catalogue.unmapped:
        return f"{where}: a field of type {catalogue.unmapped[name]} cannot be mapped"
    if item is not None and not item.writable:
        return f"{where}: values of this field cannot be written"
    return ""


VENDOR: Final[Vendor] = PipedriveVendor()
