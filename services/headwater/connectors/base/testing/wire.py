"""A transport that breaks on demand, between a connector and whatever answers it.

Faults are armed one by one and hit calls that write, unless told otherwise. Edits change answers on their way back:
vendors reorder, leave out and add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import httpx
import msgspec

FaultKind = Literal["busy", "lost_answer", "hang", "unreachable", "server", "html", "token_dead"]
Edit = Callable[[Any], Any]
"""Takes the decoded body of an answer and returns the one to hand on."""
IsWrite = Callable[[httpx.Request], bool]

Decode = Callable[[str, bytes], Any]
"""Takes the content type and body of an answer and returns what edits change."""
Encode = Callable[[str, Any], bytes]
"""Returns the body again, of the same content type."""

_HTML: Final = "<!DOCTYPE html><html><head><title>Oops</title></head><body>Something went wrong</body></html>"


@dataclass(slots=True)
class Fault:
    """One way to break, *count* times, after *after* calls were let through.

    Args:
        status: of `server` and `html`.
        retry_after_s: of `busy`; None sends no header.
        writes_only: whether calls that read are spared.
    """

    kind: FaultKind
    count: int = 1
    after: int = 0
    status: int = 503
    retry_after_s: int | None = None
    writes_only: bool = True


def _from_json(_content_type: str, body: bytes) -> Any:
    return msgspec.json.decode(body)


def _to_json(_content_type: str, changed: Any) -> bytes:
    return msgspec.json.encode(changed)


@dataclass(slots=True)
class Wire(httpx.AsyncBaseTransport):
    """Passes calls on to *inner*, but for those that a fault takes.

    Args:
        decode: how answers to writes are read for `edits`, where they are not JSON.
        encode: how they are written again.
    """

    inner: httpx.AsyncBaseTransport
    is_write: IsWrite
    faults: list[Fault] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    decode: Decode = _from_json
    encode: Encode = _to_json

    def arm(self, fault: Fault) -> None:
        """Break the next calls that *fault* is about."""
        self.faults.append(fault)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or fail as armed."""
        await request.aread()
        self.requests.append(request)
        fault = self._taken(request)
        if fault is None:
            return await self._answer(request)
        if fault.kind == "lost_answer":
            await (await self.inner.handle_async_request(request)).aread()
        return _broken(fault, request)

    async def aclose(self) -> None:
        """Close what is behind."""
        await self.inner.aclose()

    def _taken(self, request: httpx.Request) -> Fault | None:
        for fault in self.faults:
            if fault.count == 0 or (fault.writes_only and not self.is_write(request)):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.count -= 1
            return fault
        return None

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self.inner.handle_async_request(request)
        if not self.edits or not self.is_write(request):
            return answer
        body = await answer.aread()
        await answer.aclose()
        content_type = answer.headers.get("content-type", "")
        changed = self.decode(content_type, body)
        for edit in self.edits:
            changed = edit(changed)
        kept = {"content-length", "content-encoding", "transfer-encoding"}
        headers = [(name, value) for name, value in answer.headers.items() if name not in kept]
        return httpx.Response(answer.status_code, headers=headers, content=self.encode(content_type, changed))


def _broken(fault: Fault, request: httpx.Request) -> httpx.Response:
    match fault.kind:
        case "unreachable":
            raise httpx.ConnectError("nobody listens", request=request)
        case "hang":
            raise httpx.ReadTimeout("no answer in time", request=request)
        case "lost_answer":
            raise httpx.ReadError("the connection was reset", request=request)
        case "busy":
            wish = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            return httpx.Response(429, headers=wish, json={"error": "too many calls"})
        case "token_dead":
            return httpx.Response(401, json={"error": "the token has expired"})
        case "html":
            return httpx.Response(fault.status, headers={"Content-Type": "text/html"}, text=_HTML)
        case "server":
            return httpx.Response(fault.status, json={"error": "something went wrong"})
