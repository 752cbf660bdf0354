"""The webhook sink: the conformance suite, and its messages before the standard's reference library."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from headwater.connectors.base import Account, Reference, Target, Write, Written
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.base.testing.conformance import ODD_TEXT, ConnectorConformance
from headwater.connectors.base.testing.lab import TRACEPARENT, Lab, Subject
from headwater.connectors.base.testing.wire import Wire
from headwater.connectors.webhook.client import VENDOR, WebhookVendor
from headwater.kernel.clock import SystemClock

pytestmark = [pytest.mark.anyio, pytest.mark.enable_socket]

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET: Final = "whsec_bm90LXRoZS1uZXdlc3Qtc2VjcmV0LTI0Ynl0ZXM="
PEOPLE: Final = Target("contact", "people", "external_id", ("name", "email", "text"))


@dataclass(slots=True)
class Receiver(httpx.AsyncBaseTransport):
    """Takes what the reference library verifies, once per message id."""

    secret: str = SECRET
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.requests.append(request)
        try:
            told = Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            return httpx.Response(401, json={"error": str(error)})
        changes = told["data"].get("changes", {})
        if changes.get("email") == "not-an-address":
            return httpx.Response(422, json={"error": "email is not an address"})
        self.seen[request.headers["webhook-id"]] = told
        return httpx.Response(204)

    def people(self) -> set[str]:
        """Return the external ids of everybody told of."""
        return {told["data"]["external_id"] for told in self.seen.values() if "changes" in told["data"]}


@dataclass(slots=True)
class WebhookLab(Lab):
    """A receiver."""

    receiver: Receiver = field(kw_only=True)

    def count(self) -> int:
        return len(self.receiver.people())


def an_account(url: str = "https://receiver.example/hook", **credentials: str) -> Account:
    """Return an account whose secret is the receiver's."""
    return Account("hook", url, credentials or {"secret": SECRET})


class TestWebhook(ConnectorConformance):
    """The webhook sink against a receiver of ours."""

    subject = Subject(
        vendor=VENDOR, evidence="own sandbox only", person=PEOPLE, email="email", name="name", text="text"
    )

    @pytest.fixture
    async def lab(self, anyio_backend: str) -> AsyncIterator[WebhookLab]:
        """A receiver and a sink."""
        assert anyio_backend == "asyncio"
        receiver, vendor = Receiver(), WebhookVendor()
        wire = Wire(receiver, lambda request: b"headwater.test" not in request.content)
        gate = RecordingGate(headers={"traceparent": TRACEPARENT})
        connector = vendor.open(an_account(), gate, transport=wire)
        away = Account("hook", "http://127.0.0.1:9/hook", {"secret": SECRET}, 5.0, ("127.0.0.0/8",))
        nobody = vendor.open(away, RecordingGate())
        refused = vendor.open(an_account(secret=OLD_SECRET), RecordingGate(), transport=receiver)
        yield WebhookLab(self.subject, gate, connector, wire, nobody, refused, receiver=receiver)
        for one in (connector, connector, nobody):
            await one.aclose()


@pytest.mark.evidence("webhook", "upsert", "vendor contract")
async def test_the_reference_library_verifies_every_message() -> None:
    """Unicode, empty values, references: verified by the standard's own library, and taken."""
    receiver = Receiver()
    sink = WebhookVendor().open(an_account(), RecordingGate(), transport=receiver)
    write = Write("e-1", "", {"name": ODD_TEXT, "text": None}, (Reference("company", ("c-1",)),), 7)
    assert await sink.upsert(PEOPLE, [write]) == [Written("e-1", created=False)]
    [told] = receiver.seen.values()
    assert told == {
        "type": "contact.changed",
        "data": {
            "object": "contact",
            "record": "people",
            "external_id": "e-1",
            "version": 7,
            "changes": {"name": ODD_TEXT, "text": None},
            "references": {"company": ["c-1"]},
        },
    }


@pytest.mark.evidence("webhook", "secret rotation", "vendor contract")
@pytest.mark.parametrize("held", [SECRET, OLD_SECRET])
async def test_while_secrets_change_hands_either_verifies(held: str) -> None:
    """Two active secrets sign every message: a receiver with the old one and one with the new one take it."""
    receiver = Receiver(secret=held)
    account = an_account(secret=SECRET, previous_secret=OLD_SECRET)
    sink = WebhookVendor().open(account, RecordingGate(), transport=receiver)
    assert (await sink.upsert(PEOPLE, [Write("e-1", "", {"name": "A"})])) == [Written("e-1", created=False)]
    assert receiver.requests[-1].headers["webhook-signature"].count("v1,") == 2


@pytest.mark.evidence("webhook", "secret rotation", "vendor contract")
async def test_a_secret_that_is_retired_signs_no_more() -> None:
    """After the rotation the old secret verifies nothing."""
    receiver = Receiver(secret=OLD_SECRET)
    sink = WebhookVendor().open(an_account(secret=SECRET), RecordingGate(), transport=receiver)
    report = await sink.test_connection()
    assert (report.ok, receiver.seen) == (False, {})
    assert "compare the secrets" in report.findings[0]


@pytest.mark.evidence("webhook", "lost answer", "vendor contract")
async def test_a_repeat_has_the_id_of_its_first_sending_and_another_change_has_its_own() -> None:
    """Same change, same id; back to an earlier value is another version and so another id."""
    receiver = Receiver()
    sink = WebhookVendor().open(an_account(), RecordingGate(), transport=receiver, clock=SystemClock())
    for value, version in (("A", 1), ("A", 1), ("B", 2), ("A", 3)):
        await sink.upsert(PEOPLE, [Write("e-1", "", {"name": value}, (), version)])
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert (ids[0] == ids[1], len(set(ids))) == (True, 3)
    assert json.loads(receiver.requests[0].content) == json.loads(receiver.requests[1].content)
