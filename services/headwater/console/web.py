"""The console's HTTP side: a small JSON API and plain pages over the span store and what services tell of events.

Translates requests into reads and answers; decides nothing and draws nothing. Answers only to a loopback Host,
so that a page elsewhere cannot read traces through a rebound name.
Events' lives have no personal value (see `life`), since whoever reaches the page reads by the console's credential.
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

from headwater.console import life_page, page
from headwater.console.asking import KEY
from headwater.console.life import EventLife
from headwater.console.lives import Lives
from headwater.console.model import RelatedTrace, StoreStats, Trace, TraceSummary
from headwater.console.reading import SpanReader, reading
from headwater.kernel.telemetry.names import EVENT_KEY, TENANT
from headwater.runbooks import find_runbook

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 500
"""Traces in one list."""
READERS_MAX: Final = 2
"""Reads under way at once; further requests wait."""

LIVES_MAX: Final = 10
"""Events of one trace whose lives its page tells."""
TENANT_CHARS_MAX: Final = 255

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_Answer = TypeVar("_Answer")


def build_web(store_path: Path, started: dict[str, Any], lives: Lives) -> Starlette:
    """Return the application over one store.

    Args:
        store_path: the file, already made.
        started: facts for `/healthz`: ports, size cap.
        lives: whom to ask what became of events.
    """
    web = _Web(store_path, started, lives)
    return Starlette(
        routes=[
            Route("/", web.index),
            Route("/trace/{trace_id}", web.trace_page),
            Route("/event/{event_key}", web.event_page),
            Route("/runbook/{code}", web.runbook),
            Route("/api/traces", web.traces),
            Route("/api/traces/{trace_id}", web.trace),
            Route("/api/traces/{trace_id}/otlp.json", web.otlp),
            Route("/api/related", web.related),
            Route("/api/events/{event_key}", web.event),
            Route("/healthz", web.healthz),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


class _Web:
    def __init__(self, store_path: Path, started: dict[str, Any], lives: Lives) -> None:
        self._lives = lives
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
        found, left_out = await self._lives_in(trace)
        return _html(page.trace_page(trace, related, found, left_out))

    async def event_page(self, request: Request) -> Response:
        event_key, tenant_id = await self._event(request)
        if not tenant_id:
            return _html(life_page.unasked_page(event_key, "no span here names its tenant; say which it is"))
        if not self._lives.asks:
            return _html(life_page.unasked_page(event_key, self._lives.why_not))
        return _html(life_page.event_page(await self._life(tenant_id, event_key)))

    async def event(self, request: Request) -> Response:
        event_key, tenant_id = await self._event(request)
        if not tenant_id:
            raise HTTPException(400, "tenant: no span here names it")
        if not self._lives.asks:
            raise HTTPException(503, self._lives.why_not)
        return _json(await self._life(tenant_id, event_key))

    async def runbook(self, request: Request) -> Response:
        found = find_runbook(request.path_params["code"])
        if found is None:
            raise HTTPException(404, "no such runbook")
        return _html(life_page.runbook_page(found.code, found.text))

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

    async def _event(self, request: Request) -> tuple[str, str]:
        """Return the key asked for, and the tenant: the one given, that of a span, or the console's own."""
        event_key = str(request.path_params["event_key"]).lower()
        if not KEY.fullmatch(event_key):
            raise HTTPException(400, "event_key: a UUID")
        given = request.query_params.get("tenant", "").strip()
        if len(given) > TENANT_CHARS_MAX:
            raise HTTPException(400, f"tenant: up to {TENANT_CHARS_MAX} characters")
        named = given or await self._read(lambda reader: reader.tenant_of(event_key))
        return event_key, named or self._lives.tenant_id

    async def _life(self, tenant_id: str, event_key: str) -> EventLife:
        (life,) = await self._with_traces(await self._lives.of([(tenant_id, event_key)]))
        return life

    async def _lives_in(self, trace: Trace) -> tuple[list[EventLife], int]:
        """Return what became of the first events that a trace's spans name, and how many more there are."""
        if not self._lives.asks:
            return [], 0
        named = ((span.attributes.get(TENANT), span.attributes.get(EVENT_KEY)) for span in trace.spans)
        pairs = ((str(tenant), str(key)) for tenant, key in named if tenant and KEY.fullmatch(str(key)))
        asked, left_out = life_page.keys_of(pairs, LIVES_MAX)
        return await self._with_traces(await self._lives.of(asked)), left_out

    async def _with_traces(self, found: list[EventLife]) -> list[EventLife]:
        asked = {
            item.trace_id for life in found for item in life.traces if _TRACE_ID.fullmatch(item.trace_id)
        }
        held = await self._read(lambda reader: reader.held(asked)) if asked else frozenset[str]()
        return [life.with_held(held) for life in found]

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
