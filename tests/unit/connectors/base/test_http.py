"""The shared HTTP part: what each failure proves."""

from __future__ import annotations

import anyio
import httpx
import pytest
from tests.unit.connectors.scripted import an_account

from headwater.connectors.base import CallFailed, ErrorClass, LimitFacts
from headwater.connectors.base import http as base_http
from headwater.connectors.base.http import (
    Answer,
    HttpCaller,
    Request,
    failure_of_status,
    readable,
    retry_after_s,
)
from headwater.connectors.base.testing import RecordingGate

pytestmark = pytest.mark.anyio

WRITE = Request("POST", "/things", "/things", "write", body={"a": 1})
READ = Request("GET", "/things", "/things", "read")


class Raising(httpx.AsyncBaseTransport):
    """A transport that fails in one way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002
        """Fail."""
        raise self._error


class Hanging(httpx.AsyncBaseTransport):
    """A transport that never answers, and tells how far the request got."""

    def __init__(self, event: str) -> None:
        self._event = event

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Never return."""
        await request.extensions["trace"](self._event, {})
        await anyio.sleep_forever()
        raise AssertionError


class Broken(httpx.AsyncByteStream):
    """A body that breaks off."""

    async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        yield b'{"half'
        raise httpx.ReadError("reset")


async def failing(
    transport: httpx.AsyncBaseTransport, request: Request, timeout_s: float = 5.0
) -> tuple[CallFailed, RecordingGate]:
    """Send *request* and return how it failed."""
    gate = RecordingGate()
    async with HttpCaller(
        an_account(timeout_s=timeout_s), gate, lambda _headers: LimitFacts(), transport=transport
    ) as http:
        with pytest.raises(CallFailed) as failed:
            await http.send(request)
    return failed.value, gate


@pytest.mark.parametrize(
    ("error", "for_write", "for_read"),
    [
        (httpx.ConnectError("refused"), ErrorClass.NETWORK, ErrorClass.NETWORK),
        (httpx.ConnectTimeout("slow"), ErrorClass.TIMEOUT, ErrorClass.TIMEOUT),
        (httpx.PoolTimeout("busy"), ErrorClass.TIMEOUT, ErrorClass.TIMEOUT),
        (httpx.ReadTimeout("slow"), ErrorClass.IN_DOUBT, ErrorClass.TIMEOUT),
        (httpx.WriteError("reset"), ErrorClass.IN_DOUBT, ErrorClass.NETWORK),
        (httpx.ReadError("reset"), ErrorClass.IN_DOUBT, ErrorClass.NETWORK),
        (httpx.RemoteProtocolError("closed"), ErrorClass.IN_DOUBT, ErrorClass.NETWORK),
    ],
)
async def test_send_tells_certain_loss_from_doubt(
    error: Exception, for_write: ErrorClass, for_read: ErrorClass
) -> None:
    """Only what surely never left is NETWORK or TIMEOUT for a write; a read can always be repeated."""
    assert (await failing(Raising(error), WRITE))[0].error.error_class is for_write
    assert (await failing(Raising(error), READ))[0].error.error_class is for_read


async def test_send_is_in_doubt_when_the_body_breaks_off() -> None:
    """An answer that was begun and not finished proves nothing about a write."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Broken()))
    failed, gate = await failing(transport, WRITE)
    assert failed.error.error_class is ErrorClass.IN_DOUBT
    assert gate.calls[0].status == 200


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("connection.connect_tcp.started", ErrorClass.TIMEOUT),
        ("http11.send_request_headers.started", ErrorClass.IN_DOUBT),
    ],
)
async def test_send_is_bounded_and_knows_how_far_it_got(event: str, expected: ErrorClass) -> None:
    """The whole call ends at the account's timeout, in doubt only if something was sent."""
    failed, _gate = await failing(Hanging(event), WRITE, timeout_s=0.02)
    assert (failed.error.error_class, failed.error.code) == (expected, "TIMEOUT")


async def test_send_is_in_doubt_when_the_answer_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the cap is not read to its end."""
    monkeypatch.setattr(base_http, "RESPONSE_BYTES_MAX", 10)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=b"x" * 11))
    failed, _gate = await failing(transport, WRITE)
    assert (failed.error.error_class, failed.error.code) == (ErrorClass.IN_DOUBT, "AnswerTooLarge")


async def test_send_follows_no_redirect() -> None:
    """A redirect is an answer: the token goes nowhere else."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(307, headers={"Location": "https://elsewhere.test/"})

    gate = RecordingGate()
    transport = httpx.MockTransport(answer)
    async with HttpCaller(an_account(), gate, lambda _headers: LimitFacts(), transport=transport) as http:
        got = await http.send(WRITE, token="t")
    assert (got.status, seen) == (307, ["https://api.vendor.test/things"])
    assert failure_of_status(got, writes=True).error_class is ErrorClass.FORMAT


async def test_send_carries_the_ticket_and_reports_the_answer() -> None:
    """The gate's headers go out; status and limit facts come back to it."""
    seen: dict[str, str] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen.update(request.headers)
        return httpx.Response(200, json={}, headers={"X-Left": "7"})

    gate = RecordingGate(headers={"traceparent": "00-a-b-01"})
    transport = httpx.MockTransport(answer)
    async with HttpCaller(
        an_account(),
        gate,
        lambda headers: LimitFacts(window_remaining=int(headers["x-left"])),
        transport=transport,
    ) as http:
        await http.send(WRITE, token="t", resend_count=1)
    assert (seen["traceparent"], seen["authorization"]) == ("00-a-b-01", "Bearer t")
    assert (gate.calls[0].status, gate.calls[0].facts.window_remaining, gate.calls[0].resend_count) == (
        200,
        7,
        1,
    )


async def test_refusals_are_quoted_without_secrets() -> None:
    """A vendor that echoes credentials does not get them into messages."""
    echo = "client a-secret-value with token tok-123 was refused"
    transport = httpx.MockTransport(lambda _request: httpx.Response(400, text=echo))
    async with HttpCaller(
        an_account(), RecordingGate(), lambda _headers: LimitFacts(), transport=transport
    ) as http:
        got = await http.send(WRITE, token="tok-123")
    assert failure_of_status(got, writes=True).message == "client *** with token *** was refused"


@pytest.mark.parametrize(
    ("status", "writes", "expected"),
    [
        (500, True, ErrorClass.SERVER),
        (503, True, ErrorClass.SERVER),
        (502, True, ErrorClass.IN_DOUBT),
        (504, True, ErrorClass.IN_DOUBT),
        (502, False, ErrorClass.SERVER),
        (401, True, ErrorClass.AUTH),
        (403, True, ErrorClass.PERMISSION),
        (429, True, ErrorClass.RATE_LIMIT),
        (404, True, ErrorClass.FORMAT),
    ],
)
def test_status_alone_decides_when_there_is_no_code(status: int, writes: bool, expected: ErrorClass) -> None:  # noqa: FBT001
    """Gateways are in doubt about writes; the rest follows the status."""
    assert failure_of_status(Answer(status, {}, b""), writes=writes).error_class is expected


def test_readable_strips_markup_and_bounds_length() -> None:
    """An error page becomes one line of words, never more than 512 characters."""
    page = (
        "<html><head><style>p{}</style><title>502</title></head><body><h1>Bad &amp; gone</h1></body></html>"
    )
    assert readable(page) == "502 Bad & gone"
    assert len(readable("y" * 2000)) == 512
    assert readable("1 < 2 but > 0") == "1 < 2 but > 0"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
    ],
)
def test_retry_after_reads_seconds_and_dates(headers: dict[str, str], expected: float | None) -> None:
    """Both forms of RFC 9110 are understood, a date by the answer's own clock."""
    assert retry_after_s(headers) == expected
