"""Answers: outcomes as JSON, and errors as problem details (RFC 9457). Pure but for the response that lingers.

One table maps errors to statuses, as `kernel.rpc.status` does for gRPC.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import anyio
import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headwater.ingest.domain.event import Outcome
from headwater.ingest.domain.keys import key_text
from headwater.ingest.usecases.receiving import SignatureRefused
from headwater.kernel import errors
from headwater.kernel.errors import FieldViolation

DOMAIN: Final = "headwater"
"""As `ErrorInfo.domain` of the gRPC errors."""
PROBLEM_TYPE: Final = "application/problem+json"
LINGER_S: Final = 1.0
LINGER_BYTES_MAX: Final = 1024 * 1024
"""How long and how much of a body that nobody reads is taken off the line, so that the sender sees the answer."""

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_log = logging.getLogger(__name__)


class HttpRefused(errors.HeadwaterError):
    """The call is refused for what it is in HTTP's own words.

    Args:
        closes: the connection must end, since its body is not read.
    """

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message, reason=reason)
        self.status = status
        self.headers = headers or {}
        self.closes = closes


_STATUSES: Final[tuple[tuple[type[errors.HeadwaterError], HTTPStatus], ...]] = (
    (errors.InvalidInput, HTTPStatus.BAD_REQUEST),
    (SignatureRefused, HTTPStatus.UNAUTHORIZED),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.PreconditionFailed, HTTPStatus.PRECONDITION_FAILED),
    (errors.Overloaded, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (errors.PermissionDenied, HTTPStatus.FORBIDDEN),
)


def status_of(error: Exception) -> HTTPStatus:
    """Return the status that tells a caller of *error*; 500 for what is not ours."""
    if isinstance(error, HttpRefused):
        return error.status
    found = (status for kind, status in _STATUSES if isinstance(error, kind))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


def outcomes_answer(outcomes: Sequence[Outcome]) -> Response:
    """Return 200 with one outcome per event, in order."""
    return json_answer({"outcomes": [_outcome(item) for item in outcomes]})


def json_answer(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a JSON answer."""
    content = msgspec.json.encode(value)
    return Response(content, status, media_type="application/json", headers=_HEADERS)


def problem_answer(error: Exception, *, retry_after_s: float) -> Response:
    """Return the problem details of *error*.

    Args:
        retry_after_s: told with 503; 429 knows its own.
    """
    if not isinstance(error, errors.HeadwaterError):
        error = _unexpected(error)
    status = status_of(error)
    problem: dict[str, Any] = {
        "type": f"urn:headwater:problem:{error.reason.lower().replace('_', '-')}",
        "title": status.phrase,
        "status": int(status),
        "detail": error.message,
        "reason": error.reason,
        "domain": DOMAIN,
    }
    if error.metadata:
        problem["metadata"] = error.metadata
    if isinstance(error, errors.InvalidInput) and error.violations:
        problem["violations"] = [_violation(item) for item in error.violations]
    answer = LingeringResponse if isinstance(error, HttpRefused) and error.closes else Response
    headers = {**_HEADERS, **_headers_of(error, status, retry_after_s)}
    return answer(msgspec.json.encode(problem), status, media_type=PROBLEM_TYPE, headers=headers)


def _headers_of(error: errors.HeadwaterError, status: HTTPStatus, retry_after_s: float) -> Mapping[str, str]:
    if isinstance(error, HttpRefused):
        return {**error.headers, "Connection": "close"} if error.closes else error.headers
    if isinstance(error, errors.Overloaded):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="headwater"'}
    if status is HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Signature realm="headwater"'}
    return {}


def _unexpected(error: Exception) -> errors.HeadwaterError:
    correlation_id = str(uuid.uuid4())
    _log.error("unexpected error", exc_info=error, extra={"correlation_id": correlation_id})
    return errors.HeadwaterError(
        f"internal error, correlation id {correlation_id}", metadata={"correlation_id": correlation_id}
    )


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "disposition": outcome.disposition.name,
        "event_key": key_text(outcome.event_key) if outcome.event_key else "",
        "violations": [_violation(item) for item in outcome.violations],
        "reason": outcome.reason,
    }


def _violation(item: FieldViolation) -> dict[str, str]:
    return {"field": item.field, "value": item.value, "rule": item.rule, "description": item.description}


class LingeringResponse(Response):
    """A response that ends the connection, and takes some of the unread body off the line before.

    Closing a socket with unread bytes resets it, and a sender still busy sending would not see the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        taken_bytes = 0
        with anyio.move_on_after(LINGER_S):
            while taken_bytes < LINGER_BYTES_MAX:
                message = await receive()
                taken_bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
        await send({"type": "http.response.body", "body": b"", "more_body": False})
