"""The console's HTTP side: a small JSON API and plain pages over the span store.

Translates requests into reads and answers; decides nothing and draws nothing. Answers only to a loopback Host,
so that a page elsewhere cannot read traces through a rebound name.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from headwater.console import page
from headwater.console.model import RelatedTrace, StoreStats, Trace, TraceSummary
from headwater.console.reading import SpanReader, reading

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 500
"""Traces in one list."""
READERS_MAX: Final = 2
"""Reads under way at once; further requests wait."""

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_Answer = TypeVar("_Answer")


def build_web(store_path: Path, started: dict[str, Any]) -> Starlette:
    """Return the application over one store.

    Args:
        store_path: the file, already made.
        started: facts for `/healthz`: ports, size cap.
    """
    web = _Web(store_path, started)
    return Starlette(
        routes=[
            Route("/", web.index),
            Route("/trace/{trace_id}", web.trace_page),
            Route("/api/traces", web.traces),
            Route("/api/traces/{trace_id}", web.trace),
            Route("/api/traces/{trace_id}/otlp.json", web.otlp),
            Route("/api/related", web.related),
            Route("/healthz", web.healthz),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


class _Web:
    def __init__(self, store_path: Path, started: dict[str, Any]) -> None:
        self._store_path = store_path
        self._started = started
        self._readers = anyio.CapacityLimiter(READERS_MAX)

    async def index(self, request: Request) -> Response:
        event_key, service, limit = _filters(request)
        found = await self._read(
            lambda reader: reader.traces(event_key=event_key, service=service, limit=limit)
        )
        return _html(page.index_page(found, event_key=event_key or "", service=service or ""))

    async def trace_page(self, request: Request) -> Response:
        trace_id = _trace_id(request.path_params["trace_id"])
        trace, related = await self._read(lambda reader: _with_related(reader, trace_id))
        if trace is None:
            raise HTTPException(404, "no such trace here")
        return _html(page.trace_page(trace, related))

    async def traces(self, request: Request) -> Response:
        event_key, service, limit = _filters(request)
        found: list[TraceSummary] = await self._read(
            lambda reader: reader.traces(event_key=event_key, service=service, limit=limit),
        )
        return _json({"traces": found})

    async def trace(self, request: Request) -> Response:
        trace_id = _trace_id(request.path_params["trace_id"])
        found = await self._read(lambda reader: reader.trace(trace_id))
        if found is None:
            raise HTTPException(404, "no such trace here")
        return _json(found)

    async def otlp(self, request: Request) -> Response:
        trace_id = _trace_id(request.path_params["trace_id"])
        found = await self._read(lambda reader: reader.otlp(trace_id))
        if found is None:
            raise HTTPException(404, "no such trace here")
        answer = _json(found)
        answer.headers["Content-Disposition"] = f'attachment; filename="trace-{trace_id.hex()}.otlp.json"'
        return answer

    async def related(self, request: Request) -> Response:
        trace_id = _trace_id(request.query_params.get("trace_id", ""))
        found: list[RelatedTrace] = await self._read(lambda reader: reader.related(trace_id))
        return _json({"related": found})

    async def healthz(self, _request: Request) -> Response:
        stats: StoreStats = await self._read(lambda reader: reader.stats())
        return _json({"ok": True, **self._started, "store": stats})

    def _read(self, ask: Callable[[SpanReader], _Answer]) -> Awaitable[_Answer]:
        def answer() -> _Answer:
            with reading(self._store_path) as reader:
                return ask(reader)

        return anyio.to_thread.run_sync(answer, limiter=self._readers)


def _with_related(reader: SpanReader, trace_id: bytes) -> tuple[Trace | None, list[RelatedTrace]]:
    trace = reader.trace(trace_id)
    return trace, reader.related(trace_id) if trace is not None else []


def _filters(request: Request) -> tuple[str | None, str | None, int]:
    query = request.query_params
    text = query.get("limit", str(LIMIT_DEFAULT))
    if not text.isdecimal() or not 1 <= int(text) <= LIMIT_MAX:
        raise HTTPException(400, f"limit: a whole number from 1 to {LIMIT_MAX}")
    return query.get("event_key") or None, query.get("service") or None, int(text)


def _trace_id(text: str) -> bytes:
    if not _TRACE_ID.fullmatch(text):
        raise HTTPException(400, "trace_id: 32 lower-case hex digits")
    return bytes.fromhex(text)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json", headers=_HEADERS)


def _html(text: str) -> Response:
    return HTMLResponse(text, headers=_HEADERS)
