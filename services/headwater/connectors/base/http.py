"""One HTTP call to a vendor: through the gate, bounded, and its failures told apart by what they prove.

Owns the classes of a transport's failures. Must not know any vendor's words, nor retry.

    connect failed                              NETWORK    certainly not applied
    no connection in time                       TIMEOUT    certainly not applied
    anything after the request may have gone    IN_DOUBT   for writes; TIMEOUT or NETWORK for reads
    502, 504 on a write                         IN_DOUBT   a gateway speaks, the application may have worked
    any other 5xx                               SERVER
"""

from __future__ import annotations

import email.utils
import html
import re
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import anyio
import httpx
import msgspec

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.port import Account, CallGate, CallTicket, LimitFacts
from headwater.connectors.base.transport import transport_to

CONNECT_S_MAX: Final = 5.0
"""Seconds to a TCP and TLS connection; a vendor that is up answers in well under one."""
RESPONSE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Largest answer read; the largest known (a describe with picklists) is about 3 MB."""
MESSAGE_CHARS_MAX: Final = 512
"""From the port: `VendorError.message`."""

sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
# httpcore asks for it at each of its locks, some twenty times a call; where it is not installed, Python then searches
# the whole path: 7 % of this process. None says that there is none (Python reference, the module cache).

EndpointClass = Literal["write", "read", "search", "auth"]
ReadLimits = Callable[[Mapping[str, str]], LimitFacts]

_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "headwater",
}
_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SECRET_PARTS: Final = (
    "client_secret",
    "refresh_token",
    "access_token",
    "secret",
    "previous_secret",
    "api_key",
    "api_token",
)
_SENT_SECRETS: Final = ("refresh_token", "assertion", "code")
_GATEWAY_FAULTS: Final = frozenset({502, 504})
_BY_STATUS: Final[Mapping[int, ErrorClass]] = {
    401: ErrorClass.AUTH,
    403: ErrorClass.PERMISSION,
    408: ErrorClass.TIMEOUT,  # the vendor gave up waiting for the request
    409: ErrorClass.CONFLICT,
    429: ErrorClass.RATE_LIMIT,
}


@dataclass(frozen=True, slots=True)
class Content:
    """A body that is not JSON.

    Args:
        make: returns it for a token.
        headers: its type, and what else goes with it.
    """

    make: Callable[[str], bytes] = field(repr=False)
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """One call in the vendor's words.

    Args:
        method: HTTP method.
        path: below the account's base URL, escaped, beginning with a slash.
        url_template: `path` with placeholders, for the span's name.
        endpoint_class: `write` makes a lost answer a doubt.
        body: sent as JSON unless None.
        form: sent as a form unless None.
        content: makes the body from the token, for protocols that carry it there; with its content type.
        query: parameters, not yet escaped.
    """

    method: str
    path: str
    url_template: str
    endpoint_class: EndpointClass
    body: Any = None
    form: Mapping[str, str] | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None

    @property
    def writes(self) -> bool:
        """Whether the vendor's records may change by it."""
        return self.endpoint_class == "write"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body, None when it is not JSON (vendors do answer HTML)."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


@dataclass(slots=True)
class _Progress:
    """How far a request got, as the transport tells it."""

    traced: bool = False
    sending: bool = False

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        self.traced = True
        self.sending = self.sending or event.endswith("send_request_headers.started")

    @property
    def certainly_unsent(self) -> bool:
        return self.traced and not self.sending


class _AnswerTooLarge(Exception):
    """The answer is larger than anything a vendor sends."""


class HttpCaller:
    """Sends requests of one account; each passes the gate.

    Args:
        answer_bytes_max: largest answer read; without it as large as any vendor's.
        headers: go with every request, as a vendor's API key in a header of its own.
    """

    def __init__(
        self,
        account: Account,
        gate: CallGate,
        read_limits: ReadLimits,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        answer_bytes_max: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._answer_bytes_max = answer_bytes_max or RESPONSE_BYTES_MAX
        self._headers = {**_HEADERS, **(headers or {})}
        self.base_url = account.base_url.rstrip("/")
        self._gate = gate
        self._read_limits = read_limits
        self._timeout_s = account.timeout_s
        self._secrets = [account.credentials[part] for part in _SECRET_PARTS if account.credentials.get(part)]
        trust_env = urlsplit(account.base_url).hostname not in _LOOPBACK
        connect_s = min(CONNECT_S_MAX, account.timeout_s)
        waits_s = dict.fromkeys(("pool", "write", "read"), account.timeout_s)
        self._timeouts = {"connect": connect_s, **waits_s}
        self._transport = transport or transport_to(
            self.base_url, tls_settings(trust_env), trust_env=trust_env
        )

    async def send(
        self, request: Request, *, token: str = "", base_url: str = "", resend_count: int = 0
    ) -> Answer:
        """Send *request* once and return its whole answer, whatever its status.

        Raises: CallFailed when no whole answer came.
        Cancellation: the request may have been applied.
        """
        async with self._gate.call(
            request.method,
            request.url_template,
            endpoint_class=request.endpoint_class,
            resend_count=resend_count,
        ) as ticket:
            built = self._build(request, token, base_url or self.base_url, ticket)
            return await self._exchange(request, built, ticket, token)

    async def aclose(self) -> None:
        """Close connections."""
        await self._transport.aclose()

    def _build(self, request: Request, token: str, base_url: str, ticket: CallTicket) -> httpx.Request:
        headers = {**self._headers, **ticket.headers}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(request.body)
        if request.content is not None:
            headers = {**headers, **request.content.headers}
            content = request.content.make(token)
        return httpx.Request(
            request.method,
            base_url + request.path,
            params=dict(request.query) or None,
            headers=headers,
            content=content,
            data=None if request.form is None else dict(request.form),
            extensions={"timeout": self._timeouts},
        )

    async def _exchange(
        self, request: Request, built: httpx.Request, ticket: CallTicket, token: str
    ) -> Answer:
        progress = _Progress()
        built.extensions = {**built.extensions, "trace": progress.trace}
        try:
            with anyio.fail_after(self._timeout_s):
                answer = await self._read(built, ticket)
        except (httpx.RequestError, TimeoutError, _AnswerTooLarge) as error:
            unsent = isinstance(error, _UNSENT) or progress.certainly_unsent
            raise CallFailed(_transport_failure(error, unsent=unsent, writes=request.writes)) from error
        form = request.form or {}
        return self._redacted(answer, (token, *(form.get(part, "") for part in _SENT_SECRETS)))

    async def _read(self, built: httpx.Request, ticket: CallTicket) -> Answer:
        response = await self._transport.handle_async_request(built)
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            ticket.answered(response.status_code, self._read_limits(headers))
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._answer_bytes_max:
                    raise _AnswerTooLarge(f"the answer is larger than {self._answer_bytes_max} bytes")
            return Answer(response.status_code, headers, bytes(body))
        finally:
            await response.aclose()

    def _redacted(self, answer: Answer, sent: Sequence[str]) -> Answer:
        if answer.status < 400:  # noqa: PLR2004 - only refusals are quoted in messages
            return answer
        body = answer.body
        for secret in (*self._secrets, *sent):
            body = body.replace(secret.encode(), b"***") if secret else body
        return Answer(answer.status, answer.headers, body)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()


@cache
def tls_settings(trust_env: bool) -> ssl.SSLContext:  # noqa: FBT001 - remembered by its value
    """Return the TLS settings of all accounts: reading the certificates costs as much as a thousand records."""
    return httpx.create_ssl_context(trust_env=trust_env)


def failure_of_status(answer: Answer, *, writes: bool) -> VendorError:
    """Return what an answer's status alone proves, for vendors to refine with their codes."""
    return VendorError(
        error_class=_class_of_status(answer.status, writes=writes),
        code=f"HTTP_{answer.status}",
        message=readable(answer.body.decode("utf-8", "replace")) or f"HTTP status {answer.status}",
        http_status=answer.status,
        retry_after_s=retry_after_s(answer.headers),
    )


def required_json(answer: Answer, *, writes: bool) -> Any:
    """Return the JSON of a successful answer.

    Raises: CallFailed when it is not JSON: what happened to a write is then not known.
    """
    body = answer.json()
    if body is None:
        error_class = ErrorClass.IN_DOUBT if writes else ErrorClass.SERVER
        message = readable(answer.body.decode("utf-8", "replace")) or "the answer is empty"
        raise CallFailed(VendorError(error_class, "ANSWER_NOT_JSON", message, answer.status))
    return body


def readable(text: str) -> str:
    """Return *text* for people: tags, styles and runs of spaces gone, at most 512 characters."""
    if "<" in text and re.search(r"<(?:!doctype|html|head|body)\b", text, re.IGNORECASE):
        text = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", text)
        text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return " ".join(text.split())[:MESSAGE_CHARS_MAX]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`, given as a number or as a date beside the answer's own `Date`.

    Source: RFC 9110, 10.2.3.
    """
    text = headers.get("retry-after", "").strip()
    if not text:  # of nearly every answer
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text):
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
        since = email.utils.parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, (until - since).total_seconds()) if until.tzinfo and since.tzinfo else None


def read_retry_after(headers: Mapping[str, str]) -> LimitFacts:
    """Return what the headers of a vendor that tells nothing else say of limits."""
    return LimitFacts(retry_after_s=retry_after_s(headers))


def _class_of_status(status: int, *, writes: bool) -> ErrorClass:
    if status >= 500:  # noqa: PLR2004 - the vendor's own faults begin here
        return ErrorClass.IN_DOUBT if writes and status in _GATEWAY_FAULTS else ErrorClass.SERVER
    return _BY_STATUS.get(status, ErrorClass.FORMAT)


def _transport_failure(error: Exception, *, unsent: bool, writes: bool) -> VendorError:
    late = isinstance(error, TimeoutError | httpx.TimeoutException)
    harmless = ErrorClass.TIMEOUT if late else ErrorClass.NETWORK
    error_class = ErrorClass.IN_DOUBT if writes and not unsent else harmless
    code = "TIMEOUT" if late else type(error).__name__.strip("_")
    sent = "before it was sent" if unsent else "after it may have been sent"
    return VendorError(
        error_class, code, readable(f"the call failed {sent}: {str(error) or 'no answer in time'}")
    )
