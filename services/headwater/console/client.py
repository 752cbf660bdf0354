"""A client of the console's JSON API, for the command line and for tests.

Owns the translation back into values. Must not know where the console keeps its store.
"""

from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
import msgspec

from headwater.console.life import EventLife
from headwater.console.model import RelatedTrace, StoreStats, Trace, TraceSummary

TIMEOUT_S: Final = 10.0
_NOT_FOUND: Final = 404
_Answer = TypeVar("_Answer")


class _Traces(msgspec.Struct):
    traces: list[TraceSummary]


class _Related(msgspec.Struct):
    related: list[RelatedTrace]


class _Health(msgspec.Struct):
    store: StoreStats


class ConsoleClient:
    """Asks one console; a context manager. Every method raises httpx.HTTPError when the console does not answer."""

    def __init__(self, base_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._base_url = base_url.rstrip("/")
        self._http = httpx.Client(base_url=self._base_url, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def traces(
        self,
        *,
        event_key: str | None = None,
        service: str | None = None,
        limit: int = 50,
    ) -> list[TraceSummary]:
        """Return the newest traces, of one event or one service where given; limit 1..500."""
        asked = {"event_key": event_key, "service": service, "limit": str(limit)}
        query = {name: value for name, value in asked.items() if value}
        return self._get("/api/traces", _Traces, query).traces

    def trace(self, trace_id: str) -> Trace | None:
        """Return a trace with all its spans; None where the console has none of it."""
        answer = self._http.get(f"/api/traces/{trace_id}")
        if answer.status_code == _NOT_FOUND:
            return None
        return msgspec.json.decode(answer.raise_for_status().content, type=Trace)

    def related(self, trace_id: str) -> list[RelatedTrace]:
        """Return the traces that links lead to, either way, nearest first."""
        return self._get("/api/related", _Related, {"trace_id": trace_id}).related

    def life(self, tenant_id: str, event_key: str) -> EventLife:
        """Return what became of an event, as far as the services tell the console."""
        return self._get(f"/api/events/{event_key}", EventLife, {"tenant": tenant_id})

    def stats(self) -> StoreStats:
        """Return what the store holds and has let go."""
        return self._get("/healthz", _Health, {}).store

    def _get(self, path: str, kind: type[_Answer], query: dict[str, str]) -> _Answer:
        return msgspec.json.decode(self._http.get(path, params=query).raise_for_status().content, type=kind)
