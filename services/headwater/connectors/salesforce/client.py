"""The Salesforce connector: orders the calls of one port operation. Requests and answers are `wire`'s business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
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
from headwater.connectors.base.http import Answer, HttpCaller, Request, required_json
from headwater.connectors.base.oauth import AuthorizedHttp, token_source
from headwater.connectors.base.polling import Page, Polled, Seen
from headwater.connectors.base.port import Account, CallGate, Found, Outcome, Report, Target, Vendor, Write
from headwater.connectors.base.reports import explain
from headwater.connectors.base.streaming import Hearing, Listened
from headwater.connectors.base.sweeping import Probe, Span, Swept, SweptPage
from headwater.connectors.salesforce import conditions, describing, leads, polling, sweeping, wire
from headwater.connectors.salesforce.auth import OAUTH, refresher
from headwater.connectors.salesforce.bulk import SalesforceBulk
from headwater.connectors.salesforce.change_events import topic_of
from headwater.connectors.salesforce.erasing import SalesforceErasures
from headwater.connectors.salesforce.errors import concerns_records, error_of
from headwater.connectors.salesforce.limits import read_limits
from headwater.connectors.salesforce.merging import SalesforceMerges
from headwater.connectors.salesforce.merging_wire import session_refused
from headwater.connectors.salesforce.pubsub import PubSub
from headwater.connectors.salesforce.removing import SalesforceRemovals
from headwater.kernel.errors import InvalidInput

QUERY_PAGES_MAX: Final = 50
"""Pages followed for one look-up query; it asks for at most 200 unique values, so one is usual."""

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404


CAPABILITIES: Final = Capabilities(
    objects=("Contact", "Account", "Opportunity", "Lead", "Task", "Event"),
    batch_records_max=wire.BATCH_RECORDS_MAX,
    references=True,
    conflicts=True,
    merge=True,
    delete=True,
    remove=True,
    bulk=True,
    polling=True,
    streaming=True,
    sweeping=True,
    schema_discovery=True,
    conditions=True,
    tokens=True,
    ordered_answers=True,
    limits=("daily", "retry_after"),
)


IN_DOUBT: Final[InDoubtProtocol] = {
    WriteKind.UPSERT: Promise(
        repeat_safe=True,
        reason="a collection upsert by external id updates the record that the first try made "
        "(REST API Developer Guide, Upsert Multiple Records)",
    ),
    WriteKind.UPDATE: Promise(
        repeat_safe=True,
        reason="a collection update by Id sets the same values again (REST API Developer Guide)",
    ),
}
"""What follows a write whose answer was lost: every kind is keyed, so a repeat changes nothing."""


class SalesforceVendor:
    """Salesforce as the registry finds it."""

    name = "salesforce"
    capabilities = CAPABILITIES
    fails_by_endpoint = False
    in_doubt = IN_DOUBT
    oauth = OAUTH

    def write_kind(self, target: Target, write: Write) -> WriteKind:  # noqa: ARG002 - all objects alike
        """Return the kind of *write*: an update by Id where it is known, else an upsert by external id."""
        return keyed_kind(write)

    def topics(self, crm_objects: Sequence[str]) -> Sequence[str]:
        """Return the topics of change events of objects; see the port of listeners."""
        return [topic_of(name) for name in dict.fromkeys(crm_objects)]

    def open(
        self, account: Account, gate: CallGate, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> SalesforceConnector:
        """Return a connector; no I/O yet.

        Raises:
            InvalidInput: the credentials lack a part, or `api_version` is not like v61.0.
        """
        http = HttpCaller(account, gate, read_limits, transport=transport)
        tokens = token_source(account, refresher(account, http))
        version = account.credentials.get("api_version") or wire.DEFAULT_API_VERSION
        if not wire.API_VERSION.fullmatch(version):
            raise InvalidInput(
                f"api_version of connector {account.name!r} is {version!r}; it must be like v61.0",
                reason="API_VERSION_MALFORMED",
            )
        ends = credential_expiries(account.name, account.credentials)
        connector = SalesforceConnector(AuthorizedHttp(http, tokens, _session_refused), version, ends)
        connector.events = PubSub(account, gate, tokens, connector.org_id)
        return connector


class SalesforceConnector:
    """One Salesforce org."""

    sweep_records_max = sweeping.SWEEP_RECORDS_MAX
    read_records_max = sweeping.READ_RECORDS_MAX

    def __init__(self, http: AuthorizedHttp, version: str, ends: Sequence[Expiry] = ()) -> None:
        self._http = http
        self._version = version
        self._ends = tuple(ends)
        self.bulk = SalesforceBulk(http, version, self._query)
        self.merging = SalesforceMerges(http, version)
        self.removing = SalesforceRemovals(http, version)
        self.erasing = SalesforceErasures(http, version)
        self.events: PubSub | None = None

    def listen(self, listened: Listened, mark: str) -> AbstractAsyncContextManager[Hearing]:
        """Open a stream of change events; see the port of listeners."""
        assert self.events is not None  # noqa: S101 - set where it is opened
        return self.events.listen(listened, mark)

    async def org_id(self) -> str:
        """Return the org's id. Raises: CallFailed."""
        (org,) = await self._query(["SELECT Id FROM Organization LIMIT 1"])
        return str(org["Id"])

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Describe every object and report its gaps; the REST data API cannot create fields."""
        findings: list[str] = []
        for target in targets:
            findings.extend(await self._gaps(target))
        ready = "Salesforce: every object, external id field and field is there and can be written"
        return Report.of(findings, ready)

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Bring about the writes, references among them."""
        check_batch(writes, wire.BATCH_RECORDS_MAX)
        by_id = {write.external_id: write for write in writes}
        upserts, updates, refused = parts_of(writes)

        async def send(keys: Sequence[str]) -> Mapping[str, Outcome] | Refused:
            return await self._send(target, [by_id[key] for key in keys])

        outcomes = refused | await settle([upserts, updates], send)
        return [outcomes[write.external_id] for write in writes]

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the records that hold these external ids."""
        queries = wire.look_up_queries(target, external_ids)
        return wire.read_found(await self._query(queries), target)

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the external ids of these records."""
        bare = replace(target, fields=())
        return wire.read_owners(await self._query(wire.look_up_queries(bare, crm_ids, key="Id")), target)

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return changes behind *cursor*; see the port of pollers."""
        request = polling.request_of(polled, cursor, limit, self._version)
        return polling.page_of(polled, cursor, limit, await self._read(request), now)

    def cursor_at(self, since: dt.datetime | None) -> str:
        """Return the cursor that begins with the changes of *since*."""
        return polling.cursor_at(since)

    def page_records_max(self, polled: Polled) -> int:
        """Return how many records one call tells at most."""
        del polled
        return polling.QUERY_RECORDS_MAX

    async def count(self, polled: Polled, since: dt.datetime | None) -> int:
        """Return how many records were changed last from *since* on; see the port of pollers."""
        return polling.count_of(await self._read(polling.count_request(polled, since, self._version)))

    async def fetch(self, polled: Polled, crm_ids: Sequence[str]) -> Fetched:
        """Return records by id; see the port of fetchers. One call."""
        request = polling.fetch_request(polled, crm_ids, self._version)
        return polling.fetched_of(polled, crm_ids, await self._read(request))

    async def probe(self, swept: Swept, span: Span) -> Probe:
        """Return how many records a span has; see the port of sweepers."""
        return sweeping.probe_of(await self._read(sweeping.probe_request(self._version, swept, span)))

    async def sweep(self, swept: Swept, span: Span) -> SweptPage:
        """Return the first records of a span; see the port of sweepers."""
        body = await self._read(sweeping.sweep_request(self._version, swept, span))
        return sweeping.page_of(swept, span, body)

    async def read(self, swept: Swept, crm_ids: Sequence[str]) -> Mapping[str, Seen]:
        """Return records by id; see the port of sweepers."""
        return sweeping.read_of(swept, await self._read(sweeping.read_request(self._version, swept, crm_ids)))

    async def schema(self, crm_object: str) -> Mapping[str, FieldShape]:
        """Return every field of an object; see the port."""
        return describing.schema_of(await self._read(wire.describe_request(self._version, crm_object)))

    async def api_versions(self) -> ApiVersions | None:
        """Return which versions are served; see the port."""
        return describing.versions_of(await self._read(describing.versions_request()), self._version)

    async def expiries(self) -> Sequence[Expiry]:
        """Return what the credentials say of their end."""
        return self._ends

    async def renew(self, expiry: Expiry) -> Expiry:
        """Return *expiry* as it is: a person must connect the account again."""
        return expiry

    async def _query(self, queries: Iterable[str]) -> list[Mapping[str, Any]]:
        """Return every record of *queries*, pages followed."""
        records: list[Mapping[str, Any]] = []
        for soql in queries:
            request = wire.query_request(self._version, soql)
            for _page in range(QUERY_PAGES_MAX):
                page = wire.read_page(await self._read(request))
                records.extend(page.records)
                if not page.locator:
                    break
                request = wire.next_page_request(self._version, page.locator)
        return records

    async def conditions(self, crm_object: str) -> WriteConditions:
        """Return what meets records that are written; see the port of inspections."""
        return await conditions.conditions(self._read, self._version, crm_object)

    async def test_connection(self) -> Report:
        """Fetch a token, read the org's limits, and say what to do when either fails."""
        try:
            await self._read(wire.limits_request(self._version))
        except CallFailed as failed:
            return Report(ok=False, findings=(explain("Salesforce", failed.error),))
        return Report(
            ok=True, findings=(f"Salesforce: the token is accepted and API {self._version} answers",)
        )

    async def granted_scopes(self) -> tuple[str, ...] | None:
        """Return what the token was granted, as its answer told."""
        return await self._http.granted_scopes()

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _send(self, target: Target, writes: Sequence[Write]) -> Mapping[str, Outcome] | Refused:
        build = wire.update_request if writes[0].crm_id else wire.upsert_request
        answer = await self._http.send(build(self._version, target, writes))
        if answer.status == _OK:
            outcomes = wire.read_outcomes(required_json(answer, writes=True), writes)
            return await leads.followed(self._query, target, writes, outcomes)
        error = error_of(answer, writes=True)
        keys = wire.concerned(error, writes)
        if concerns_records(error) and (keys or not error.field):
            return Refused(error, keys)
        raise CallFailed(error)

    async def _read(self, request: Request) -> Any:
        answer = await self._http.send(request)
        if answer.status != _OK:
            raise CallFailed(error_of(answer, writes=False))
        return required_json(answer, writes=False)

    async def _gaps(self, target: Target) -> list[str]:
        try:
            describe = await self._read(wire.describe_request(self._version, target.crm_object))
        except CallFailed as failed:
            if failed.error.http_status == _NOT_FOUND or failed.error.error_class is ErrorClass.PERMISSION:
                return [
                    f"Salesforce {target.crm_object}: the object is missing or not visible: {failed.error.message}"
                ]
            raise
        return wire.gaps(target, describe)


def _session_refused(answer: Answer) -> bool:
    return answer.status == _UNAUTHORIZED or session_refused(answer)


VENDOR: Final[Vendor] = SalesforceVendor()
