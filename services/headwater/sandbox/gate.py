"""Owns the way of a vendor call: account, token, limits, faults, one transaction, answer. Knows no vendor rule.

The order is the vendors' own: who are you (401), are you within limits (429, 403), then the work. A call that is
turned away by a limit changes nothing and is logged as limited. Handlers run to their end without suspending, so
calls are served one after the other and every answer is sent after the commit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from headwater.sandbox.accounts import ACCOUNT_NAME, Account, Verdict
from headwater.sandbox.arrivals import Arrival
from headwater.sandbox.call import Answer, Call, Refusal
from headwater.sandbox.faults import AFTER, BEFORE, EXPIRY, SHORT
from headwater.sandbox.truncating import truncated

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from headwater.sandbox.accounts import VendorName
    from headwater.sandbox.faults import Fault
    from headwater.sandbox.fleet import Fleet, Vendor
    from headwater.sandbox.limits import Meter
    from headwater.sandbox.server import Connections

_OK = 200
_NOT_FOUND = 404
_BODY_TOO_LARGE = 413
_PATH_PARTS = 3
CUT_S_MAX = 1.0
"""How long a cut connection may take to be known as closed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What shall happen to a call: an answer, after a wait, or none (`hang`, `reset`)."""

    answer: Answer
    wait_ms: int = 0
    end: str = "answer"


class Gate:
    """The ASGI application of the vendors' side."""

    def __init__(self, fleet: Fleet, connections: Connections) -> None:
        self._fleet = fleet
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP call."""
        request = Request(scope, receive)
        try:
            body = await self._body(request)
        except ClientDisconnect:
            return
        if body is None:
            await Response(status_code=_BODY_TOO_LARGE)(scope, receive, send)
            return
        outcome = await self._outcome(request, body)
        if outcome.end == "answer":
            await _response(outcome.answer)(scope, receive, send)
        elif outcome.end == "reset":
            await self._cut(scope, receive)

    async def _body(self, request: Request) -> bytes | None:
        """The body, or None when it is larger than the vendor takes."""
        kept = bytearray()
        path = request.scope["path"]
        most = self._fleet.bytes_max(path.split("/", 2)[1], path)
        async for chunk in request.stream():
            kept += chunk
            if len(kept) > most:
                return None
        return bytes(kept)

    async def _outcome(self, request: Request, body: bytes) -> Outcome:
        found = self._account(request)
        if found is None:
            return Outcome(Answer(_NOT_FOUND, "no such vendor or account\n", content_type="text/plain"))
        account, path = found
        with self._fleet.database.transaction():  # one commit a call, unless a fault makes it wait
            call = _call(self._fleet, account, request, path, body)
            visit = Visit(self._fleet, account, self._fleet.vendors[account.vendor], call)
            refused = visit.admit()
            if refused is not None:
                return refused
            before = visit.disturb()
            worked = visit.work() if before.end == "work" and not before.wait_ms else None
        account.limits.in_flight[call.number] = call.now_ms
        try:
            if before.wait_ms:
                await anyio.sleep(before.wait_ms / 1000)
            outcome = worked or (before if before.end != "work" else visit.work())
            if outcome.end == "hang":
                await self._hang(request.scope, request.receive)
        finally:
            account.limits.in_flight.pop(call.number, None)
            ended_ms = self._fleet.now_ms()
            account.limits.took(ended_ms, ended_ms - call.now_ms)
        return outcome

    def _account(self, request: Request) -> tuple[Account, str] | None:
        parts = request.scope["path"].split("/", _PATH_PARTS)
        if (
            len(parts) <= _PATH_PARTS
            or parts[1] not in self._fleet.vendors
            or not ACCOUNT_NAME.match(parts[2])
        ):
            return None
        vendor: VendorName = parts[1]
        path = f"/{parts[3]}"
        opening = self._fleet.vendors[vendor].open_paths
        if not opening or path.rstrip("/") in opening:
            return self._fleet.open(vendor, parts[2]), path
        account = self._fleet.find(vendor, parts[2])
        return None if account is None else (account, path)

    async def _hang(self, scope: Scope, receive: Receive) -> None:
        """Say nothing until the client goes or patience ends, then cut the line."""
        with anyio.move_on_after(self._fleet.settings.hang_s_max):
            while (await receive())["type"] != "http.disconnect":
                pass
        await self._cut(scope, receive)

    async def _cut(self, scope: Scope, receive: Receive) -> None:
        """Close the connection without a word, and wait until the server knows that it is closed."""
        self._connections.abort(scope)
        with anyio.move_on_after(CUT_S_MAX):
            while (await receive())["type"] != "http.disconnect":
                pass


class Visit:
    """One call on its way through the gate."""

    def __init__(self, fleet: Fleet, account: Account, vendor: Vendor, call: Call) -> None:
        self._fleet = fleet
        self._account = account
        self._vendor = vendor
        self._subject = f"{call.method} {call.path}"
        self._is_token = call.path.rstrip("/") in vendor.open_paths
        self._meter: Meter = "none" if self._is_token else vendor.meter(call.path)
        self._cost = fleet.cost(account.vendor, call)
        self.call = replace(call, doomed=lambda items: account.faults.doomed(items, self._subject))

    def admit(self) -> Outcome | None:
        """None when the call may come in, else the refusal; logs it when refused."""
        if self._is_token:
            return None
        now_ms = self.call.now_ms
        if self._account.faults.fire(EXPIRY, self._subject):
            self._account.expire_tokens(now_ms)
        unknown = self._vendor.authenticate(self._account, self.call)
        if unknown is not None:
            self._log("unauthorized")
            return Outcome(unknown)
        limited = self._account.limits.admit(self._meter, now_ms, self._account.options, self._cost)
        if limited is not None:
            self._log("limited")
            return self._dressed(self._vendor.limited(limited, self.call))
        return None

    def disturb(self) -> Outcome:
        """What the faults make of the call before it is worked on; end "work" lets it through."""
        fired = self._account.faults.fire(BEFORE, self._subject, is_token=self._is_token)
        self._log("token" if self._is_token else "admitted", ",".join(fault.kind for fault in fired))
        wait_ms = sum(fault.value_ms for fault in fired if fault.kind == "latency_ms")
        final = next((fault for fault in fired if fault.kind != "latency_ms"), None)
        if final is None:
            return Outcome(Answer(200), wait_ms, "work")
        return replace(self._failed(final), wait_ms=wait_ms)

    def work(self) -> Outcome:
        """Let the vendor answer in one transaction, then see whether the answer gets out."""
        database = self._fleet.database
        try:
            with database.transaction():
                answer = self._vendor.handle(
                    self.call, self._fleet.desk(self._account, self.call, self._operation())
                )
        except Refusal as refusal:
            self._journal_refusal(refusal.reason)
            answer = refusal.answer
        if answer.status == _OK and (short := self._account.faults.fire(SHORT, self._subject)):
            answer = truncated(answer, short[0].share)
        outcome = self._dressed(answer)
        if self.call.method == "GET" or answer.status >= 400 or self._vendor.subject(self.call) is None:  # noqa: PLR2004
            return outcome
        lost = self._account.faults.fire(AFTER, self._subject, is_token=self._is_token)
        if not lost:
            return outcome
        return replace(outcome, end="hang" if lost[0].kind == "commit_then_hang" else "reset")

    def _operation(self) -> str:
        subject = self._vendor.subject(self.call)
        return "" if subject is None else subject[1]

    def _failed(self, fault: Fault) -> Outcome:
        if fault.kind == "hang":
            return Outcome(Answer(200), end="hang")
        if fault.kind == "storm_429":
            return self._dressed(self._vendor.storm(fault, self.call))
        if fault.kind == "html_error":
            return self._dressed(self._vendor.page(fault))
        return self._dressed(self._vendor.broken(fault, self.call))

    def _journal_refusal(self, reason: str) -> None:
        subject = self._vendor.subject(self.call)
        if subject is None:
            return
        kind, operation, record_id = subject
        self._account.arrivals.append(
            self.call, Arrival(kind, operation, "refused", record_id, reason=reason)
        )

    def _log(self, verdict: Verdict, fault: str = "") -> None:
        self._account.log_call(self.call, self._meter, verdict, fault, self._cost)

    def _dressed(self, answer: Answer) -> Outcome:
        if self._is_token:
            return Outcome(answer)
        usual = self._vendor.headers(self._account, self.call, self._meter)
        return Outcome(replace(answer, headers={**usual, **answer.headers}))


def _call(fleet: Fleet, account: Account, request: Request, path: str, body: bytes) -> Call:
    headers = dict(request.headers.items())
    place = f"http://{headers.get('host', 'localhost')}/{account.vendor}/{account.name}"
    return Call(
        account.vendor,
        account.name,
        account.take_call(),
        headers.get("x-request-id") or fleet.new_id(),
        request.method,
        path,
        tuple(request.query_params.multi_items()),
        headers,
        body,
        place,
        fleet.now_ms(),
    )


def _response(answer: Answer) -> Response:
    body: Any = answer.body
    response = Response(body, answer.status, dict(answer.headers))
    if body:
        response.headers["content-type"] = answer.content_type
    return response
