"""The HubSpot connector: orders the calls of one port operation. Requests and answers are `wire`'s business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from headwater.connectors.base.batch import Refused, check_batch, parts_of, settle
from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.conditions import WriteConditions
from headwater.connectors.base.describing import ApiVersions, FieldShape
from headwater.connectors.base.doubt import InDoubtProtocol, Promise, WriteKind, keyed_kind
from headwater.connectors.base.errors import CallFailed, ErrorClass
from headwater.connectors.base.expiring import Expiry, credential_expiries
from headwater.connectors.base.fetching import Fetched
from headwater.connectors.base.http import HttpCaller, Request, required_json
from headwater.connectors.base.oauth import AuthorizedHttp, token_source
from headwater.connectors.base.polling import Page, Polled, Seen
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
from headwater.connectors.base.sweeping import Probe, Span, Swept, SweptPage
from headwater.connectors.hubspot import conditions, describing, fetching, polling, sweeping, wire
from headwater.connectors.hubspot.auth import OAUTH, refresher
from headwater.connectors.hubspot.erasing import HubSpotErasures
from headwater.connectors.hubspot.errors import concerns_records, error_of
from headwater.connectors.hubspot.limits import read_limits
from headwater.connectors.hubspot.merging import HubSpotMerges
from headwater.connectors.hubspot.removing import HubSpotRemovals

OWN_PREFIX: Final = "headwater_"
"""Custom properties of this prefix are ours to create."""

_DONE: Final = frozenset({200, 201, 207})
_NOT_FOUND: Final = 404
_PROBED: Final = "contacts"


CAPABILITIES: Final = Capabilities(
    objects=("contacts", "companies", "deals", "leads", "emails", "calls", "meetings", "notes", "tasks"),
    batch_records_max=wire.BATCH_RECORDS_MAX,
    references=True,
    conflicts=True,
    merge=True,
    delete=True,
    remove=True,
    polling=True,
    sweeping=True,
    schema_discovery=True,
    conditions=True,
    tokens=True,
    limits=("window", "daily", "retry_after"),
)


IN_DOUBT: Final[InDoubtProtocol] = {
    WriteKind.UPSERT: Promise(
        repeat_safe=True,
        reason="a batch upsert by a unique property finds the record of the first try and answers new=false "
        "(CRM API v3, batch upsert; recorded)",
    ),
    WriteKind.UPDATE: Promise(
        repeat_safe=True, reason="a batch update by record id sets the same values again (CRM API v3)"
    ),
}
"""What follows a write whose answer was lost: every kind is keyed, so a repeat changes nothing."""


class HubSpotVendor:
    """HubSpot as the registry finds it."""

    name = "hubspot"
    capabilities = CAPABILITIES
    fails_by_endpoint = False
    in_doubt = IN_DOUBT
    oauth = OAUTH

    def write_kind(self, target: Target, write: Write) -> WriteKind:  # noqa: ARG002 - all objects alike
        """Return the kind of *write*: an update by record id where it is known, else an upsert by property."""
        return keyed_kind(write)

    def open(
        self, account: Account, gate: CallGate, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> HubSpotConnector:
        """Return a connector; no I/O yet.

        Raises:
            InvalidInput: the credentials lack a part.
        """
        http = HttpCaller(account, gate, read_limits, transport=transport)
        tokens = token_source(account, refresher(account, http))
        ends = credential_expiries(account.name, account.credentials)
        return HubSpotConnector(AuthorizedHttp(http, tokens), ends)


class HubSpotConnector:
    """One HubSpot account."""

    sweep_records_max = sweeping.SWEEP_RECORDS_MAX
    read_records_max = sweeping.READ_RECORDS_MAX

    def __init__(self, http: AuthorizedHttp, ends: Sequence[Expiry] = ()) -> None:
        self._http = http
        self._ends = tuple(ends)
        self._types: dict[str, Mapping[str, str]] = {}
        self.merging = HubSpotMerges(http, self._properties)
        self.removing = HubSpotRemovals(http)
        self.erasing = HubSpotErasures(http)

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Create missing properties of ours, report every other gap."""
        findings: list[str] = []
        for target in targets:
            findings.extend(await self._prepare(target))
        ready = "HubSpot: every property is there and can be written"
        return Report.of(findings, ready)

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Bring about the writes, then their associations."""
        check_batch(writes, wire.BATCH_RECORDS_MAX)
        by_id = {write.external_id: write for write in writes}
        upserts, updates, refused = parts_of(writes)

        async def send(keys: Sequence[str]) -> Mapping[str, Outcome] | Refused:
            return await self._send(target, [by_id[key] for key in keys])

        outcomes = refused | await settle([upserts, updates], send)
        outcomes |= await self._associate(target, writes, outcomes)
        return [outcomes[write.external_id] for write in writes]

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the records that hold these external ids."""
        types = await self._property_types(target.crm_object)
        ids = list(dict.fromkeys(external_ids))
        found: dict[str, Found] = {}
        for start in range(0, len(ids), wire.BATCH_RECORDS_MAX):
            request = wire.read_request(target, ids[start : start + wire.BATCH_RECORDS_MAX])
            found |= wire.read_found(await self._read(request), target, types)
        return found

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the external ids of these records."""
        ids = list(dict.fromkeys(crm_ids))
        owners: dict[str, str] = {}
        for start in range(0, len(ids), wire.BATCH_RECORDS_MAX):
            request = wire.owners_request(target, ids[start : start + wire.BATCH_RECORDS_MAX])
            owners |= wire.read_owners(await self._read(request), target)
        return owners

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return changes behind *cursor*; see the port of pollers."""
        types = await self._property_types(polled.crm_object)
        body = await self._read(polling.request_of(polled, cursor, limit))
        return polling.page_of(polled, cursor, limit, body, types, now)

    def cursor_at(self, since: dt.datetime | None) -> str:
        """Return the cursor that begins with the changes of *since*."""
        return polling.cursor_at(since)

    def page_records_max(self, polled: Polled) -> int:
        """Return how many records one call tells at most."""
        del polled
        return polling.SEARCH_RECORDS_MAX

    async def count(self, polled: Polled, since: dt.datetime | None) -> int:
        """Return how many records were changed last from *since* on; see the port of pollers."""
        return polling.count_of(await self._read(polling.count_request(polled, since)))

    async def fetch(self, polled: Polled, crm_ids: Sequence[str]) -> Fetched:
        """Return records by id; see the port of fetchers. One call, and one more for each that is not there."""
        types = await self._property_types(polled.crm_object)
        body = await self._read(fetching.read_request(polled, crm_ids))
        records = fetching.records_of(polled, body, types)
        deleted: list[Seen] = []
        absent: list[str] = []
        for crm_id in set(crm_ids) - {item.crm_id for item in records}:
            answer = await self._http.send(fetching.archived_request(polled, crm_id))
            if answer.status in _DONE:
                deleted.append(fetching.archived_of(required_json(answer, writes=False)))
            elif answer.status == _NOT_FOUND:
                absent.append(crm_id)
            else:
                raise CallFailed(error_of(answer, writes=False))
        return Fetched(records, tuple(deleted), tuple(absent))

    async def probe(self, swept: Swept, span: Span) -> Probe:
        """Return how many records a span has; see the port of sweepers."""
        return sweeping.probe_of(swept, await self._read(sweeping.probe_request(swept, span)))

    async def sweep(self, swept: Swept, span: Span) -> SweptPage:
        """Return the first records of a span; see the port of sweepers."""
        types = await self._property_types(swept.crm_object)
        return sweeping.page_of(swept, span, await self._read(sweeping.sweep_request(swept, span)), types)

    async def read(self, swept: Swept, crm_ids: Sequence[str]) -> Mapping[str, Seen]:
        """Return records by id; see the port of sweepers."""
        types = await self._property_types(swept.crm_object)
        return sweeping.read_of(swept, await self._read(sweeping.read_request(swept, crm_ids)), types)

    async def schema(self, crm_object: str) -> Mapping[str, FieldShape]:
        """Return every property of an object; see the port."""
        required = (await self.conditions(crm_object)).required
        return describing.schema_of(await self._properties(crm_object), required)

    async def api_versions(self) -> ApiVersions | None:
        """Return nothing: HubSpot has no list of its versions."""
        return None

    async def expiries(self) -> Sequence[Expiry]:
        """Return what the credentials say of their end."""
        return self._ends

    async def renew(self, expiry: Expiry) -> Expiry:
        """Return *expiry* as it is: a person must connect the account again."""
        return expiry

    async def conditions(self, crm_object: str) -> WriteConditions:
        """Return what meets records that are written; see the port of inspections."""
        return await conditions.conditions(self._read, crm_object)

    async def test_connection(self) -> Report:
        """Fetch a token, read one contact, and say what to do when either fails."""
        try:
            await self._read(wire.probe_request(_PROBED))
        except CallFailed as failed:
            return Report(ok=False, findings=(explain("HubSpot", failed.error),))
        return Report(ok=True, findings=("HubSpot: the token is accepted and contacts can be read",))

    async def granted_scopes(self) -> tuple[str, ...] | None:
        """Return what the token was granted, as its answer told."""
        return await self._http.granted_scopes()

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _send(self, target: Target, writes: Sequence[Write]) -> Mapping[str, Outcome] | Refused:
        build = wire.update_request if writes[0].crm_id else wire.upsert_request
        answer = await self._http.send(build(target, writes))
        if answer.status in _DONE:
            return wire.read_outcomes(required_json(answer, writes=True), target, writes)
        error = error_of(answer, writes=True)
        keys = wire.concerned(error, answer.json(), writes)
        if concerns_records(error) and (keys or error.code != "PROPERTY_DOESNT_EXIST"):
            return Refused(error, keys)
        raise CallFailed(error)

    async def _associate(
        self, target: Target, writes: Sequence[Write], outcomes: Mapping[str, Outcome]
    ) -> dict[str, Outcome]:
        """Return the outcomes of records whose associations failed; those that are associated stay out."""
        failed: dict[str, Outcome] = {}
        for to_object, pairs in _pairs(writes, outcomes).items():
            for start in range(0, len(pairs), wire.ASSOCIATIONS_MAX):
                chunk = pairs[start : start + wire.ASSOCIATIONS_MAX]
                settled = await self._associate_chunk(target, to_object, chunk)
                failed |= {
                    pair.external_id: Failed(wire.as_reference(outcome.error))
                    for pair, outcome in settled.items()
                    if isinstance(outcome, Failed)
                }
        return failed

    async def _associate_chunk(
        self, target: Target, to_object: str, pairs: Sequence[wire.Pair]
    ) -> dict[wire.Pair, Outcome]:
        async def send(part: Sequence[wire.Pair]) -> Mapping[wire.Pair, Outcome] | Refused:
            answer = await self._http.send(wire.associate_request(target, to_object, part))
            if answer.status in _DONE:
                return wire.read_associated(required_json(answer, writes=True), part)
            error = wire.as_reference(error_of(answer, writes=True))
            if error.error_class is ErrorClass.REFERENCE:
                return Refused(error)
            raise CallFailed(error)

        try:
            return await settle([pairs], send)
        except CallFailed as failed:
            return dict.fromkeys(pairs, Failed(failed.error))

    async def _read(self, request: Request) -> Any:
        answer = await self._http.send(request)
        if answer.status not in _DONE:
            raise CallFailed(error_of(answer, writes=False))
        return required_json(answer, writes=False)

    async def _properties(self, crm_object: str) -> dict[str, Mapping[str, Any]]:
        known = wire.read_properties(await self._read(wire.properties_request(crm_object)))
        self._types[crm_object] = {name: str(item.get("type")) for name, item in known.items()}
        return known

    async def _property_types(self, crm_object: str) -> Mapping[str, str]:
        if crm_object not in self._types:
            await self._properties(crm_object)
        return self._types[crm_object]

    async def _prepare(self, target: Target) -> list[str]:
        known = await self._properties(target.crm_object)
        wanted = (target.external_id_field, *target.fields)
        findings: list[str] = []
        for name in dict.fromkeys(name for name in wanted if name not in known):
            findings.extend(await self._create_property(target, name, known))
        return [*findings, *_gaps(target, known)]

    async def _create_property(
        self, target: Target, name: str, known: Mapping[str, Mapping[str, Any]]
    ) -> list[str]:
        where = f"HubSpot {target.crm_object}.{name}"
        unique = name == target.external_id_field
        if not unique and not name.startswith(OWN_PREFIX):
            return [f"{where}: there is no such property; create it in HubSpot or take it out of the policy"]
        request = wire.create_property_request(target.crm_object, name, known, unique=unique)
        answer = await self._http.send(request)
        if answer.status in _DONE:
            return []
        error = error_of(answer, writes=True)
        if error.error_class is ErrorClass.CONFLICT:  # made by another in the meantime
            return _gaps(target, await self._properties(target.crm_object))
        if error.error_class in {ErrorClass.PERMISSION, ErrorClass.VALIDATION, ErrorClass.FORMAT}:
            return [f"{where}: the property is missing and cannot be created: {error.message}"]
        raise CallFailed(error)


def _gaps(target: Target, known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    where = f"HubSpot {target.crm_object}"
    findings = [
        f"{where}.{name}: values of this property cannot be written"
        for name in target.fields
        if name in known and wire.read_only(known[name])
    ]
    key = known.get(target.external_id_field)
    if key is not None and key.get("hasUniqueValue") is not True:
        findings.append(
            f"{where}.{target.external_id_field}: the external id property is not unique and cannot be made so; "
            "name another one in the policy or delete the property"
        )
    return findings


def _pairs(writes: Sequence[Write], outcomes: Mapping[str, Outcome]) -> dict[str, list[wire.Pair]]:
    pairs: dict[str, list[wire.Pair]] = {}
    for write in writes:
        outcome = outcomes[write.external_id]
        if isinstance(outcome, Written):
            for reference in write.references:
                of_object = pairs.setdefault(reference.name, [])
                of_object.extend(
                    wire.Pair(write.external_id, outcome.crm_id, crm_id)
                    for crm_id in dict.fromkeys(reference.crm_ids)
                )
    return pairs


VENDOR: Final[Vendor] = HubSpotVendor()
