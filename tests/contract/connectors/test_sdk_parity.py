"""The same operation through an independent client and through our connector: one wire, two senders.

HubSpot's own client and simple-salesforce talk to a capture server on loopback; nobody here wrote their requests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import models as link_models
from hubspot.crm.contacts import models as contact_models
from hubspot.crm.properties import models as property_models
from simple_salesforce.api import Salesforce

from headwater.connectors.base import Target, Write
from headwater.connectors.base.http import Request
from headwater.connectors.hubspot import wire as hubspot_wire
from headwater.connectors.salesforce import wire as salesforce_wire
from headwater.connectors.salesforce.limits import read_limits

pytestmark = [pytest.mark.enable_socket]

CONTACTS = Target("contact", "contacts", "headwater_id", ("email", "firstname"))
CONTACT = Target("contact", "Contact", "Headwater_Id__c", ("Email", "LastName"))
DONE = {
    "status": "COMPLETE",
    "results": [],
    "startedAt": "2026-01-01T00:00:00Z",
    "completedAt": "2026-01-01T00:00:00Z",
}


@dataclass(slots=True)
class Capture:
    """What came over the wire, and what is said to it."""

    url: str
    answer: Any = field(default_factory=lambda: dict(DONE))
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def capture() -> Iterator[Capture]:
    """Serve one capture server on a free loopback port."""
    kept = Capture("")

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            kept.seen.append(
                (self.command, url.path, dict(parse_qsl(url.query)), json.loads(body or b"null"))
            )
            content = json.dumps(kept.answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_any  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()


def ours(capture: Capture, request: Request) -> tuple[str, str, dict[str, str], Any]:
    """Send our request to the capture server and return what it saw."""
    with httpx.Client(base_url=capture.url) as client:
        client.request(request.method, request.path, params=dict(request.query) or None, json=request.body)
    return capture.seen.pop()


def theirs(capture: Capture) -> tuple[str, str, dict[str, str], Any]:
    """Return what the independent client sent last."""
    method, path, query, body = capture.seen.pop()
    return method, path, query, body


@pytest.fixture
def hubspot(capture: Capture) -> Any:
    """HubSpot's own client, pointed at the capture server."""
    return HubSpot(access_token="t", host=capture.url)


@pytest.mark.evidence("hubspot", "upsert", "vendor contract")
def test_hubspot_upsert_equals_the_vendors_client(capture: Capture, hubspot: Any) -> None:
    """Batch upsert by an id property: same method, path and body."""
    model = contact_models.SimplePublicObjectBatchInputUpsert(
        id_property="headwater_id", id="e-1", object_write_trace_id="e-1", properties={"email": "a@b.example"}
    )
    batch = contact_models.BatchInputSimplePublicObjectBatchInputUpsert(inputs=[model])
    hubspot.crm.contacts.batch_api.upsert(batch)
    request = hubspot_wire.upsert_request(CONTACTS, [Write("e-1", "", {"email": "a@b.example"})])
    assert ours(capture, request) == theirs(capture)


@pytest.mark.evidence("hubspot", "upsert", "vendor contract")
def test_hubspot_update_equals_the_vendors_client(capture: Capture, hubspot: Any) -> None:
    """Batch update by record id: same method, path and body."""
    model = contact_models.SimplePublicObjectBatchInput(
        id="77", object_write_trace_id="e-1", properties={"firstname": "A", "headwater_id": "e-1"}
    )
    hubspot.crm.contacts.batch_api.update(
        contact_models.BatchInputSimplePublicObjectBatchInput(inputs=[model])
    )
    request = hubspot_wire.update_request(CONTACTS, [Write("e-1", "77", {"firstname": "A"})])
    assert ours(capture, request) == theirs(capture)


@pytest.mark.evidence("hubspot", "look_up", "vendor contract")
def test_hubspot_read_equals_the_vendors_client(capture: Capture, hubspot: Any) -> None:
    """Batch read by an id property: same body; the client adds only its default `archived=false`."""
    wanted = contact_models.BatchReadInputSimplePublicObjectId(
        id_property="headwater_id",
        properties=["headwater_id", "email", "firstname"],
        properties_with_history=[],
        inputs=[contact_models.SimplePublicObjectId(id="e-1")],
    )
    hubspot.crm.contacts.batch_api.read(wanted)
    method, path, query, body = theirs(capture)
    assert query in ({}, {"archived": "False"}, {"archived": "false"})
    assert ours(capture, hubspot_wire.read_request(CONTACTS, ["e-1"])) == (method, path, {}, body)


@pytest.mark.evidence("hubspot", "references", "vendor contract")
def test_hubspot_default_association_equals_the_vendors_client(capture: Capture, hubspot: Any) -> None:
    """v4 default association: same method, path and body."""
    pair = link_models.PublicDefaultAssociationMultiPost(
        _from=link_models.PublicObjectId(id="1"), to=link_models.PublicObjectId(id="2")
    )
    batch = link_models.BatchInputPublicDefaultAssociationMultiPost(inputs=[pair])
    hubspot.crm.associations.v4.batch_api.create_default("contacts", "companies", batch)
    request = hubspot_wire.associate_request(CONTACTS, "companies", [hubspot_wire.Pair("e", "1", "2")])
    assert ours(capture, request) == theirs(capture)


@pytest.mark.evidence("hubspot", "prepare", "vendor contract")
def test_hubspot_property_creation_fits_the_vendors_model() -> None:
    """Every member we send is one of the model's, and none that it requires is missing."""
    body = hubspot_wire.create_property_request("contacts", "headwater_id", {}, unique=True).body
    names = property_models.PropertyCreate.attribute_map
    assert set(body) <= set(names.values())
    inverse = {wire_name: name for name, wire_name in names.items()}
    property_models.PropertyCreate(**{inverse[name]: value for name, value in body.items()})


@pytest.fixture
def salesforce(capture: Capture) -> Any:
    """simple-salesforce, pointed at the capture server."""
    client = Salesforce(session_id="t", instance_url=capture.url, version="61.0")
    client.base_url = f"{capture.url}/services/data/v61.0/"
    return client


def test_salesforce_query_equals_an_independent_client(capture: Capture, salesforce: Any) -> None:
    """A query with quotes, unicode and a backslash: same path and the same decoded statement."""
    capture.answer = {"totalSize": 0, "done": True, "records": []}
    [soql] = salesforce_wire.look_up_queries(CONTACT, ["o'neil", "é\\x"])
    salesforce.query(soql)
    method, path, query, body = theirs(capture)
    assert ours(capture, salesforce_wire.query_request("v61.0", soql)) == (
        method,
        path.rstrip("/"),
        query,
        body,
    )


def test_salesforce_describe_and_limits_equal_an_independent_client(
    capture: Capture, salesforce: Any
) -> None:
    """Describe and limits: same method and path."""
    contact = salesforce.Contact
    contact.base_url = f"{salesforce.base_url}sobjects/Contact/"
    contact.describe()
    expected = theirs(capture)
    assert ours(capture, salesforce_wire.describe_request("v61.0", "Contact")) == expected
    salesforce.limits()
    method, path, query, body = theirs(capture)
    assert ours(capture, salesforce_wire.limits_request("v61.0")) == (method, path.rstrip("/"), query, body)


def test_salesforce_limit_header_is_read_as_an_independent_client_reads_it() -> None:
    """simple-salesforce's parser and ours find the same numbers."""
    for header in ("api-usage=18/5000", "api-usage=25/5000; per-app-api-usage=17/250(appName=sample-app)"):
        usage = Salesforce.parse_api_usage(header)["api-usage"]
        facts = read_limits({"sforce-limit-info": header})
        assert (facts.daily_used, facts.daily_limit) == (usage.used, usage.total)
