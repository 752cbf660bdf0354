"""The webhook sink: what it refuses to call, and how it reads answers."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from headwater.connectors.base import Account, CallFailed, ErrorClass, Failed, Target, Write, Written
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.webhook.client import GONE_S, WebhookConnector, WebhookVendor
from headwater.connectors.webhook.wire import PAYLOAD_BYTES_MAX
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import InvalidInput

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PEOPLE = Target("contact", "people", "external_id", ("name",))
ONE = Write("e-1", "", {"name": "A"})
Answer = Callable[[httpx.Request], httpx.Response]


def a_sink(answer: Answer, clock: SteppedClock | None = None) -> WebhookConnector:
    """Return a sink whose receiver answers by *answer*."""
    account = Account("hook", "https://receiver.example/hook", {"secret": SECRET})
    return WebhookVendor().open(account, RecordingGate(), transport=httpx.MockTransport(answer), clock=clock)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, ErrorClass.AUTH),
        (307, ErrorClass.AUTH),
        (401, ErrorClass.AUTH),
        (403, ErrorClass.PERMISSION),
        (404, ErrorClass.SERVER),
        (408, ErrorClass.TIMEOUT),
        (410, ErrorClass.AUTH),
        (415, ErrorClass.FORMAT),
        (429, ErrorClass.RATE_LIMIT),
        (500, ErrorClass.SERVER),
        (502, ErrorClass.IN_DOUBT),
        (504, ErrorClass.IN_DOUBT),
    ],
)
async def test_answers_about_the_endpoint_fail_the_call(status: int, expected: ErrorClass) -> None:
    """What is wrong with the endpoint is not laid at a record's door."""
    with pytest.raises(CallFailed) as failed:
        await a_sink(lambda _request: httpx.Response(status)).upsert(PEOPLE, [ONE])
    assert failed.value.error.error_class is expected


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_answers_about_a_message_fail_its_record_alone(status: int) -> None:
    """A refused message is parked, its neighbour is sent."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status if b"e-1" in request.content else 200)

    outcomes = await a_sink(answer).upsert(PEOPLE, [ONE, Write("e-2", "", {"name": "B"})])
    assert isinstance(outcomes[0], Failed)
    assert outcomes[0].error.error_class is ErrorClass.VALIDATION
    assert outcomes[1] == Written("e-2", created=False)


async def test_redirects_are_not_followed() -> None:
    """One call, and the place is told: the next hop was never checked."""
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(str(request.url))
        return httpx.Response(302, headers={"Location": "http://169.254.169.254/latest/meta-data"})

    with pytest.raises(CallFailed) as failed:
        await a_sink(answer).upsert(PEOPLE, [ONE])
    assert calls == ["https://receiver.example/hook"]
    assert (failed.value.error.code, "169.254" in failed.value.error.message) == ("REDIRECTED", True)


async def test_an_endpoint_that_is_gone_is_left_alone_for_a_while() -> None:
    """After 410 nothing is sent for an hour; then it is asked once more."""
    clock, calls = SteppedClock(), list[int]()

    def answer(_request: httpx.Request) -> httpx.Response:
        calls.append(1)
        return httpx.Response(410)

    sink = a_sink(answer, clock)
    for _ in range(3):
        with pytest.raises(CallFailed, match="ENDPOINT_GONE"):
            await sink.upsert(PEOPLE, [ONE])
    assert len(calls) == 1
    clock.advance(GONE_S + 1)
    with pytest.raises(CallFailed):
        await sink.upsert(PEOPLE, [ONE])
    assert len(calls) == 2


async def test_a_message_too_large_is_never_sent() -> None:
    """Receivers refuse it anyhow; the record is told."""
    big = Write("e-1", "", {"name": "x" * PAYLOAD_BYTES_MAX})
    [outcome] = await a_sink(lambda _request: httpx.Response(200)).upsert(PEOPLE, [big])
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "MESSAGE_TOO_LARGE"


async def test_an_answer_of_any_size_is_not_read_whole() -> None:
    """More than 64 KiB is no answer: whether the message was taken is then not known."""
    sink = a_sink(lambda _request: httpx.Response(200, content=b"x" * 100_000))
    with pytest.raises(CallFailed) as failed:
        await sink.upsert(PEOPLE, [ONE])
    assert failed.value.error.error_class is ErrorClass.IN_DOUBT


async def test_a_batch_that_breaks_half_way_keeps_what_was_taken() -> None:
    """The first message is written, the second failed, the third was not sent."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503 if b"e-2" in request.content else 200)

    writes = [Write(f"e-{number}", "", {"name": "A"}) for number in (1, 2, 3)]
    first, second, third = await a_sink(answer).upsert(PEOPLE, writes)
    assert isinstance(first, Written)
    assert isinstance(second, Failed)
    assert isinstance(third, Failed)
    assert third.error.message.startswith("not sent")


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("http://receiver.example/hook", {"secret": SECRET}),
        ("https://user:pw@receiver.example/", {"secret": SECRET}),
        ("https://2130706433/", {"secret": SECRET}),
        ("https://receiver.example/", {}),
        ("https://receiver.example/", {"secret": "whsec_c2hvcnQ="}),
        ("https://receiver.example/", {"secret": SECRET, "previous_secret": "not base64!"}),
    ],
)
def test_an_account_that_may_not_be_opened_is_refused(url: str, credentials: dict[str, str]) -> None:
    """Plain http, users, odd addresses, missing, short and malformed secrets; no secret stands in the refusal."""
    with pytest.raises(InvalidInput) as refused:
        WebhookVendor().open(Account("hook", url, credentials), RecordingGate())
    assert not any(text and text in str(refused.value) for text in credentials.values())
